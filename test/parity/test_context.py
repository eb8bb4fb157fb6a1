"""Sequences split over the context axis against one rank: GPT-2 and a Llama with grouped heads, by heads (Ulysses) and by
blocks of keys and values that go round (ring attention), alone and with data and tensor ranks.

One rank with the same global batch is the oracle (test_gpt2.py compares that with PyTorch).
"""

import functools
import json
import os
import re
import subprocess
import sys
import unittest

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
from test_gpt2 import DS_OPT, DS_RUN, Workshop, call

def gpt2_shape(**changes):
    settings = {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 131, "n_positions": 40} | changes
    return {"type": "gpt2", "settings": settings, "pins": gpt2.PINS, "seq": 32, "micro": 4,
            "vocab_size": settings["vocab_size"]}


# Written as no library writes it: logits are shifted against labels, so the loss sees a row less than divides, and two of
# three attentions have a mask along the sequence, which does not fit a ring; their heads divide by 2, not by 4.
SHIFTING = """
import torch
from torch import nn
from torch.nn import functional as F


class Shifting(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(131, 24), nn.Embedding(40, 24)
        self.projections = nn.ModuleList(nn.Linear(24, 72) for _ in range(3))
        self.norms = nn.ModuleList(nn.LayerNorm(24) for _ in range(4))
        self.head = nn.Linear(24, 131)

    def forward(self, input_ids, labels):
        batch, seq = input_ids.shape
        at = torch.arange(seq)
        x = self.embedding(input_ids) + self.positions(at)
        window = (at[None, :] <= at[:, None]) & (at[None, :] > at[:, None] - 7)
        bias = torch.where(at[None, :] <= at[:, None], (at[None, :] - at[:, None]) * 0.1, -torch.inf)
        for projection, norm, mask in zip(self.projections, self.norms, (None, window, bias)):
            q, k, v = projection(norm(x)).reshape(batch, seq, 3, 2, 12).permute(2, 0, 3, 1, 4)
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            x = x + o.transpose(1, 2).reshape(batch, seq, 24)
        logits = self.head(self.norms[3](x))[:, :-1]
        return F.cross_entropy(logits.reshape(-1, 131), labels[:, 1:].reshape(-1))


def factory():
    torch.manual_seed(0)
    ids = torch.zeros(2, 32, dtype=torch.int64)
    return Shifting(), {"input_ids": ids, "labels": ids}
"""
SHAPES = {
    "shifting": {"type": "module", "seq": 32, "micro": 4, "vocab_size": 131},
    "gpt2": gpt2_shape(),
    "gpt2 with dropout": gpt2_shape(resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1),
    "gpt2 in thirds": gpt2_shape() | {"seq": 33},
    # Two heads of queries to one of keys.
    "llama": {"type": "llama", "pins": gpt2.LLAMA_PINS, "seq": 32, "micro": 4, "vocab_size": 131,
              "settings": {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
                           "num_key_value_heads": 2, "vocab_size": 131, "max_position_embeddings": 40}},
    "llama with more heads": {"type": "llama", "seq": 32, "micro": 4, "vocab_size": 131,
                              "settings": {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2,
                                           "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 131,
                                           "max_position_embeddings": 40}},
    # Activations outweigh everything else.
    "long": gpt2_shape(n_embd=64, n_head=8, vocab_size=64, n_positions=2048) | {"seq": 2048, "micro": 1},
}
STEPS = 6
MIXES = [(2, 2, 1), (1, 2, 2), (2, 2, 2), (2, 4, 1), (1, 4, 2)]  # data, context, tensor
BOUND = {"f32": 2e-6, "f64": 1e-9}
# Norms of differences. The gradient of the bias of keys is zero up to rounding, of which AdamW makes steps in f32.
WEIGHT_BOUND = {"f32": 5e-4, "f64": 1e-9}


