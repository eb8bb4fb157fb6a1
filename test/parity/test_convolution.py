"""Networks of convolutions: exported, planned with ds-opt, trained with ds-run, on one rank and on many.

DS_OPT and DS_RUN name the two programs (default: build/bin of this repository). PARITY_KEEP=DIR keeps the files.
"""

import copy
import functools
import json
import os
import sys
import unittest
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reference_train
from test_gpt2 import DS_OPT, DS_RUN, Workshop, call, column, relative

STEPS, MICRO, ROWS, SIZE, CLASSES = 12, 4, 24, 12, 5


class Network(torch.nn.Module):
    """Convolutions of all kinds: strided, padded, dilated, in groups, depthwise, 1x1; in one, two and three dimensions;
    with and without a bias."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.norm = torch.nn.GroupNorm(4, 16)
        self.depthwise = torch.nn.Conv2d(16, 16, 3, padding="same", dilation=2, groups=16, bias=False)
        self.wide = torch.nn.Conv2d(16, 32, 1)
        self.narrow = torch.nn.Conv2d(32, 16, (1, 3), padding=(0, 1), groups=2, bias=False)
        self.sequence = torch.nn.Conv1d(16, 12, 4, stride=3, padding=1)
        self.volume = torch.nn.Conv3d(3, 8, (2, 3, 1), padding=(1, 0, 0), stride=(1, 2, 1))
        self.head = torch.nn.Linear(8, CLASSES)

    def forward(self, pixels, labels):
        x = self.norm(self.stem(pixels.float() / 64 - 1))
        x = x + self.narrow(F.gelu(self.wide(self.depthwise(x)), approximate="tanh"))
        x = F.gelu(self.sequence(x.flatten(2)))
        x = self.volume(x.view(x.size(0), 3, 4, 4, 3))
        return F.cross_entropy(self.head(x.mean((2, 3, 4))), labels)


def make_config(**changes):
    return {"train_micro_batch_size_per_gpu": MICRO, "gradient_accumulation_steps": 2, "gradient_clipping": 1.0,
            "optimizer": {"type": "AdamW", "params": {"lr": 2e-3, "betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 0.01}},
            } | changes


def make_data():
    random = np.random.default_rng(4)
    return {"pixels": random.integers(0, 128, (ROWS, 3, SIZE, SIZE)), "labels": random.integers(0, CLASSES, ROWS)}


def export(network, data, path):
    example = tuple(torch.from_numpy(array[:MICRO]) for array in data.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, example, check_trace=False).save(path)


def train(shop, network, name, data, steps=STEPS, options=(), run_options=(), environment=None, **config):
    """The metrics of every step and the final weights of `network`.pt on NAME.npy."""
    path = shop.path(name)
    with open(f"{path}.json", "w", encoding="utf-8") as stream:
        json.dump(make_config(**config), stream)
    call([DS_OPT, shop.path(f"{network}.pt"), "--config", f"{path}.json", "-o", f"{path}.dsplan", *options,
          "--input", f"pixels=i64[batchx3x{SIZE}x{SIZE}]", "--input", "labels=i64[batch]"])
    call([DS_RUN, f"{path}.dsplan", *(word for tensor in data for word in ("--data", f"{tensor}={shop.path(tensor)}.npy")),
          "--steps", steps, "--no-shuffle", "--metrics", f"{path}.jsonl", "--save-weights", f"{path}.safetensors",
          "--timeout", "120", *run_options], environment)
    with open(f"{path}.jsonl", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream], load_file(f"{path}.safetensors")


class ConvolutionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)
        torch.manual_seed(3)
        cls.network = Network()
        cls.data = make_data()
        for name, array in cls.data.items():
            np.save(cls.shop.path(f"{name}.npy"), array)
        export(cls.network, cls.data, cls.shop.path("network.pt"))

    def train(self, name, precision, threads=1, options=(), **config):
        return train(self.shop, "network", name, self.data, options=["--threads", threads, "--precision", precision, *options],
                     **config)

    @functools.cache
    def one_rank(self, precision):
        return self.train(f"one-{precision}", precision)

    @functools.cache
    def reference(self, dtype):
        return reference_train.train(copy.deepcopy(self.network), self.data, make_config(), STEPS, dtype)

    def test_losses_and_norms(self):
        for precision, dtype, bound in (("f32", torch.float32, 2e-6), ("f64", torch.float64, 1e-12)):
            with self.subTest(precision=precision):
                rows, _ = self.one_rank(precision)
                expected = self.reference(dtype)
                worst = relative(column(rows, "loss"), expected.losses)
                norms = relative(column(rows, "grad_norm"), expected.grad_norms)
                print(f"{precision}: losses within {worst:.2e} of PyTorch, norms within {norms:.2e}")
                self.assertLess(expected.losses[-1], expected.losses[0])
                self.assertLessEqual(worst, bound)
                self.assertLessEqual(norms, 10 * bound)

    def test_weights(self):
        """Updates are within 1e-5 of PyTorch's in f64, and in f32 as near to them as PyTorch's in f32 are, but for a factor."""
        double, single = self.reference(torch.float64), self.reference(torch.float32)
        for precision in ("f64", "f32"):
            _, found = self.one_rank(precision)
            for name, expected in double.weights.items():
                with self.subTest(precision=precision, name=name):
                    moved = torch.linalg.vector_norm(expected - double.initial[name])
                    own = torch.linalg.vector_norm(single.weights[name] - expected) / moved
                    error = torch.linalg.vector_norm(torch.from_numpy(found[name]).double() - expected) / moved
                    self.assertLessEqual(error.item(), 1e-5 + (4 * own.item() if precision == "f32" else 0))

    def test_runs_give_the_same_bits(self):
        for threads in (1, 2):
            with self.subTest(threads=threads):
                (rows, weights), (again, other) = (self.train(f"bits-{threads}-{i}", "f32", threads) for i in range(2))
                self.assertEqual(column(rows, "loss"), column(again, "loss"))
                for name, tensor in weights.items():
                    self.assertEqual(tensor.tobytes(), other[name].tobytes(), name)

    def test_ranks(self):
        """Batch, output channels, input channels and groups over ranks: the losses of one rank."""
        pins = {"stem.weight": ["tensor", [], [], []], "stem.bias": ["tensor"], "depthwise.weight": ["tensor", [], [], []],
                "wide.weight": ["tensor", [], [], []], "wide.bias": ["tensor"], "narrow.weight": ["tensor", [], [], []],
                "sequence.weight": [[], "tensor", []], "volume.weight": ["tensor", [], [], [], []]}
        pinned, found = {"layouts": "pinned", "pins": pins}, {}
        for precision, (data, tensor), layouts in (("f64", (2, 1), found), ("f64", (1, 2), pinned), ("f64", (1, 2), found),
                                                   ("f32", (2, 2), pinned), ("f32", (2, 2), found), ("f32", (4, 1), found)):
            with self.subTest(precision=precision, data=data, tensor=tensor, found=not layouts):
                own = {"mesh": {"data": data, "tensor": tensor}} | layouts
                rows, weights = self.train(f"ranks-{precision}-{data}-{tensor}", precision,
                                           options=["--cluster", self.shop.fast_links()], train_micro_batch_size_per_gpu=MICRO // data, deepshard=own,
                                           zero_optimization={"stage": 2})
                expected, whole = self.one_rank(precision)
                bound = 2e-6 if precision == "f32" else 1e-11
                self.assertLessEqual(relative(column(rows, "loss"), column(expected, "loss")), bound)
                self.assertLessEqual(relative(column(rows, "grad_norm"), column(expected, "grad_norm")), 10 * bound)
                self.assertEqual({k: v.shape for k, v in weights.items()}, {k: v.shape for k, v in whole.items()})


if __name__ == "__main__":
    unittest.main()
