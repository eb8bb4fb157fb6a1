"""The models of the benchmarks, their plans, and running a program while watching its memory."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples"))

DS_OPT = os.environ.get("DS_OPT", os.path.join(ROOT, "build/bin/ds-opt"))
DS_RUN = os.environ.get("DS_RUN", os.path.join(ROOT, "build/bin/ds-run"))

MODELS = {
    "25m": {"n_layer": 8, "n_embd": 384, "n_head": 8, "vocab_size": 32000, "n_positions": 256, "seq": 256, "batch": 8},
    "gpt2": {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024, "seq": 256,
             "batch": 4},
}
# What a rank holds before it has a model: next to nothing of one.
SHAPES = MODELS | {"idle": {"n_layer": 1, "n_embd": 16, "n_head": 1, "vocab_size": 16, "n_positions": 8, "seq": 8, "batch": 2}}
CLIPPING = 1.0
ADAMW = {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}


def export_arguments(model, dropout, output):
    shape = SHAPES[model]
    settings = [f"--set={key}={shape[key]}" for key in ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions")]
    settings += [f"--set={key}={dropout}" for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop")]
    return ["gpt2", *settings, "--seq", str(shape["seq"]), "--batch", str(shape["batch"]), "-o", output]


def parameters_of(model):
    """How many numbers a model of MODELS is trained in; the head is the embedding."""
    shape = MODELS[model]
    width, block = shape["n_embd"], 12 * shape["n_embd"] ** 2 + 13 * shape["n_embd"]
    return (shape["vocab_size"] + shape["n_positions"]) * width + shape["n_layer"] * block + 2 * width


class Failed(Exception):
    """A program did not end well; the message says which and shows the end of its output."""


def run_watched(command, environment=None):
    """(standard output, peak resident bytes of its largest process) of a program that must succeed."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env=os.environ | (environment or {}))
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise Failed(f"{' '.join(command)}\nexit code {process.returncode}\n{output[-2000:]}{errors.read()[-2000:]}")
    return output, usage.ru_maxrss * 1024


class Workshop:
    """Archives, rows of random tokens and plans in one directory, each made once."""

    def __init__(self, directory, dropout=0.0, target_cpu=None):
        self.directory, self.dropout, self.target_cpu = directory, dropout, target_cpu

    def path(self, name):
        return os.path.join(self.directory, name)

    def archive(self, model):
        path = self.path(f"{model}.pt")
        if not os.path.exists(path):
            script = os.path.join(ROOT, "examples/export_hf.py")
            run_watched([sys.executable, script, *export_arguments(model, self.dropout, path)])
        return path

    def rows(self, model):
        path = self.path(f"{model}-rows.npy")
        if not os.path.exists(path):
            shape = SHAPES[model]
            random = np.random.default_rng(0)
            np.save(path, random.integers(0, shape["vocab_size"], (16 * shape["batch"], shape["seq"]), dtype=np.int64))
        return path

    def plan(self, model, threads=None, overrides=None, prefix=()):
        """The plan of the model for one rank, or as the overridden keys of the configuration say; by ds-opt behind `prefix`."""
        shape = SHAPES[model]
        config = {"train_micro_batch_size_per_gpu": shape["batch"], "gradient_clipping": CLIPPING,
                  "optimizer": {"type": "AdamW", "params": ADAMW}}
        settings = [f"--set={key}={value}" for key, value in (overrides or {}).items()]
        settings += [f"--threads={threads}"] if threads else []
        settings += [f"--target-cpu={self.target_cpu}"] if self.target_cpu else []
        path = self.path("".join([model, *settings]) + ".dsplan")
        if not os.path.exists(path):
            with open(self.path(f"{model}.json"), "w", encoding="utf-8") as stream:
                json.dump(config, stream)
            inputs = [f"--input={name}=i64[batchx{shape['seq']}]" for name in ("input_ids", "labels")]
            run_watched([*prefix, DS_OPT, self.archive(model), *inputs, "--config", self.path(f"{model}.json"), *settings,
                         "-o", path])
        return path

    def run_plan(self, model, steps, threads, overrides=None):
        """(metrics of every step, peak resident bytes of the largest rank) of ds-run."""
        metrics = self.path(f"{model}.jsonl")
        with contextlib.suppress(FileNotFoundError):
            os.remove(metrics)
        data = [f"--data={name}={self.rows(model)}" for name in ("input_ids", "labels")]
        plan = self.plan(model, threads, overrides)
        _, peak = run_watched([DS_RUN, plan, *data, "--steps", str(steps), "--no-shuffle", "--metrics", metrics,
                               "--threads", str(threads)])
        with open(metrics, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream], peak


def build_module(model, dropout):
    """The PyTorch module that the archive was traced from."""
    import export_hf
    import torch

    arguments = export_hf.parse_arguments(export_arguments(model, dropout, "unused"))
    torch.manual_seed(arguments.seed)
    with contextlib.redirect_stderr(io.StringIO()):
        return export_hf.build_hugging_face(arguments).train()


def check_programs():
    for program in (DS_OPT, DS_RUN):
        if not os.path.exists(program):
            raise Failed(f"{program} does not exist; build it, or set DS_OPT and DS_RUN")


def run_benchmark(name, bench, arguments, dropout=0.0, target_cpu=None):
    """bench(model, arguments, workshop) for every model asked for; ends the program, with exit code 1 if any returned False
    (a target was missed) or a program failed."""
    try:
        check_programs()
        with tempfile.TemporaryDirectory(prefix="deepshard-bench-") as directory:
            shop = Workshop(directory, dropout, target_cpu)
            results = [bench(model, arguments, shop) for model in arguments.model or MODELS]
    except Failed as failure:
        sys.exit(f"bench {name}: {failure}")
    sys.exit(1 if False in results else 0)
