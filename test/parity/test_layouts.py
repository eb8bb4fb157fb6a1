"""Layouts that ds-opt finds for an exported GPT-2, beside Megatron's pins."""

import itertools
import json
import os
import re
import sys
import unittest

import gpt2
from test_gpt2 import DS_OPT, Workshop, call

# The widths of GPT-2 124M; two of its layers.
SIZE = {"n_layer": 2, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024, "seq": 1024, "micro": 1}
MESHES = [(1, 2), (1, 4), (2, 2), (2, 4), (8, 4)]


class Layouts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)
        cls.model = cls.shop.path("gpt2.pt")
        script = os.path.join(gpt2.ROOT, "examples/export_hf.py")
        call([sys.executable, script, *gpt2.export_arguments(SIZE, "sdpa", cls.model, 0.0), "--meta"])

    def explain(self, data, tensor, emit="plan", micro=SIZE["micro"], options=(), **own):
        """What ds-opt says of a plan, and the file."""
        config = gpt2.make_config(SIZE, gradient_accumulation_steps=1, train_micro_batch_size_per_gpu=micro)
        config["deepshard"] = {"mesh": {"data": data, "tensor": tensor}} | own
        path = self.shop.path("config.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        command = [DS_OPT, self.model, "--config", path, *options, "--threads", "1", "--explain", "--emit", emit, "-o",
                   self.shop.path("out")]
        for name in ("input_ids", "labels"):
            command += ["--input", f"{name}=i64[batchx{SIZE['seq']}]"]
        text = call(command).stderr
        with open(self.shop.path("out"), "rb") as stream:
            return text, stream.read()

    def test_bytes(self):
        """On GPUs a rank sends no more in a step than with Megatron's pins."""
        cluster = os.path.join(gpt2.ROOT, "examples/clusters/h100x64.json")

        def sent(data, tensor, **own):
            text, _ = self.explain(data, tensor, options=["--cluster", cluster], **own)
            return sum(float(mebibytes) for mebibytes in re.findall(r"a step, a rank sends ([\d.]+) MiB", text))

        for (data, tensor), micro in itertools.product(MESHES, (1, 8)):
            with self.subTest(data=data, tensor=tensor, micro=micro):
                found = sent(data, tensor, micro=micro)
                pinned = sent(data, tensor, micro=micro, layouts="pinned", pins=gpt2.PINS)
                self.assertGreater(found, 0)
                self.assertLessEqual(found, pinned)

    def test_why_not(self):
        """What a question is answered is what a plan with that pin takes, also where the projection is fused."""
        name = "transformer.h.1.attn.c_attn.weight"
        for layout in ([[], []], ["tensor", []], [[], "tensor"]):
            with self.subTest(layout=layout):
                answer, _ = self.explain(2, 2, emit="annotated", options=["--why-not", f"{name}={json.dumps(layout)}"])
                pinned, _ = self.explain(2, 2, emit="annotated", pins={name: layout})
                parts = r"computing [\d.]+ .s, updates [\d.]+ .s, moves between layouts [\d.]+ .s"
                self.assertEqual(re.search(f"With it: ({parts})", answer).group(1), re.search(parts, pinned).group())

    def test_traffic(self):
        """With least traffic as the objective neither does it on the cores of a host, however few samples a rank has."""
        def sent(data, tensor, **own):
            text, _ = self.explain(data, tensor, **own)
            return sum(float(mebibytes) for mebibytes in re.findall(r"a step, a rank sends ([\d.]+) MiB", text)), text

        for (data, tensor), micro in itertools.product([(1, 4), (2, 2)], (1, 8)):
            with self.subTest(data=data, tensor=tensor, micro=micro):
                found, text = sent(data, tensor, micro=micro, objective="traffic")
                pinned, _ = sent(data, tensor, micro=micro, layouts="pinned", pins=gpt2.PINS)
                around, _ = sent(data, tensor, micro=micro, objective="traffic", pins=gpt2.PINS)
                self.assertLessEqual(found, around)
                self.assertLessEqual(around, pinned)
                self.assertGreater(around, 0)
                self.assertRegex(text, r"a rank receives [\d.]+ [MK]iB a step and a micro-batch takes")

    def test_megatron(self):
        """Columns, then rows, in attention and MLP; a split vocabulary; the residual stream split along the sequence. (With
        more rows than tensor ranks it splits these in attention, and gathers its weights: that is less to send.)"""
        text, module = self.explain(8, 4, emit="annotated")
        found = dict(re.findall(r'graph\.parameter = "transformer\.([^"]*)"[^}]*?sharding\.layout = #sharding\.layout<@mesh, (\[.*?\])>',
                                module.decode()))
        columns, rows, whole = '[{}, {"tensor"}]', '[{"tensor"}, {}]', "[{}]"
        self.assertEqual(found["wte.weight"], rows)
        for layer in range(SIZE["n_layer"]):
            block = f"h.{layer}"
            self.assertEqual(found[f"{block}.attn.c_attn.weight"], '[{}, {}, {"tensor"}]')  # each of query, key and value
            self.assertEqual(found[f"{block}.attn.c_proj.weight"], rows)
            self.assertEqual(found[f"{block}.mlp.c_fc.weight"], columns)
            self.assertEqual(found[f"{block}.mlp.c_fc.bias"], '[{"tensor"}]')
            self.assertEqual(found[f"{block}.mlp.c_proj.weight"], rows)
            self.assertEqual(found[f"{block}.ln_1.weight"], whole)
            self.assertRegex(text, rf'layout transformer\.{re.escape(block)} .*: add: \[{{"data"}}, {{"tensor"}}, {{}}\]')


if __name__ == "__main__":
    unittest.main()
