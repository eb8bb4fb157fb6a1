#!/usr/bin/env python3
"""Makes what the tests on a GPU need, on a machine with the compiler and PyTorch: models, data, plans for GPUs, what a CPU
computes with the same, and a pack of ds-run. The tests themselves (run.py) need nothing but that folder and Python.

    ./dev gpu-test --prepare DIR [--target-gpu sm_90]
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DS_OPT, DS_RUN = os.environ["DS_OPT"], os.environ["DS_RUN"]
SEQ, BATCH, STEPS = 64, 8, 20
SHAPE = {"n_layer": 4, "n_embd": 192, "n_head": 6, "vocab_size": 257, "n_positions": 64}
DROPOUT = 0.1
PRECISIONS = {"f32": {}, "bf16": {"bf16": {"enabled": True}},
              "fp16": {"fp16": {"enabled": True, "initial_scale_power": 24, "hysteresis": 1}}}
RANKS, STAGES = (2, 4), range(4)


def call(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


class Folder:
    def __init__(self, directory, target):
        self.directory, self.target = directory, target
        os.makedirs(directory, exist_ok=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def export(self):
        """The model with its first weights, and rows that can be learnt: a noisy walk over the vocabulary. In f32 attention has
        dropout, too; in 16 bits it has none, so that it is cuDNN's."""
        for precision in PRECISIONS:
            settings = SHAPE | {"resid_pdrop": DROPOUT, "embd_pdrop": DROPOUT, "attn_pdrop": DROPOUT if precision == "f32" else 0}
            call(sys.executable, os.path.join(ROOT, "examples/export_hf.py"), "gpt2",
                 *(f"--set={key}={value}" for key, value in settings.items()), "--seq", SEQ, "-o", self.path(f"{precision}.pt"))
        state = torch.jit.load(self.path("f32.pt")).state_dict()
        stored = {}  # of tensors that share their storage the first
        for name, tensor in state.items():
            stored.setdefault(tensor.data_ptr(), (name, tensor.contiguous().clone()))
        save_file(dict(stored.values()), self.path("weights.safetensors"))
        random = np.random.default_rng(7)
        steps = random.choice([1, 1, 1, 3, 11], size=(4 * BATCH, SEQ))
        rows = (random.integers(0, SHAPE["vocab_size"], (4 * BATCH, 1)) + np.cumsum(steps, axis=1)) % SHAPE["vocab_size"]
        np.save(self.path("rows.npy"), rows.astype(np.int64))

    def plan(self, name, precision, ranks=1, stage=0, gpu=True):
        config = {"train_micro_batch_size_per_gpu": BATCH // ranks, "gradient_accumulation_steps": 2,
                  "gradient_clipping": 0.5, "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 200},
                  "optimizer": {"type": "AdamW", "params": {"lr": 2e-3, "betas": [0.9, 0.95], "weight_decay": 0.1}},
                  "deepshard": {"mesh": {"data": ranks}, "bucket_size": 100000}} | PRECISIONS[precision]
        with open(self.path(f"{name}.json"), "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        inputs = [f"--input={name}=i64[batchx{SEQ}]" for name in ("input_ids", "labels")]
        target = ["--target-gpu", self.target] if gpu else ["--threads", 2]
        call(DS_OPT, self.path(f"{precision}.pt"), *inputs, "--config", self.path(f"{name}.json"), *target, "-o",
             self.path(f"{name}.dsplan"))
        os.remove(self.path(f"{name}.json"))

    def reference(self, precision):
        """The metrics of a CPU."""
        name = f"cpu-{precision}"
        self.plan(name, precision, gpu=False)
        data = [f"--data={name}={self.path('rows.npy')}" for name in ("input_ids", "labels")]
        call(DS_RUN, self.path(f"{name}.dsplan"), *data, "--weights", self.path("weights.safetensors"), "--steps", STEPS,
             "--no-shuffle", "--metrics", self.path(f"{name}.jsonl"))
        os.remove(self.path(f"{name}.dsplan"))

    def one_rank(self):
        """Collectives of one rank, which NCCL runs on a single GPU, and what a CPU makes of them."""
        random = np.random.default_rng(8)
        x = random.standard_normal((64, 8))
        save_file({"weight": torch.zeros(8, dtype=torch.float64)}, self.path("nccl.safetensors"))
        np.save(self.path("x.npy"), x)
        np.save(self.path("y.npy"), x @ random.standard_normal(8) + 0.1 * random.standard_normal(64))
        call(os.path.join(os.environ["DS_BUILD"], "bin/one-rank-plan"), self.directory)
        call(DS_RUN, self.path("nccl-cpu.dsplan"), *(f"--data={name}={self.path(name)}.npy" for name in "xy"), "--weights",
             self.path("nccl.safetensors"), "--steps", STEPS, "--no-shuffle", "--metrics", self.path("cpu-nccl.jsonl"))
        os.remove(self.path("nccl-cpu.dsplan"))

    def pack(self):
        plans = sorted(name for name in os.listdir(self.directory) if name.endswith(".dsplan"))
        call(sys.executable, os.path.join(ROOT, "tools/pack.py"), *(f"--plan={self.path(name)}" for name in plans),
             "-o", self.path("pack.tar.gz"))
        for name in os.listdir(self.directory):
            if name.endswith((".dsplan", ".pt")):
                os.remove(self.path(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--target-gpu", default="sm_90")
    arguments = parser.parse_args()
    folder = Folder(arguments.directory, arguments.target_gpu)
    folder.export()
    for precision in PRECISIONS:
        folder.plan(precision, precision)
        folder.reference(precision)
    for ranks in RANKS:
        for stage in STAGES:
            folder.plan(f"zero-{ranks}-{stage}", "f32", ranks, stage)
    folder.one_rank()
    folder.pack()


if __name__ == "__main__":
    main()
