"""Mixed precision against PyTorch: GPT-2 with parameters in bf16 and under autocast follows torch.autocast on the CPU."""

import functools
import json
import os
import struct
import sys
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import reference_train
from test_gpt2 import DS_OPT, DS_RUN, Workshop, call, column, relative

SIZE = {"n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 131, "n_positions": 40, "seq": 33, "micro": 4}
STEPS = 100
# A plan for CPUs without bf16 instructions multiplies in f32.
STORED = "bf16 for x86-64-v3"
MODES = {"bf16": {"bf16": {"enabled": True}}, STORED: {"bf16": {"enabled": True}},
         "autocast": {"torch_autocast": {"enabled": True}}, "f32": {}}


class Trainer(unittest.TestCase):
    """Trains the model under `modes`: keys of the configuration by name."""

    modes = {}
    options = {}  # of ds-opt, by mode

    @classmethod
    def make_config(cls, mode):
        optimizer = {"type": "AdamW", "params": {"lr": 1e-3, "betas": [0.9, 0.95], "weight_decay": 0.1}}
        return gpt2.make_config(SIZE, optimizer=optimizer, gradient_clipping=1.0,
                                scheduler={"type": "WarmupLR", "params": {"warmup_num_steps": 10}}) | cls.modes[mode]

    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)
        cls.archive = cls.shop.path("model.pt")
        script = os.path.join(gpt2.ROOT, "examples/export_hf.py")
        call([sys.executable, script, *gpt2.export_arguments(SIZE, "sdpa", cls.archive)])
        cls.rows = cls.shop.path("rows.npy")
        np.save(cls.rows, gpt2.make_data(SIZE)["input_ids"])

    @classmethod
    @functools.cache
    def plan(cls, mode):
        path = cls.shop.path(mode)
        with open(f"{path}.json", "w", encoding="utf-8") as stream:
            json.dump(cls.make_config(mode), stream)
        inputs = [f"--input={name}=i64[batchx{SIZE['seq']}]" for name in ("input_ids", "labels")]
        call([DS_OPT, cls.archive, *inputs, "--config", f"{path}.json", "-o", f"{path}.dsplan", "--threads", "1",
              *cls.options.get(mode, ())])
        return f"{path}.dsplan"

    @classmethod
    def data(cls):
        """What tells ds-run of the rows."""
        return ["--data", f"input_ids={cls.rows}", "--data", f"labels={cls.rows}", "--no-shuffle"]

    @classmethod
    @functools.cache
    def train(cls, mode):
        """(metrics of every step, text of `ds-run --check`, path of the weights)"""
        plan, path = cls.plan(mode), cls.shop.path(mode)
        call([DS_RUN, plan, *cls.data(), "--steps", STEPS, "--metrics", f"{path}.jsonl", "--save-weights",
              f"{path}.safetensors"])
        with open(f"{path}.jsonl", encoding="utf-8") as stream:
            metrics = [json.loads(line) for line in stream]
        return metrics, call([DS_RUN, plan, "--check"]).stdout, f"{path}.safetensors"


class MixedPrecision(Trainer):
    modes = MODES
    options = {STORED: ("--target-cpu", "x86-64-v3")}

    @classmethod
    @functools.cache
    def reference(cls):
        return reference_train.train(gpt2.build(SIZE, "sdpa"), gpt2.make_data(SIZE), cls.make_config("autocast"), STEPS,
                                     autocast=torch.bfloat16)

    def test_losses_follow_autocast(self):
        """Within 1 % at each of 100 steps, and within 0.1 % of the mean: no drift to one side."""
        expected = np.asarray(self.reference().losses)
        self.assertLess(expected[-1], 0.75 * expected[0], "the model learns nothing")
        for mode in ("bf16", STORED, "autocast"):
            with self.subTest(mode=mode):
                found = np.asarray(column(self.train(mode)[0], "loss"))
                worst = relative(found, expected)
                print(f"{mode}: losses within {worst:.2e} of torch.autocast, mean within "
                      f"{abs(found.mean() / expected.mean() - 1):.2e}")
                self.assertLessEqual(worst, 0.01)
                self.assertLessEqual(abs(found.mean() / expected.mean() - 1), 0.001)

    def test_products_are_in_bf16(self):
        """Losses differ from those of f32, by what bf16 rounds: more than f32 would, less than 1 %."""
        single = column(self.train("f32")[0], "loss")
        for mode in ("bf16", STORED, "autocast"):
            with self.subTest(mode=mode):
                apart = relative(column(self.train(mode)[0], "loss")[:20], single[:20])
                self.assertGreater(apart, 1e-6)
                self.assertLess(apart, 0.01)

    def test_saved_weights_are_masters(self):
        """Names and shapes are those of f32; the numbers have more digits than bf16."""
        def header(path):
            with open(path, "rb") as stream:
                return json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))

        self.assertEqual(header(self.train("bf16")[2]), header(self.train("f32")[2]))
        words = np.fromfile(self.train("bf16")[2], dtype=np.uint32)
        self.assertGreater(np.mean(words & 0xFFFF != 0), 0.9)

    def test_plan_says_so(self):
        self.assertIn(", bf16\n", self.train("bf16")[1])
        self.assertIn("buckets of kind master", self.train("bf16")[1])
        self.assertNotIn("buckets of kind master", self.train("autocast")[1])
        self.assertIn("for x86-64-v3 with", self.train(STORED)[1])

    def test_resumes_from_saved_weights(self):
        """A plan started from the weights that another run saved computes with their rounded copies."""
        path = self.shop.path("resumed.jsonl")
        weights = self.train("bf16")[2]
        call([DS_RUN, self.plan("bf16"), "--weights", weights, *self.data(), "--steps", 1, "--metrics", path])
        with open(path, encoding="utf-8") as stream:
            first = json.loads(stream.readline())["loss"]
        tail = np.mean(column(self.train("bf16")[0], "loss")[-10:])
        self.assertLess(abs(first / tail - 1), 0.1)


if __name__ == "__main__":
    unittest.main()
