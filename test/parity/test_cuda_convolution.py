"""Networks of convolutions planned for GPUs, on the CUDA runtime without a GPU of test_cuda.py; a CPU is the oracle."""

import os
import sys
import unittest

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_convolution
import test_cuda
from test_gpt2 import Workshop

STEPS = 4


class VisionTransformer(torch.nn.Module):
    """Patches by a convolution, a token for the class, layers of attention without mask and of a GELU."""

    def __init__(self, width=32, patch=3, heads=4, layers=2):
        super().__init__()
        self.heads = heads
        self.patches = torch.nn.Conv2d(3, width, patch, stride=patch)
        self.first = torch.nn.Parameter(torch.zeros(1, 1, width))
        self.places = torch.nn.Parameter(0.02 * torch.randn(1, (test_convolution.SIZE // patch) ** 2 + 1, width))
        self.layers = torch.nn.ModuleList(torch.nn.ModuleDict({
            "norm": torch.nn.LayerNorm(width), "qkv": torch.nn.Linear(width, 3 * width), "out": torch.nn.Linear(width, width),
            "norm2": torch.nn.LayerNorm(width), "up": torch.nn.Linear(width, 4 * width), "down": torch.nn.Linear(4 * width, width),
        }) for _ in range(layers))
        self.norm = torch.nn.LayerNorm(width)
        self.head = torch.nn.Linear(width, test_convolution.CLASSES)

    def forward(self, pixels, labels):
        x = self.patches(pixels.float() / 64 - 1).flatten(2).transpose(1, 2)
        x = torch.cat((self.first.expand(x.size(0), -1, -1), x), 1) + self.places
        for layer in self.layers:
            q, k, v = layer["qkv"](layer["norm"](x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            x = x + layer["out"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = x + layer["down"](F.gelu(layer["up"](layer["norm2"](x)), approximate="tanh"))
        return F.cross_entropy(self.head(self.norm(x[:, 0])), labels)


@unittest.skipUnless(os.path.exists(test_cuda.FAKE), "built without CUDA")
class CudaConvolution(unittest.TestCase):
    NETWORKS = {"vit": VisionTransformer, "network": test_convolution.Network}

    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)
        cls.data = test_convolution.make_data()
        for name, array in cls.data.items():
            np.save(cls.shop.path(f"{name}.npy"), array)
        for name, network in cls.NETWORKS.items():
            torch.manual_seed(5)
            test_convolution.export(network(), cls.data, cls.shop.path(f"{name}.pt"))

    def train(self, network, name, precision, gpu):
        config = {"bf16": {"enabled": True}} if precision == "bf16" else {}
        return test_convolution.train(
            self.shop, network, f"{network}-{name}", self.data, steps=STEPS, options=["--target-gpu", "sm_90"] if gpu else [],
            run_options=test_cuda.OPTIONS if gpu else [], environment=test_cuda.ENVIRONMENT if gpu else None, **config)

    def test_losses(self):
        """As on the CPU: 1e-5 in f32, 1 % in bf16. The kernels of cuDNN are named in the plan."""
        for network in self.NETWORKS:
            for precision, bound in (("f32", 1e-5), ("bf16", 1e-2)):
                with self.subTest(network=network, precision=precision):
                    found, _ = self.train(network, f"{precision}-gpu", precision, gpu=True)
                    expected, _ = self.train(network, f"{precision}-cpu", precision, gpu=False)
                    with open(self.shop.path(f"{network}-{precision}-gpu.dsplan"), "rb") as file:
                        plan = file.read()
                    self.assertIn(b"cudnn", plan)
                    self.assertIn(b"convolution_weight_grad", plan)
                    for step, reference in zip(found, expected, strict=True):
                        for name, limit in (("loss", bound), ("grad_norm", 10 * bound)):
                            self.assertLessEqual(abs(step[name] - reference[name]), limit * abs(reference[name]), name)


if __name__ == "__main__":
    unittest.main()
