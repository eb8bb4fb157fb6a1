"""Layouts that are found for a Llama, a BERT, a ViT and a mixture of experts: ds-run's ranks against one rank.

Links cost nearly nothing, so that small models are split too.
"""

import json
import os
import sys
import unittest

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
from test_gpt2 import DS_OPT, DS_RUN, Workshop, call

# All tokens go to all experts, as zeros where the router chose another one.
EXPERTS = """
import torch
from torch import nn
from torch.nn import functional as F


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.head = nn.Embedding(46, 32), nn.LayerNorm(32), nn.Linear(32, 46)
        self.router = nn.Linear(32, 4)
        self.up, self.down = nn.Parameter(torch.randn(4, 32, 64) * 0.1), nn.Parameter(torch.randn(4, 64, 32) * 0.1)

    def forward(self, input_ids, labels):
        x = self.embedding(input_ids)
        y = self.norm(x).reshape(-1, 32)
        gates = F.softmax(self.router(y), dim=-1)
        chosen = gates * (gates == gates.amax(dim=-1, keepdim=True)).to(gates.dtype)
        dispatched = y[None] * chosen.transpose(0, 1)[:, :, None]
        z = torch.bmm(F.gelu(torch.bmm(dispatched, self.up)), self.down).sum(dim=0)
        logits = self.head(x + z.reshape(x.shape))
        return F.cross_entropy(logits.reshape(-1, 46), labels.reshape(-1))


def factory():
    torch.manual_seed(0)
    ids = torch.zeros(2, 8, dtype=torch.int64)
    return Experts(), {"input_ids": ids, "labels": ids}
"""
ENCODER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
TOKENS = {"input_ids": ((8,), 46), "labels": ((8,), 46)}  # shape of a row, and how many classes; 0: floats
FAMILIES = {
    "llama": ({"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 8,
               "num_key_value_heads": 4, "vocab_size": 46, "max_position_embeddings": 8}, TOKENS),
    "bert": (ENCODER | {"vocab_size": 46, "max_position_embeddings": 8}, TOKENS),
    "vit": (ENCODER | {"image_size": 8, "patch_size": 4}, {"pixel_values": ((3, 8, 8), 0), "labels": ((), 2)}),
    "experts": ({}, TOKENS),
}
STEPS, ROWS, MICRO = 6, 24, 4
BOUND = {"f32": 2e-6, "f64": 1e-9}
# Norms of differences, relative to norms above 1. The gradient of the bias of keys is zero up to rounding, of which AdamW
# makes steps.
WEIGHT_BOUND = {"f32": 5e-4, "f64": 1e-9}


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)

    def export(self, family):
        path = self.shop.path(f"{family}.pt")
        settings, inputs = FAMILIES[family]
        arguments = [family, "--seq", "8", *(f"--set={key}={json.dumps(value)}" for key, value in settings.items())]
        if family == "experts":
            with open(self.shop.path("experts.py"), "w", encoding="utf-8") as stream:
                stream.write(EXPERTS)
            arguments = ["--module", self.shop.path("experts.py") + ":factory"]
        call([sys.executable, os.path.join(gpt2.ROOT, "examples/export_hf.py"), *arguments, "-o", path])
        random, data = np.random.default_rng(3), []
        for name, (shape, classes) in inputs.items():
            array = random.integers(0, classes, (ROWS, *shape)) if classes else random.normal(size=(ROWS, *shape))
            np.save(self.shop.path(f"{family}-{name}.npy"), array.astype(np.int64 if classes else np.float32))
            data += ["--data", f"{name}={self.shop.path(f'{family}-{name}.npy')}"]
        return path, data

    def plan(self, family, model, precision, data, tensor):
        base = self.shop.path(f"{family}-{precision}-{data}x{tensor}")
        config = gpt2.make_config({"micro": MICRO // data}, deepshard={"mesh": {"data": data, "tensor": tensor}},
                                  zero_optimization={"stage": 1})
        with open(f"{base}.json", "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        inputs = []
        for name, (shape, classes) in FAMILIES[family][1].items():
            inputs += ["--input", f"{name}={'i64' if classes else 'f32'}[{'x'.join(map(str, ('batch', *shape)))}]"]
        call([DS_OPT, model, "--config", f"{base}.json", "--cluster", self.shop.fast_links(), "--precision", precision, "--threads", "1",
              *inputs, "-o", f"{base}.dsplan"])
        return f"{base}.dsplan"

    def train(self, plan, data):
        call([DS_RUN, plan, *data, "--steps", STEPS, "--no-shuffle", "--metrics", f"{plan}.jsonl", "--save-weights",
              f"{plan}.safetensors", "--timeout", "120"])
        with open(f"{plan}.jsonl", encoding="utf-8") as stream:
            return [json.loads(line) for line in stream], load_file(f"{plan}.safetensors")

    def test_found_plans(self):
        for family in FAMILIES:
            model, data = self.export(family)
            for precision, bound in BOUND.items():
                reference, whole = self.train(self.plan(family, model, precision, 1, 1), data)
                for mesh in ((1, 2), (2, 2), (1, 4)):
                    with self.subTest(family=family, precision=precision, mesh=mesh):
                        plan = self.plan(family, model, precision, *mesh)
                        self.assertRegex(call([DS_RUN, plan, "--check"]).stdout, r"over tensor \(")
                        metrics, weights = self.train(plan, data)
                        for step, expected in zip(metrics, reference, strict=True):
                            for metric, most in (("loss", bound), ("grad_norm", 10 * bound)):
                                self.assertLessEqual(abs(step[metric] - expected[metric]), most * abs(expected[metric]))
                        self.assertEqual({k: v.shape for k, v in weights.items()}, {k: v.shape for k, v in whole.items()})
                        for name, tensor in weights.items():
                            apart = float(np.linalg.norm(tensor - whole[name]) / max(np.linalg.norm(whole[name]), 1))
                            self.assertLessEqual(apart, WEIGHT_BOUND[precision], name)


if __name__ == "__main__":
    unittest.main()
