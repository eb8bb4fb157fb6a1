#!/usr/bin/env python3
"""How long the search for layouts takes on one core, with data 8 x tensor 8: GPT-2 124M, and Llama-3 405B with all of its
126 layers and with 12. No peer runs here: AutoParallel's search needs the model on a device, and reports 47 s for Llama-3
8B on 64 GPUs (its pull request 521).

Then the passes behind the search, up to the partition per op that was placed and behind it per task of the plan: how much
longer each takes for 126 layers than for 12. (Their work grows with ops and tasks, but 126 layers no longer fit into the
caches of a core.)

Last the whole of ds-opt on two cores for GPT-2 124M on one rank at 4 x 256, code included: with an empty cache of kernels, and
again with what that run has left there.

A round runs all in turn; times are medians. Ends with exit code 1 if the search takes more than 0.5 s for GPT-2 or 1 s for
126 layers, an op of 126 layers more than 1.3 times that of one of 12, or the whole more than 6 s cold or 2 s warm.

    ./dev bench plan [--rounds 5]
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support.models import Failed, Workshop

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
MOST_SECONDS = {"cold": 6.0, "warm": 2.0}  # by cache
CONFIG = '{"train_micro_batch_size_per_gpu": 4, "gradient_clipping": 1.0, "optimizer": {"type": "AdamW"}}'
CHOOSE = "func.func(split-fused-projections{open=true},pad-parameters{open=true}),differentiate,choose-layouts"
PIPELINE = f"builtin.module({CHOOSE})"
SPLIT = (f"builtin.module({CHOOSE},propagate-layouts,verify-annotated,func.func(choose-recompute{{mode=selective}}),partition,"
         "func.func(recompute),accumulate-gradients,create-update,verify-differentiated,shard-buckets,verify-partitioned)")
SPLIT_PASSES = ("PropagateLayouts", "VerifyAnnotated", "ChooseRecompute", "Partition", "Recompute", "CreateUpdate",
                "VerifyDifferentiated", "ShardBuckets", "VerifyPartitioned")
LATER = ("builtin.module(func.func(join-pads,split-elementwise),choose-kernels,cse,"
         "func.func(repeat-conversions,fuse-accumulation),fuse-kernels,lower-to-plan,"
         "plan.program(synchronize-streams,reuse-inputs,pack-buffers),generate-kernels)")
LATER_PASSES = ("JoinPadsPass", "SplitElementwisePass", "ChooseKernelsPass", "CSE", "RepeatConversionsPass",
                "FuseAccumulationPass", "FuseKernelsPass", "LowerToPlanPass", "SynchronizeStreamsPass", "ReuseInputsPass",
                "PackBuffersPass", "GenerateKernelsPass")


def call(command):
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{finished.stderr}")
    return finished


def import_model(folder, name, kind, settings):
    """The model's graph with the mesh, and the partitioned step, as IR."""
    base = os.path.join(folder, re.sub(r"\W+", "-", name))
    with open(f"{base}.json", "w", encoding="utf-8") as stream:
        stream.write(CONFIG)
    call([sys.executable, os.path.join(ROOT, "examples/export_hf.py"), kind, "--meta", "--seq", SEQUENCE,
          *(f"--set={key}={value}" for key, value in settings.items()), "-o", f"{base}.pt"])
    inputs = [part for tensor in ("input_ids", "labels") for part in ("--input", f"{tensor}=i64[batchx{SEQUENCE}]")]
    for emit in ("graph", "partitioned"):
        call([os.environ["DS_OPT"], f"{base}.pt", "--config", f"{base}.json", "--set", "mesh.data=8", "--set",
              "mesh.tensor=8", *inputs, "--emit", emit, "-o", f"{base}.{emit}.mlir"])
    return base


def timed(path, pipeline, names, *options):
    """Seconds of each pass that is named, and the IR behind them."""
    core = min(os.sched_getaffinity(0))
    finished = call(["taskset", "-c", core, os.environ["DS_OPT"], path, f"--pass-pipeline={pipeline}", "-mlir-timing", *options])
    times = {name: float(re.search(rf"([\d.]+) \([^)]*\)\s+{name}\n", finished.stderr).group(1)) for name in names}
    return times, finished.stdout


def search(base):
    """Seconds of the search, and how many ops it placed."""
    times, module = timed(f"{base}.graph.mlir", PIPELINE, ["ChooseLayouts"])
    return times["ChooseLayouts"], module.count("sharding.factors =")


def split(base):
    """Seconds per op that was placed of each pass from there to the program of a rank."""
    times, _ = timed(f"{base}.graph.mlir", SPLIT, SPLIT_PASSES, "-verify-each=false")
    return {name: seconds / search(base)[1] for name, seconds in times.items()}


def lower(base):
    """Seconds per task of each pass behind the partition."""
    # As ds-opt runs them: the program is not verified behind every pass.
    times, module = timed(f"{base}.partitioned.mlir", LATER, LATER_PASSES, "-verify-each=false")
    tasks = len(re.findall(r"plan\.(?:launch|collective|feed)", module))
    return {name: seconds / tasks for name, seconds in times.items()}


def whole(folder):
    """Seconds of ds-opt from the archive to the plan, by cache."""
    shop = Workshop(folder)
    shop.archive("gpt2")
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="deepshard-cache-") as cache:
        for kind in MOST_SECONDS:
            begin = time.perf_counter()
            plan = shop.plan("gpt2", 2, prefix=("env", f"XDG_CACHE_HOME={cache}", "taskset", "-c", cores))
            seconds[kind] = time.perf_counter() - begin
            os.remove(plan)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = max(1, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: import_model(folder, name, kind, settings) for name, (kind, settings, _) in MODELS.items()}
        runs = [{name: search(path) for name, path in paths.items()} for _ in range(rounds)]
        later = [{name: split(paths[name]) | lower(paths[name]) for name in (FEW, MANY)} for _ in range(rounds)]
        wholes = [whole(folder) for _ in range(rounds)]
    good = True
    for name, (_, _, allowed) in MODELS.items():
        seconds = statistics.median(run[name][0] for run in runs)
        limit = f", allowed {allowed} s" if allowed else ""
        print(f"{name}: {runs[0][name][1]} ops, {1e3 * seconds:.1f} ms{limit}")
        good &= not allowed or seconds <= allowed
    per_op = [{name: seconds / ops for name, (seconds, ops) in run.items()} for run in runs]
    growth = statistics.median(run[MANY] / run[FEW] for run in per_op)
    print(f"an op of 126 layers takes {growth:.2f} x that of one of 12, allowed {MOST_GROWTH}")
    for passes, of in ((SPLIT_PASSES, "op"), (LATER_PASSES, "task")):
        for name in passes:
            many = statistics.median(run[MANY][name] for run in later)
            ratio = statistics.median(run[MANY][name] / run[FEW][name] for run in later)
            print(f"{name}: {1e6 * many:.1f} us a{'n' * (of == 'op')} {of} of 126 layers, {ratio:.2f} x that of 12")
        together = statistics.median(sum(run[MANY][name] for name in passes) / sum(run[FEW][name] for name in passes)
                                     for run in later)
        print(f"these together: {together:.2f} x, allowed {MOST_GROWTH}")
        good &= together <= MOST_GROWTH
    for kind, most in MOST_SECONDS.items():
        seconds = statistics.median(run[kind] for run in wholes)
        print(f"GPT-2 124M from archive to plan, {kind} cache: {seconds:.2f} s, allowed {most} s")
        good &= seconds <= most
    return 0 if good and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"bench plan: {failure}")
