"""One run of PyTorch: trains a model of the benchmark and prints the seconds of each step as JSON.

    torch_worker.py MODEL eager|compile STEPS THREADS DROPOUT ROWS.npy f32|bf16
"""

import json
import os
import sys
import time
import warnings

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.models import ADAMW, CLIPPING, MODELS, build_module


def main(model, mode, steps, threads, dropout, rows, precision):
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(threads))
    module = build_module(model, float(dropout))
    batch = MODELS[model]["batch"]
    optimizer = torch.optim.AdamW(module.parameters(), fused=True, **ADAMW)
    forward = torch.compile(module) if mode == "compile" else module
    data = np.load(rows)
    seconds, losses = [], []
    for step in range(int(steps)):
        begin = time.perf_counter()
        tokens = torch.from_numpy(data[np.arange(step * batch, (step + 1) * batch) % len(data)])
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = forward(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIPPING)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"seconds": seconds, "losses": losses}))


if __name__ == "__main__":
    main(*sys.argv[1:])
