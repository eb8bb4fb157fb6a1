#!/usr/bin/env python3
"""Tests on a GPU, over a folder that prepare.py made: training as on the CPU, ZeRO, graphs, determinism, NCCL, memory, a profile.
Needs Python and the driver; cuBLASLt and NCCL as docs/cuda.md says. Prints a line for each test, writes one JSON with all figures.

    ./dev gpu-test [DIR] [-o figures.json] [--cuda-libs DIR] [--steps 200]
"""

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import time

BOUNDS = {"f32": 1e-5, "bf16": 1e-2, "fp16": 1e-2}
RANKS, STAGES = (2, 4), range(4)
RESERVE = 3 << 30  # of the device, for driver and libraries, as in examples/clusters
BLOCK = 2 << 20  # bytes that the driver gives at once
STEADY = 5  # the step from which on nothing new is loaded
SECONDS = 480  # for all tests
HANGS = 20  # seconds after which ds-run says where its GPU hangs


class Failed(Exception):
    def __init__(self, message, figures=None):
        super().__init__(message)
        self.figures = figures or {}


class Runner:
    def __init__(self, arguments):
        self.directory, self.arguments = arguments.directory, arguments
        self.steps = len(self.reference("f32"))
        self.end = time.monotonic() + SECONDS

    def path(self, name):
        return os.path.join(self.directory, name)

    def reference(self, name):
        return self.rows(self.path(f"cpu-{name}.jsonl"))

    @staticmethod
    def rows(path):
        with open(path, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    def train(self, plan, *options, steps=None, data=None, weights_from="weights"):
        """(metrics of every step, bytes of the final weights, standard output)"""
        metrics, weights = self.path("metrics.jsonl"), self.path("trained.safetensors")
        for path in (metrics, weights):
            if os.path.exists(path):
                os.remove(path)
        files = data or dict.fromkeys(("input_ids", "labels"), "rows")
        data = [f"--data={name}={self.path(file)}.npy" for name, file in files.items()]
        libraries = ["--cuda-libs", self.arguments.cuda_libs] if self.arguments.cuda_libs else []
        command = [self.path("pack/ds-run"), self.path(f"pack/{plan}.dsplan"), *data, "--weights",
                   self.path(f"{weights_from}.safetensors"), "--steps", str(steps or self.steps), "--no-shuffle", "--metrics", metrics,
                   "--save-weights", weights, "--timeout", str(HANGS), *libraries, *options]
        what, left = " ".join([plan, *options]), self.end - time.monotonic()
        require(left > 0, f"{what}: the {SECONDS} s for all tests are over")
        try:
            finished = subprocess.run(command, capture_output=True, text=True, timeout=left)
        except subprocess.TimeoutExpired:
            raise Failed(f"{what}: not done when the {SECONDS} s for all tests are over") from None
        if finished.returncode != 0:
            raise Failed(f"{what}: exit code {finished.returncode}: {(finished.stdout + finished.stderr)[-1500:]}")
        with open(weights, "rb") as stream:
            return self.rows(metrics), stream.read(), finished.stdout


def require(condition, message, figures=None):
    if not condition:
        raise Failed(message, figures)


def losses(runner, precision):
    """Losses as on the CPU. In fp16 the first steps overflow by far on both; later a gradient next to the largest number may do so
    on one alone, and from there on it is another training."""
    metrics, _, _ = runner.train(precision)
    apart, alike = 0.0, 0
    for step, expected in zip(metrics, runner.reference(precision), strict=True):
        scales = step.get("loss_scale", 1) / expected.get("loss_scale", 1)
        require(0.5 <= scales <= 2, f"step {step['step']}: the loss scale is {scales} times the CPU's")
        if alike == step["step"] - 1 and step.get("overflow") == expected.get("overflow"):
            apart = max(apart, abs(step["loss"] - expected["loss"]) / abs(expected["loss"]))
            alike += 1
    figures = {"apart": apart, "alike": alike, "step_seconds": sorted(step["step_seconds"] for step in metrics)[len(metrics) // 2]}
    require(alike >= len(metrics) if precision != "fp16" else alike >= 3, f"overflows differ from step {alike + 1} on", figures)
    require(apart <= BOUNDS[precision], f"losses differ by {apart:.2e} relative, more than {BOUNDS[precision]}", figures)
    require(metrics[-1]["loss"] < 0.9 * metrics[0]["loss"], "the loss does not fall", figures)
    return figures


def graphs(runner):
    """What a graph replays has the bits of single launches."""
    for precision in BOUNDS:
        require(runner.train(precision)[1] == runner.train(precision, "--one-by-one")[1], f"{precision}: other weights")


def zero(runner, ranks):
    """Ranks that share the GPU: all stages of ZeRO have the same bits."""
    first = None
    for stage in STAGES:
        metrics, weights, _ = runner.train(f"zero-{ranks}-{stage}", "--share-gpu")
        values = [(step["loss"], step["grad_norm"]) for step in metrics]
        first = first or (values, weights)
        require(values == first[0] and weights == first[1], f"stage {stage}: other bits than stage 0")


def delays(runner):
    """The bits do not depend on when tasks run."""
    steps = runner.arguments.steps
    first = runner.train("zero-2-2", "--share-gpu", steps=steps)[1]
    for seed in (1, 2):
        require(runner.train("zero-2-2", "--share-gpu", "--delay-seed", str(seed), steps=steps)[1] == first,
                f"other weights with delays of seed {seed}")
    return {"steps": steps}


def repeats(runner):
    """Many steps of a graph give the same bits again."""
    steps = runner.arguments.steps
    for precision in BOUNDS:
        require(runner.train(precision, steps=steps)[1] == runner.train(precision, steps=steps)[1], f"{precision}: other weights")


def nccl(runner):
    """NCCL with one rank: what a CPU computes; graphs, single launches and delays give the same bits."""
    def train(*options, steps):
        return runner.train("nccl", *options, steps=steps, data={"x": "x", "y": "y"}, weights_from="nccl")

    metrics, _, _ = train(steps=runner.steps)
    expected = runner.reference("nccl")
    apart = max(abs(step["loss"] - other["loss"]) / other["loss"] for step, other in zip(metrics, expected, strict=True))
    require(apart <= 1e-9, f"losses differ by {apart:.2e} relative, more than 1e-9")
    steps = runner.arguments.steps
    first = train(steps=steps)[1]
    for options in (["--one-by-one"], ["--delay-seed", "1"], ["--delay-seed", "2"]):
        require(train(*options, steps=steps)[1] == first, f"other weights with {' '.join(options)}")
    return {"apart": apart, "steps": steps}


def memory(runner):
    """Arenas are what was planned, in the driver's blocks; steps allocate nothing; driver and libraries keep to the reserve."""
    figures = {}
    for precision in BOUNDS:
        metrics, _, _ = runner.train(precision, steps=runner.arguments.steps)
        planned, found = metrics[-1]["planned_bytes"], metrics[-1]["device_bytes"]
        require(found["arenas"] == planned, f"{precision}: arenas have {found['arenas']} bytes, {planned} were planned")
        require(abs(found["arenas_took"] - planned) <= found["count"] * BLOCK,
                f"{precision}: {found['arenas_took']} bytes were taken for arenas of {planned}")
        taken = {step["device_bytes"]["taken"] for step in metrics[STEADY:]}
        require(len(taken) == 1, f"{precision}: what is taken changes from step to step: {sorted(taken)}")
        others = found["taken"] - found["arenas_took"]
        require(others <= RESERVE, f"{precision}: {others} bytes are taken beside the arenas, {RESERVE} are kept for that")
        figures[precision] = found | {"planned": planned, "others": others}
    return figures


def profile(runner):
    """Where the time goes, by kernel."""
    text = runner.train("bf16", "--profile")[2]
    found = re.search(r"peaks: (\S+) GFLOP/s .*?, (\S+) GB/s", text)
    require(found, "there is no profile")
    return {"matmul_gflops": float(found[1]), "copy_gb_per_s": float(found[2]), "text": text[text.index("a step of"):]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("-o", "--output", default="gpu-test.json")
    parser.add_argument("--cuda-libs")
    parser.add_argument("--steps", type=int, default=200, help="of the tests of determinism and memory")
    parser.add_argument("--only", help="tests whose name contains this")
    arguments = parser.parse_args()
    if not os.path.exists(os.path.join(arguments.directory, "pack")):
        subprocess.run(["tar", "xzf", "pack.tar.gz"], cwd=arguments.directory, check=True)
    try:  # held open, so that the driver does not start the GPU anew for each run
        ctypes.CDLL("libcuda.so.1").cuInit(0)
    except OSError:
        pass
    runner = Runner(arguments)
    tests = [(f"losses {precision}", lambda precision=precision: losses(runner, precision)) for precision in BOUNDS]
    tests += [(test.__name__, lambda test=test: test(runner)) for test in (nccl, memory, profile, graphs)]
    tests += [(f"zero {ranks}", lambda ranks=ranks: zero(runner, ranks)) for ranks in RANKS]
    tests += [(test.__name__, lambda test=test: test(runner)) for test in (delays, repeats)]
    figures, failed = {}, []
    for name, test in tests:
        if arguments.only and arguments.only not in name:
            continue
        begin = time.monotonic()
        try:
            found, verdict = test() or {}, "ok"
        except Failed as failure:
            found, verdict = failure.figures, str(failure)
        except Exception as error:  # the other tests may still say something
            found, verdict = {}, f"{type(error).__name__}: {error}"
        if verdict != "ok":
            failed.append(name)
        figures[name] = {"verdict": verdict, "seconds": round(time.monotonic() - begin, 2)} | found
        print(f"{name:14} {figures[name]['seconds']:7.2f} s  {verdict}", flush=True)
        with open(arguments.output, "w", encoding="utf-8") as stream:
            json.dump(figures, stream, indent=1)
    sys.exit(f"gpu-test: failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
