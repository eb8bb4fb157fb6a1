#!/usr/bin/env python3
"""How long the search for layouts takes on one core, with data 8 x tensor 8: GPT-2 124M, and Llama-3 405B with all of its
126 layers and with 12. No peer runs here: AutoParallel's search needs the model on a device, and reports 47 s for Llama-3
8B on 64 GPUs (its pull request 521).

A round runs all in turn; times are medians. Ends with exit code 1 if the search takes more than 0.5 s for GPT-2 or 1 s for
126 layers, or an op of 126 layers more than 1.3 times that of one of 12.

    ./dev bench plan [--rounds 5]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEQUENCE = 1024
LLAMA = {"hidden_size": 16384, "intermediate_size": 53248, "num_attention_heads": 128, "num_key_value_heads": 8,
         "vocab_size": 128256, "max_position_embeddings": SEQUENCE}
MODELS = {  # name: (type, settings, seconds allowed)
    "GPT-2 124M": ("gpt2", {}, 0.5),
    "Llama 405B, 12 layers": ("llama", LLAMA | {"num_hidden_layers": 12}, None),
    "Llama 405B, 126 layers": ("llama", LLAMA | {"num_hidden_layers": 126}, 1.0),
}
MANY, FEW = "Llama 405B, 126 layers", "Llama 405B, 12 layers"
MOST_GROWTH = 1.3
CONFIG = '{"train_micro_batch_size_per_gpu": 4, "gradient_clipping": 1.0, "optimizer": {"type": "AdamW"}}'
PIPELINE = ("builtin.module(func.func(split-fused-projections{open=true},pad-parameters{open=true}),differentiate,"
            "choose-layouts)")


def call(command):
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{finished.stderr}")
    return finished


def import_model(folder, name, kind, settings):
    """The model's graph with the mesh, as IR."""
    base = os.path.join(folder, re.sub(r"\W+", "-", name))
    with open(f"{base}.json", "w", encoding="utf-8") as stream:
        stream.write(CONFIG)
    call([sys.executable, os.path.join(ROOT, "examples/export_hf.py"), kind, "--meta", "--seq", SEQUENCE,
          *(f"--set={key}={value}" for key, value in settings.items()), "-o", f"{base}.pt"])
    inputs = [part for tensor in ("input_ids", "labels") for part in ("--input", f"{tensor}=i64[batchx{SEQUENCE}]")]
    call([os.environ["DS_OPT"], f"{base}.pt", "--config", f"{base}.json", "--set", "mesh.data=8", "--set",
          "mesh.tensor=8", *inputs, "--emit", "graph", "-o", f"{base}.mlir"])
    return f"{base}.mlir"


def search(path):
    """Seconds of the search, and how many ops it placed."""
    core = min(os.sched_getaffinity(0))
    finished = call(["taskset", "-c", core, os.environ["DS_OPT"], path, f"--pass-pipeline={PIPELINE}",
                     "-mlir-timing"])
    seconds = float(re.search(r"([\d.]+) \([^)]*\)\s+ChooseLayouts", finished.stderr).group(1))
    return seconds, finished.stdout.count("sharding.factors =")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = max(1, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: import_model(folder, name, kind, settings) for name, (kind, settings, _) in MODELS.items()}
        runs = [{name: search(path) for name, path in paths.items()} for _ in range(rounds)]
    good = True
    for name, (_, _, allowed) in MODELS.items():
        seconds = statistics.median(run[name][0] for run in runs)
        limit = f", allowed {allowed} s" if allowed else ""
        print(f"{name}: {runs[0][name][1]} ops, {1e3 * seconds:.1f} ms{limit}")
        good &= not allowed or seconds <= allowed
    per_op = [{name: seconds / ops for name, (seconds, ops) in run.items()} for run in runs]
    growth = statistics.median(run[MANY] / run[FEW] for run in per_op)
    print(f"an op of 126 layers takes {growth:.2f} x that of one of 12, allowed {MOST_GROWTH}")
    return 0 if good and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