class Context(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)

    @classmethod
    def model(cls, size):
        return cls._model(size)

    @classmethod
    @functools.cache
    def _model(cls, size):
        shape, path = SHAPES[size], cls.shop.path(f"context-{size}.pt")
        if shape["type"] == "module":
            with open(cls.shop.path("shifting.py"), "w", encoding="utf-8") as stream:
                stream.write(SHIFTING)
            call([sys.executable, os.path.join(gpt2.ROOT, "examples/export_hf.py"), "--module",
                  cls.shop.path("shifting.py") + ":factory", "-o", path])
            return path
        settings = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if shape["type"] == "gpt2" else {}
        settings |= shape["settings"]
        call([sys.executable, os.path.join(gpt2.ROOT, "examples/export_hf.py"), shape["type"],
              *(f"--set={key}={value}" for key, value in settings.items()), "--seq", str(shape["seq"]), "-o", path])
        return path

    @classmethod
    @functools.cache
    def data(cls, size):
        """Ids and labels; every row has another number of labels that do not count, most of them in its first piece."""
        ids = gpt2.make_data(SHAPES[size])["input_ids"]
        labels = ids.copy()
        for row in range(len(labels)):
            labels[row, : (row * 5) % (SHAPES[size]["seq"] - 2)] = -100
        paths = [cls.shop.path(f"context-{size}-{name}.npy") for name in ("ids", "labels")]
        for path, array in zip(paths, (ids, labels)):
            np.save(path, array)
        return paths

    @classmethod
    def command(cls, name, size, mesh=(1, 1, 1), precision="f32", accumulation=2, zero=None, sequence=None, **own):
        data, context, tensor = mesh
        shape = SHAPES[size]
        config = gpt2.make_config(shape, gradient_accumulation_steps=accumulation,
                                  train_micro_batch_size_per_gpu=shape["micro"] // data)
        config["zero_optimization"] = {"stage3_param_persistence_threshold": 40} | (zero or {})
        config["deepshard"] = {"mesh": {"data": data, "context": context, "tensor": tensor}, "bucket_size": 6000} | own
        if tensor > 1:
            config["deepshard"]["pins"] = shape["pins"]
        path = cls.shop.path(f"context-{name}")
        with open(f"{path}.json", "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        sequence = sequence or f"{shape['seq']}@context"
        return [DS_OPT, cls.model(size), "--config", f"{path}.json", "-o", f"{path}.dsplan", "--threads", "1",
                "--precision", precision, "--input", f"input_ids=i64[batchx{sequence}]",
                "--input", f"labels=i64[batchx{sequence}]"]

    @classmethod
    def plan(cls, name, size, *arguments, **options):
        command = cls.command(name, size, *arguments, **options)
        call(command)
        return command[command.index("-o") + 1]

    def assert_refused(self, expected, *arguments, **options):
        finished = subprocess.run(self.command(*arguments, **options), capture_output=True, text=True)
        self.assertEqual(finished.returncode, 1, finished.stderr)
        self.assertRegex(finished.stderr, expected)
        return finished.stderr

    @classmethod
    def train(cls, plan, size):
        ids, labels = cls.data(size)
        call([DS_RUN, plan, "--data", f"input_ids={ids}", "--data", f"labels={labels}", "--steps", STEPS, "--no-shuffle",
              "--metrics", f"{plan}.jsonl", "--save-weights", f"{plan}.safetensors", "--timeout", "120"])
        with open(f"{plan}.jsonl", encoding="utf-8") as stream:
            return [json.loads(line) for line in stream], load_file(f"{plan}.safetensors")

    @classmethod
    @functools.cache
    def one_rank(cls, size, precision):
        return cls.train(cls.plan(f"one-{size}-{precision}", size, precision=precision), size)

    def assert_as_one_rank(self, size, precision, mesh, attention, **options):
        with self.subTest(size=size, precision=precision, mesh=mesh, attention=attention):
            name = f"{size}-{precision}-{mesh}-{attention}"
            plan = self.plan(name, size, mesh, precision=precision, attention=attention, **options)
            metrics, weights = self.train(plan, size)
            reference, whole = self.one_rank(size, precision)
            for step, expected in zip(metrics, reference, strict=True):
                for metric, bound in (("loss", BOUND[precision]), ("grad_norm", 10 * BOUND[precision])):
                    self.assertLessEqual(abs(step[metric] - expected[metric]), bound * abs(expected[metric]),
                                         f"{metric} of step {step['step']}")
            self.assertEqual({k: v.shape for k, v in weights.items()}, {k: v.shape for k, v in whole.items()})
            for key, tensor in weights.items():
                apart = float(np.linalg.norm(tensor - whole[key]) / np.linalg.norm(whole[key]))
                self.assertLessEqual(apart, WEIGHT_BOUND[precision], key)
            return call([DS_RUN, plan, "--check"]).stdout

    @staticmethod
    def kinds_over_context(text):
        return set(re.findall(r"(\w+) over context \(", text))

    def test_two_and_four_ranks(self):
        """Both ways, causal, with and without grouped heads: losses and gradient norms of one rank."""
        for precision in BOUND:
            for context in (2, 4):
                for size, attention in (("gpt2", "ulysses"), ("gpt2", "ring"), ("llama", "ring"),
                                        ("llama with more heads", "ulysses")):
                    text = self.assert_as_one_rank(size, precision, (1, context, 1), attention)
                    kinds = self.kinds_over_context(text)
                    self.assertIn("permute" if attention == "ring" else "all_to_all", kinds)
                    self.assertNotIn("all_to_all" if attention == "ring" else "permute", kinds)

    def test_with_data_and_tensor_ranks(self):
        """Up to 8 ranks, with every stage of ZeRO."""
        for stage, mesh in zip((2, 0, 3, 1, 3), MIXES):
            for size in ("gpt2", "llama"):
                attention = "ring" if size == "llama" else "auto"
                self.assert_as_one_rank(size, "f64", mesh, attention, zero={"stage": stage})
        self.assert_as_one_rank("gpt2", "f32", (2, 2, 2), "ring", zero={"stage": 3})
        self.assert_as_one_rank("gpt2", "f32", (2, 2, 2), "ulysses", zero={"stage": 2}, gradient_reduction="micro_batch")

    def test_groups_of_data_ranks(self):
        """MiCS: parts are reduced over the other groups and over ranks with other pieces."""
        self.assert_as_one_rank("gpt2", "f64", (4, 2, 1), "ring", zero={"stage": 3, "mics_shard_size": 2})

    def test_masks_and_shifted_logits(self):
        """What fits neither way is gathered, and right: masks along the sequence, a loss of a row less than divides."""
        for context in (2, 4):
            self.assert_as_one_rank("shifting", "f64", (1, context, 1), "auto")

    def test_dropout(self):
        """An element is dropped on whichever rank it is."""
        for attention in ("ulysses", "ring"):
            self.assert_as_one_rank("gpt2 with dropout", "f64", (1, 4, 1), attention)

    def test_auto(self):
        """Without a search heads where those of keys and values divide, else blocks. The search chooses one of them too: with
        tensor ranks nothing is gathered but what the loss shifts."""
        def kinds(mesh, layouts):
            text = call([DS_RUN, self.plan(f"auto-{mesh}-{layouts}", "llama", mesh, layouts=layouts), "--check"]).stdout
            gathered = re.findall(r"all_gather over context .*a rank sends ([\d.]+)", text)
            self.assertLessEqual(sum(map(float, gathered)), 0.01)
            return self.kinds_over_context(text)

        for mesh, expected in [((1, 2, 1), "all_to_all"), ((1, 4, 1), "permute"), ((1, 2, 2), "permute")]:
            self.assertIn(expected, kinds(mesh, "pinned"))
        self.assertIn("permute", kinds((1, 4, 1), "auto"))
        self.assertTrue({"permute", "all_to_all"} & kinds((1, 2, 2), "auto"))

    def test_zero_bits(self):
        """Stages 0 to 3 give the same bits, whether context ranks halve down to one or not."""
        for size, context, stages in [("gpt2 with dropout", 2, range(4)), ("gpt2 in thirds", 3, (0, 2))]:
            first = None
            for stage in stages:
                plan = self.plan(f"bits-{context}-{stage}", size, (2, context, 1), attention="ring", zero={"stage": stage})
                metrics, weights = self.train(plan, size)
                found = [(step["loss"], step["grad_norm"]) for step in metrics]
                first = first or (found, weights)
                self.assertEqual(found, first[0])
                for name, tensor in first[1].items():
                    self.assertEqual(weights[name].tobytes(), tensor.tobytes(), name)

    def test_memory_and_traffic(self):
        """Activations of a long sequence fall as 1 / context; only what must move does."""
        shape = SHAPES["long"]
        settings = shape["settings"]
        whole = None
        for context, attention in [(1, "auto"), (2, "ring"), (4, "ring"), (2, "ulysses"), (4, "ulysses")]:
            with self.subTest(context=context, attention=attention):
                plan = self.plan(f"long-{context}-{attention}", "long", (1, context, 1), accumulation=1, attention=attention)
                text = call([DS_RUN, plan, "--check"]).stdout
                # All that lives at once but parameters, optimizer state and gradients.
                held = sum(map(float, re.findall(r"arena \d+.*: ([\d.]+) MiB", text)))
                held -= sum(map(float, re.findall(r"\d (?:persistent|step) buffers: ([\d.]+) MiB", text)))
                whole = whole or held
                self.assertLessEqual(held, 1.1 * whole / context)
                # k and v go round in the forward and the backward, dk and dv in the backward.
                if attention == "ring":
                    block = shape["seq"] / context * settings["n_embd"] * 4 / 2**20
                    calls, sent = re.search(r"permute over context .*: (\d+) a step, a rank sends ([\d.]+) MiB", text).groups()
                    hops = settings["n_layer"] * (2 * 2 * (context - 1) + 2 * context)
                    self.assertEqual(int(calls), hops)
                    self.assertAlmostEqual(float(sent), hops * block, delta=0.002)
                # The labels, which the loss shifts, are all that is gathered.
                gathered = [float(sent) for sent in re.findall(r"all_gather over context .*: 1 a step, a rank sends ([\d.]+)", text)]
                self.assertLessEqual(sum(gathered), shape["seq"] * 8 / 2**20)

    def test_refusals(self):
        self.assert_refused("deepshard.mesh.context is 2, but no input says which of its dimensions that splits; mark the "
                            "sequence of each with @context", "unmarked", "gpt2", (1, 2, 1), sequence="32")
        text = self.assert_refused("--input labels: dimension 1 of size 32 does not split over deepshard.mesh.context = 3; "
                                   "choose a size that divides it", "uneven", "gpt2", (1, 3, 1))
        self.assertIn("--input input_ids: dimension 1 of size 32", text)
        self.assert_refused("'@contxt' is no axis that cuts an input; only @context is", "unknown", "gpt2", (1, 2, 1),
                            sequence="32@contxt")
        text = self.assert_refused(r'2 key/value heads do not split over {"context"} of size 4 as deepshard.attention '
                                   '"ulysses" asks', "heads", "llama", (1, 4, 1), attention="ulysses")
        self.assertEqual(text.count("key/value heads"), 1, text)
        self.assertIn("model.layers.0.self_attn", text)


if __name__ == "__main__":
    unittest.main()
