#!/usr/bin/env python3
"""Training speed on a GPU beside PyTorch: ds-run, PyTorch eager and torch.compile in turn on one device, GPT-2 124M in bf16.

The same weights, batch, optimizer (AdamW, PyTorch's fused kernel) and clipping. What ds-run needs is made on a machine with the
compiler (--prepare), the measurement needs PyTorch with CUDA and nothing else of ours. Prints tokens a second, ratios, the share of
the device's measured matmul peak, and where the time of our step goes.

    ./dev bench gpu --prepare DIR [--target-gpu sm_90] [--batch 64] [--seq 1024] [--layers 12]
    ./dev bench gpu DIR [--rounds 3] [--steps 20] [--cuda-libs DIR]
"""

import argparse
import gc
import json
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
TARGET = 1.2  # of torch.compile
WARMUP = 5
PATIENCE = 300  # seconds for a run of ours


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
    return parser.parse_args()


def build(shape):
    torch.manual_seed(0)
    return Gpt2(shape)


def prepare(arguments):
    ds_opt = os.environ["DS_OPT"]
    os.makedirs(arguments.directory, exist_ok=True)
    path = lambda name: os.path.join(arguments.directory, name)
    shape = {"n_layer": arguments.layers, "n_embd": arguments.width, "n_head": max(1, arguments.width // 64),
             "vocab_size": arguments.vocabulary, "n_positions": arguments.seq, "batch": arguments.batch, "seq": arguments.seq}
    ids = torch.zeros((1, arguments.seq), dtype=torch.int64)
    torch.jit.save(torch.jit.trace(build(shape), (ids, ids), check_trace=False), path("model.pt"))
    with open(path("config.json"), "w", encoding="utf-8") as stream:
        json.dump({"train_micro_batch_size_per_gpu": arguments.batch, "gradient_clipping": CLIPPING, "bf16": {"enabled": True},
                   "optimizer": {"type": "AdamW", "params": ADAMW}}, stream)
    inputs = [f"--input={name}=i64[batchx{arguments.seq}]" for name in ("input_ids", "labels")]
    subprocess.run([ds_opt, path("model.pt"), *inputs, "--config", path("config.json"), "--target-gpu", arguments.target_gpu,
                    "-o", path("gpt2.dsplan")], check=True)
    subprocess.run([sys.executable, os.path.join(ROOT, "tools/pack.py"), "--plan", path("gpt2.dsplan"), "-o",
                    path("pack.tar.gz")], check=True)
    for name in ("model.pt", "gpt2.dsplan", "config.json"):
        os.remove(path(name))
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


def ours(folder, steps, arguments, *options):
    """(seconds of each step, losses, standard output)"""
    metrics = os.path.join(folder, "metrics.jsonl")
    rows = os.path.join(folder, "rows.npy")
    libraries = ["--cuda-libs", arguments.cuda_libs] if arguments.cuda_libs else []
    finished = subprocess.run([os.path.join(folder, "pack/ds-run"), os.path.join(folder, "pack/gpt2.dsplan"), "--data",
                               f"input_ids={rows}", "--data", f"labels={rows}", "--weights",
                               os.path.join(folder, "weights.safetensors"), "--steps", str(steps), "--no-shuffle", "--metrics",
                               metrics, *libraries, *options], capture_output=True, text=True, timeout=PATIENCE)
    if finished.returncode != 0:
        sys.exit(f"bench gpu: ds-run: {finished.stdout[-1000:]}{finished.stderr[-1000:]}")
    with open(metrics, encoding="utf-8") as stream:
        steps = [json.loads(line) for line in stream]
    os.remove(metrics)
    return [step["step_seconds"] for step in steps], [step["loss"] for step in steps], finished.stdout


def theirs(shape, rows, mode, steps):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = build(shape).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True, **ADAMW)
    forward = torch.compile(module) if mode == "compile" else module
    seconds, losses = [], []
    for step in range(steps):
        begin = time.perf_counter()
        ids = torch.from_numpy(rows[np.arange(step * shape["batch"], (step + 1) * shape["batch"]) % len(rows)]).to(device)
        with torch.autocast(device, torch.bfloat16):
            loss = forward(ids, ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIPPING)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return seconds, losses


