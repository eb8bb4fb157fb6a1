#!/usr/bin/env python3
"""Training speed on a GPU beside PyTorch: ds-run, PyTorch eager and torch.compile in turn on one device, GPT-2 124M in bf16.

The same weights, batch, optimizer (AdamW, PyTorch's fused kernel) and clipping. DeepShard trains in two ways: with bf16 parameters
over f32 masters (`bf16`), and as torch.autocast does, with f32 parameters and products in bf16 (`torch_autocast`), which is like
for like. PyTorch gets a third turn with a vocabulary of a multiple of 64, to which DeepShard pads by itself. What ds-run needs is
made on a machine with the compiler (--prepare), the measurement needs PyTorch with CUDA and nothing else of ours. Prints tokens a
second, ratios, the share of the device's measured matmul peak, and where the time of our step goes. What is known is in
DIR/bench-gpu.json after every run. Ends with exit code 1 if a run fails or `bf16` is less than 1.2 times as fast as torch.compile.

    ./dev bench gpu --prepare DIR [--target-gpu sm_90] [--batch 64] [--seq 1024] [--layers 12]
    ./dev bench gpu DIR [--rounds 3] [--steps 20] [--cuda-libs DIR] [--only deepshard,compile]
"""

import argparse
import copy
import gc
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support.gpt2_torch import Gpt2

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLIPPING = 1.0
ADAMW = {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}
OURS = {"deepshard": {"bf16": {"enabled": True}}, "deepshard autocast": {"torch_autocast": {"enabled": True}}}
PEERS = ("eager", "compile", "compile padded")
TARGET = 1.2  # of "deepshard" to "compile"
WARMUP = 5
PATIENCE = 120  # seconds for a run of ours
HANGS = 30  # seconds after which ds-run says where its GPU hangs
PADDING = 64  # of the vocabulary
PEAK_SIZE, PEAK_TIMES = 8192, 20  # of the product by which PyTorch finds the peak


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--target-gpu", default="sm_90")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seq", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cuda-libs")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[*OURS, *PEERS], metavar="SYSTEM,SYSTEM")
    return parser.parse_args()


def build(shape):
    torch.manual_seed(0)
    return Gpt2(shape)


def plan_name(system):
    return system.replace(" ", "-")


