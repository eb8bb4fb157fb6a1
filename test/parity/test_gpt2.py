"""The whole way against PyTorch: GPT-2 exported, planned with ds-opt, trained with ds-run.

DS_OPT and DS_RUN name the two programs (default: build/bin of this repository). PARITY_KEEP=DIR keeps the files.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import reference_train

DS_OPT = os.environ.get("DS_OPT", os.path.join(gpt2.ROOT, "build/bin/ds-opt"))
DS_RUN = os.environ.get("DS_RUN", os.path.join(gpt2.ROOT, "build/bin/ds-run"))
VARIANTS = [(size, attention) for size in gpt2.SIZES for attention in ("eager", "sdpa")]


def call(command, environment=None):
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                              env=os.environ | (environment or {}))
    if finished.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit code {finished.returncode}\n"
                             f"{finished.stdout[-4000:]}{finished.stderr[-4000:]}")
    return finished


class Workshop:
    """A directory with models, plans and runs; everything is made once, by name."""

    def __init__(self):
        keep = os.environ.get("PARITY_KEEP")
        self.directory = keep or tempfile.mkdtemp(prefix="deepshard-parity-")
        self.temporary = not keep
        os.makedirs(self.directory, exist_ok=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    @functools.cache
    def fast_links(self):
        """A cluster file: links so fast that splitting small models pays."""
        path = self.path("fast_links.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"device": {"memory_gib": 1, "memory_gb_per_s": 1,
                                  "matmul": {dtype: {"peak_tflops": 0.001} for dtype in ("f32", "f64", "bf16", "f16")}},
                       "tiers": [{"name": "host", "size": 8, "latency_us": 0.01, "gb_per_s": 10}]}, stream)
        return path

    def close(self):
        if self.temporary:
            shutil.rmtree(self.directory)

    @functools.cache
    def model(self, size, attention, dropout):
        path = self.path(f"{size}-{attention}-{dropout}.pt")
        script = os.path.join(gpt2.ROOT, "examples/export_hf.py")
        call([sys.executable, script, *gpt2.export_arguments(gpt2.SIZES[size], attention, path, dropout)])
        return path

    @functools.cache
    def data(self, size):
        path = self.path(f"{size}-rows.npy")
        np.save(path, gpt2.make_data(gpt2.SIZES[size])["input_ids"])
        return path

    @functools.cache
    def plan(self, size, attention, dropout=0.0, precision=None, micro=None, accumulation=2, threads=None,
             logit_chunks="auto"):
        name = f"{size}-{attention}-{dropout}-{precision}-{micro}-{accumulation}-{threads}-{logit_chunks}"
        shape = gpt2.SIZES[size]
        config = gpt2.make_config(shape, gradient_accumulation_steps=accumulation,
                                  train_micro_batch_size_per_gpu=micro or shape["micro"],
                                  deepshard={"logit_chunks": logit_chunks})
        with open(self.path(f"{name}.json"), "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        command = [DS_OPT, self.model(size, attention, dropout), "--config", self.path(f"{name}.json"),
                   "-o", self.path(f"{name}.dsplan")]
        for tensor in ("input_ids", "labels"):
            command += ["--input", f"{tensor}=i64[batchx{shape['seq']}]"]
        command += ["--precision", precision] if precision else []
        command += ["--threads", threads] if threads else []
        call(command)
        return self.path(f"{name}.dsplan")

    def run(self, size, plan, name, steps=gpt2.STEPS, options=()):
        """(metrics of every step, path of the saved weights)"""
        metrics, weights = self.path(f"{name}.jsonl"), self.path(f"{name}.safetensors")
        call([DS_RUN, plan, "--data", f"input_ids={self.data(size)}", "--data", f"labels={self.data(size)}",
              "--steps", steps, "--no-shuffle", "--metrics", metrics, "--save-weights", weights, *options])
        with open(metrics, encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        assert len(rows) == steps, f"{metrics} has {len(rows)} lines, expected {steps}"
        return rows, weights

    @functools.cache
    def reference(self, size, attention, dtype):
        shape = gpt2.SIZES[size]
        module = gpt2.build(shape, attention)
        return reference_train.train(module, gpt2.make_data(shape), gpt2.make_config(shape), gpt2.STEPS, dtype)


def relative(found, expected):
    return np.max(np.abs(np.asarray(found) - expected) / np.abs(expected))


def column(rows, key):
    return [row[key] for row in rows]


class GPT2Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in (DS_OPT, DS_RUN):
            if not os.path.exists(program):
                raise AssertionError(f"{program} does not exist; build it, or set DS_OPT and DS_RUN")
        cls.shop = Workshop()

    @classmethod
    def tearDownClass(cls):
        cls.shop.close()

    def test_f32_losses_norms_and_rates(self):
        for size, attention in VARIANTS:
            with self.subTest(size=size, attention=attention):
                rows, _ = self.shop.run(size, self.shop.plan(size, attention), f"{size}-{attention}-f32")
                expected = self.shop.reference(size, attention, torch.float32)
                worst = relative(column(rows, "loss"), expected.losses)
                print(f"{size} {attention} f32: losses within {worst:.2e} of PyTorch f32")
                self.assertLessEqual(worst, 2e-6)
                self.assertLessEqual(relative(column(rows, "grad_norm"), expected.grad_norms), 1e-4)
                np.testing.assert_allclose(column(rows, "lr"), expected.learning_rates, rtol=1e-6, atol=0)

    def test_f32_weights(self):
        for size, attention in VARIANTS:
            with self.subTest(size=size, attention=attention):
                _, path = self.shop.run(size, self.shop.plan(size, attention), f"{size}-{attention}-weights")
                found = load_file(path)
                single = self.shop.reference(size, attention, torch.float32)
                double = self.shop.reference(size, attention, torch.float64)
                self.assertLessEqual(set(double.weights), set(found))
                worst = 0.0
                for name, p64 in double.weights.items():
                    moved = torch.linalg.vector_norm(p64 - double.initial[name])
                    own = (torch.linalg.vector_norm(single.weights[name] - p64) / moved).item()
                    error = (torch.linalg.vector_norm(found[name].to(torch.float64) - p64) / moved).item()
                    worst = max(worst, error / (4 * own + 1e-5))
                    self.assertLessEqual(error, 4 * own + 1e-5, f"{name}: PyTorch's own error is {own:.3e}")
                print(f"{size} {attention} f32: weights at most {worst:.2f} of the bound")

    def test_f64_losses(self):
        for size, attention in VARIANTS:
            with self.subTest(size=size, attention=attention):
                rows, _ = self.shop.run(size, self.shop.plan(size, attention, precision="f64"), f"{size}-{attention}-f64")
                worst = relative(column(rows, "loss"), self.shop.reference(size, attention, torch.float64).losses)
                print(f"{size} {attention} f64: losses within {worst:.2e} of PyTorch f64")
                self.assertLessEqual(worst, 1e-9)

    def test_logits_in_chunks(self):
        """Samples, and pieces of samples, one after another: 3 x 17 rows in pieces of 9 and 8, 2 x 64 in pieces of 16."""
        for size, chunks, precision, dtype, bound in [("small", 5, "f64", torch.float64, 1e-9),
                                                      ("small", 2, None, torch.float32, 2e-6),
                                                      ("large", 8, None, torch.float32, 2e-6)]:
            with self.subTest(size=size, precision=precision):
                plan = self.shop.plan(size, "sdpa", precision=precision, logit_chunks=chunks)
                rows, _ = self.shop.run(size, plan, f"{size}-{precision}-chunks")
                expected = self.shop.reference(size, "sdpa", dtype)
                self.assertLessEqual(relative(column(rows, "loss"), expected.losses), bound)
                self.assertLessEqual(relative(column(rows, "grad_norm"), expected.grad_norms), 50 * bound)
                whole = self.shop.plan(size, "sdpa", precision=precision, logit_chunks=1)
                self.assertNotEqual(call([DS_RUN, plan, "--check"]).stdout, call([DS_RUN, whole, "--check"]).stdout)

    def test_two_runs_give_the_same_bits(self):
        plan = self.shop.plan("small", "sdpa", dropout=0.1)
        results = []
        for name in ("again-1", "again-2"):
            rows, path = self.shop.run("small", plan, name, options=["--seed", 3])
            with open(path, "rb") as stream:
                results.append((column(rows, "loss"), column(rows, "grad_norm"), stream.read()))
        self.assertEqual(results[0], results[1])

    def losses(self, name, plan, *options, steps=4):
        return column(self.shop.run("small", plan, name, steps=steps, options=options)[0], "loss")

    def test_dropout_does_not_depend_on_threads(self):
        for attention in ("eager", "sdpa"):
            with self.subTest(attention=attention):
                # A plan's workspaces are sized for its threads, so each number of threads has its own plan.
                plans = [self.shop.plan("small", attention, dropout=0.1, threads=threads) for threads in (1, 2, 3)]
                one, two, three = (self.losses(f"{attention}-threads-{i}", plan, "--seed", 3)
                                   for i, plan in enumerate(plans))
                other = self.losses(f"{attention}-other-seed", plans[0], "--seed", 4)
                # Another mask moves the loss far more than another order of summation does.
                self.assertLessEqual(relative(two, one), 1e-6)
                self.assertLessEqual(relative(three, one), 1e-6)
                self.assertGreater(relative(other, one), 1e-4)

    def test_dropout_does_not_depend_on_the_split_into_micro_batches(self):
        for attention in ("eager", "sdpa"):
            with self.subTest(attention=attention):
                whole = self.shop.plan("small", attention, dropout=0.1, micro=4, accumulation=1)
                split = self.shop.plan("small", attention, dropout=0.1, micro=2, accumulation=2)
                one = self.losses(f"{attention}-1x4", whole, "--seed", 3)
                two = self.losses(f"{attention}-2x2", split, "--seed", 3)
                other = self.losses(f"{attention}-2x2-other-seed", split, "--seed", 4)
                self.assertLessEqual(relative(two, one), 1e-6)
                self.assertGreater(relative(other, two), 1e-4)


if __name__ == "__main__":
    unittest.main()