def theirs_if_it_fits(shape, rows, mode, steps):
    """Seconds and losses of each step; of none if the device has not the memory. All of that is free afterwards, for ours."""
    try:
        return theirs(shape, rows, mode, steps)
    except torch.OutOfMemoryError:
        return [], []
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def flops_of(shape):
    """Of a step's products: 2 for each weight and token forward, twice that backward, and those of causal attention in full."""
    width, tokens = shape["n_embd"], shape["batch"] * shape["seq"]
    weights = shape["n_layer"] * 12 * width * width + shape["vocab_size"] * width
    return 6 * tokens * weights + 12 * shape["n_layer"] * width * shape["seq"] * tokens


def measure(arguments):
    folder = arguments.directory
    with open(os.path.join(folder, "shape.json"), encoding="utf-8") as stream:
        shape = json.load(stream)
    if not os.path.exists(os.path.join(folder, "pack")):
        subprocess.run(["tar", "xzf", "pack.tar.gz"], cwd=folder, check=True)
    rows = np.random.default_rng(0).integers(0, shape["vocab_size"], (4 * shape["batch"], shape["seq"]), dtype=np.int64)
    np.save(os.path.join(folder, "rows.npy"), rows)
    save_weights(build(shape), os.path.join(folder, "weights.safetensors"))
    tokens, steps = shape["batch"] * shape["seq"], WARMUP + arguments.steps
    speeds, losses = {"deepshard": [], "eager": [], "compile": []}, {}
    for index in range(arguments.rounds):
        for system, found in speeds.items():
            if system == "deepshard":
                seconds, losses[system], _ = ours(folder, steps, arguments)
            else:
                seconds, losses[system] = theirs_if_it_fits(shape, rows, system, steps)
            found.append(tokens / statistics.median(seconds[WARMUP:]) if seconds else 0)
        print(f"  round {index + 1}: " + ", ".join(f"{system} {found[-1]:.0f} tokens/s" for system, found in speeds.items()), flush=True)
    for system in [system for system, found in speeds.items() if not all(found)]:
        print(f"  {system} needs more memory than the device has")
        del speeds[system], losses[system]
    text = ours(folder, 4, arguments, "--profile")[2]
    peak = float(re.search(r"peaks: (\S+) GFLOP/s", text)[1]) * 1e9
    figures = {"tokens_per_second": {system: statistics.median(found) for system, found in speeds.items()},
               "matmul_peak_flops": peak}
    for system, speed in figures["tokens_per_second"].items():
        ratio = statistics.median(a / b for a, b in zip(speeds["deepshard"], speeds[system]))
        print(f"  {system:10} {speed:10.0f} tokens/s, {speed / tokens * flops_of(shape) / peak:.3f} of the matmul peak"
              + ("" if system == "deepshard" else f", deepshard is {ratio:.3f} times as fast"))
        figures.setdefault("ratios", {})[system] = ratio
    figures["losses_apart"] = {}
    for system in [system for system in losses if system != "deepshard"]:
        apart = max(abs(a - b) / abs(b) for a, b in zip(losses["deepshard"], losses[system]))
        print(f"  losses of deepshard and {system} agree within {apart:.1e} relative")
        figures["losses_apart"][system] = apart
    figures["profile"] = text[text.index("a step of"):]
    print(figures["profile"])
    with open(os.path.join(folder, "bench-gpu.json"), "w", encoding="utf-8") as stream:
        json.dump(figures, stream, indent=1)
    sys.exit(1 if figures["ratios"].get("compile", 0) < TARGET else 0)


if __name__ == "__main__":
    given = parse_arguments()
    prepare(given) if given.prepare else measure(given)