def prepare(arguments):
    ds_opt = os.environ["DS_OPT"]
    os.makedirs(arguments.directory, exist_ok=True)
    path = lambda name: os.path.join(arguments.directory, name)
    shape = {"n_layer": arguments.layers, "n_embd": arguments.width, "n_head": max(1, arguments.width // 64),
             "vocab_size": arguments.vocabulary, "n_positions": arguments.seq, "batch": arguments.batch, "seq": arguments.seq}
    ids = torch.zeros((1, arguments.seq), dtype=torch.int64)
    torch.jit.save(torch.jit.trace(build(shape), (ids, ids), check_trace=False), path("model.pt"))
    inputs = [f"--input={name}=i64[batchx{arguments.seq}]" for name in ("input_ids", "labels")]
    plans = []
    for system, precision in OURS.items():
        with open(path("config.json"), "w", encoding="utf-8") as stream:
            json.dump({"train_micro_batch_size_per_gpu": arguments.batch, "gradient_clipping": CLIPPING,
                       "optimizer": {"type": "AdamW", "params": ADAMW}} | precision, stream)
        plans.append(path(f"{plan_name(system)}.dsplan"))
        subprocess.run([ds_opt, path("model.pt"), *inputs, "--config", path("config.json"), "--target-gpu",
                        arguments.target_gpu, "-o", plans[-1]], check=True)
    subprocess.run([sys.executable, os.path.join(ROOT, "tools/pack.py"), *(f"--plan={plan}" for plan in plans), "-o",
                    path("pack.tar.gz")], check=True)
    for name in (path("model.pt"), path("config.json"), *plans):
        os.remove(name)
    with open(path("shape.json"), "w", encoding="utf-8") as stream:
        json.dump(shape, stream)


def save_weights(module, path):
    """As safetensors, whose package may not be there: a header of JSON, then the numbers."""
    header, at, tensors = {}, 0, []
    for name, tensor in module.state_dict().items():
        data = tensor.detach().float().contiguous().numpy()
        header[name] = {"dtype": "F32", "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
        tensors.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for data in tensors:
            stream.write(data.tobytes())


class Bench:
    def __init__(self, arguments):
        self.arguments, self.folder = arguments, arguments.directory
        with open(self.path("shape.json"), encoding="utf-8") as stream:
            self.shape = json.load(stream)
        if not os.path.exists(self.path("pack")):
            subprocess.run(["tar", "xzf", "pack.tar.gz"], cwd=self.folder, check=True)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokens, self.steps = self.shape["batch"] * self.shape["seq"], WARMUP + arguments.steps
        self.rows = np.random.default_rng(0).integers(0, self.shape["vocab_size"], (4 * self.shape["batch"], self.shape["seq"]),
                                                      dtype=np.int64)
        np.save(self.path("rows.npy"), self.rows)
        self.module = build(self.shape)
        save_weights(self.module, self.path("weights.safetensors"))
        padded = -(-self.shape["vocab_size"] // PADDING) * PADDING
        self.padded = build(self.shape | {"vocab_size": padded}) if "compile padded" in arguments.only else None
        self.losses = {}  # of each system's last run
        self.figures = {"device": self.describe(), "seconds": {}, "errors": {}}

    def path(self, name):
        return os.path.join(self.folder, name)

    def describe(self):
        if self.device == "cpu":
            return {"torch": torch.__version__}
        return {"name": torch.cuda.get_device_name(), "bytes": torch.cuda.get_device_properties(0).total_memory,
                "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}

    def write(self):
        with open(self.path("bench-gpu.json"), "w", encoding="utf-8") as stream:
            json.dump(self.figures, stream, indent=1)

    def ours(self, system, steps, *options):
        """(seconds of each step, losses, standard output)"""
        metrics = self.path("metrics.jsonl")
        libraries = ["--cuda-libs", self.arguments.cuda_libs] if self.arguments.cuda_libs else []
        data = [f"--data={name}={self.path('rows.npy')}" for name in ("input_ids", "labels")]
        finished = subprocess.run([self.path("pack/ds-run"), self.path(f"pack/{plan_name(system)}.dsplan"), *data, "--weights",
                                   self.path("weights.safetensors"), "--steps", str(steps), "--no-shuffle", "--metrics", metrics,
                                   "--timeout", str(HANGS), *libraries, *options],
                                  capture_output=True, text=True, timeout=PATIENCE)
        if finished.returncode != 0:
            raise RuntimeError(f"ds-run: {finished.stdout[-1000:]}{finished.stderr[-1000:]}")
        with open(metrics, encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        os.remove(metrics)
        self.figures.setdefault("memory", {})[system] = rows[-1].get("device_bytes")
        return [row["step_seconds"] for row in rows], [row["loss"] for row in rows], finished.stdout

    def theirs(self, system, steps):
        module = copy.deepcopy(self.padded if system == "compile padded" else self.module).to(self.device)
        optimizer = torch.optim.AdamW(module.parameters(), fused=True, **ADAMW)
        forward = module if system == "eager" else torch.compile(module)
        seconds, losses, batch = [], [], self.shape["batch"]
        for step in range(steps):
            begin = time.perf_counter()
            ids = torch.from_numpy(self.rows[np.arange(step * batch, (step + 1) * batch) % len(self.rows)]).to(self.device)
            with torch.autocast(self.device, torch.bfloat16):
                loss = forward(ids, ids)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), CLIPPING)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())  # waits for the device
            seconds.append(time.perf_counter() - begin)
        if self.device == "cuda":
            self.figures.setdefault("memory", {})[system] = torch.cuda.max_memory_allocated()
        return seconds, losses

    def run(self, system):
        """Tokens a second; a run that fails costs its own figures only. All memory is free afterwards, for the next."""
        try:
            seconds, self.losses[system] = self.ours(system, self.steps)[:2] if system in OURS else self.theirs(system, self.steps)
            self.figures["seconds"].setdefault(system, []).append(seconds)
            print(f"  {system:18} {self.tokens / statistics.median(seconds[WARMUP:]):10.0f} tokens/s", flush=True)
        except Exception as error:  # PyTorch and its compiler have errors of many types
            self.figures["errors"][system] = f"{type(error).__name__}: {error}"[-1500:]
            print(f"  {system:18} failed: {self.figures['errors'][system]}", flush=True)
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.write()

    def measure_peak(self):
        """FLOP/s of the fastest of some large products of PyTorch's."""
        a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        fastest = math.inf
        for _ in range(PEAK_TIMES):
            begin = time.perf_counter()
            a @ b
            torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - begin)
        return 2 * PEAK_SIZE ** 3 / fastest

    def profile(self):
        """Where the time of a step goes, and the matmul peaks that ds-run and PyTorch find."""
        try:
            text = self.ours("deepshard", 4, "--profile")[2]
            self.figures["profile"] = text[text.index("a step of"):]
            peaks = {"ds-run": float(re.search(r"peaks: (\S+) GFLOP/s", text)[1]) * 1e9}
            if self.device == "cuda":
                peaks["torch"] = self.measure_peak()
            self.figures["matmul_peak_flops"] = peaks
        except Exception as error:
            self.figures["errors"]["profile"] = f"{type(error).__name__}: {error}"[-1500:]
        self.write()

    def speeds(self):
        """By system, tokens a second in each round."""
        return {system: [self.tokens / statistics.median(seconds[WARMUP:]) for seconds in runs]
                for system, runs in self.figures["seconds"].items()}

    def report(self):
        print(self.figures.get("profile", ""))
        speeds = self.speeds()
        figures = {system: {"tokens_per_second": statistics.median(found)} for system, found in speeds.items()}
        peak = max(self.figures.get("matmul_peak_flops", {}).values(), default=None)
        for system, found in speeds.items():
            text = f"  {system:18} {figures[system]['tokens_per_second']:10.0f} tokens/s"
            if peak:
                share = figures[system]["tokens_per_second"] / self.tokens * flops_of(self.shape) / peak
                figures[system]["share_of_peak"] = share
                text += f", {share:.3f} of the matmul peak"
            for own in OURS:
                if system not in OURS and own in speeds:
                    ratio = statistics.median(a / b for a, b in zip(speeds[own], found))
                    figures[system][f"{own} is faster by"] = ratio
                    text += f", {own} {ratio:.3f} times as fast"
            print(text)
        for own in OURS:
            for peer in ("eager", "compile"):  # the padded one has other weights
                if own in self.losses and peer in self.losses:
                    apart = max(abs(a - b) / abs(b) for a, b in zip(self.losses[own], self.losses[peer]))
                    figures[peer][f"losses apart from {own}"] = apart
                    print(f"  losses of {own} and {peer} agree within {apart:.1e} relative")
        self.figures["systems"] = figures
        self.write()
        reached = figures.get("compile", {}).get("deepshard is faster by", 0) >= TARGET
        return 0 if reached and not self.figures["errors"] else 1


def flops_of(shape):
    """Of a step's products: 2 for each weight and token forward, twice that backward, and of attention the half that is not
    masked."""
    width, tokens = shape["n_embd"], shape["batch"] * shape["seq"]
    weights = shape["n_layer"] * 12 * width * width + shape["vocab_size"] * width
    return 6 * tokens * weights + 6 * shape["n_layer"] * width * shape["seq"] * tokens


def measure(arguments):
    bench = Bench(arguments)
    for index in range(arguments.rounds):
        print(f"round {index + 1}", flush=True)
        for system in arguments.only if index % 2 == 0 else reversed(arguments.only):
            bench.run(system)
    bench.profile()
    sys.exit(bench.report())


if __name__ == "__main__":
    given = parse_arguments()
    prepare(given) if given.prepare else measure(given)
