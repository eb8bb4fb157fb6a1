"""Recomputation: GPT-2 with dropout and a Llama, trained with and without it on one rank, with ZeRO-3 and with split tensors.

What is computed again must not change one bit of losses, norms and weights, and has to take less memory.
"""

import functools
import json
import os
import re
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
from test_gpt2 import DS_OPT, DS_RUN, Workshop, call

# Long rows, so that activations outweigh parameters.
SHAPES = {
    "gpt2": {"type": "gpt2", "seq": 128, "micro": 4, "vocab_size": 131, "pins": gpt2.PINS,
             "settings": {"n_layer": 6, "n_embd": 32, "n_head": 4, "vocab_size": 131, "n_positions": 128,
                          "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}},
    "llama": {"type": "llama", "seq": 128, "micro": 4, "vocab_size": 131, "pins": gpt2.LLAMA_PINS,
              "settings": {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 6, "num_attention_heads": 4,
                           "num_key_value_heads": 2, "vocab_size": 131, "max_position_embeddings": 128}},
}
SHAPES["deep"] = SHAPES["gpt2"] | {"settings": SHAPES["gpt2"]["settings"] | {"n_layer": 10}}
MODES = ("none", "selective", "full")
# Ranks and what a user may ask for with them.
MESHES = {
    "one rank": {},
    "ZeRO-3": {"mesh.data": 2, "zero_optimization.stage": 3},
    "ZeRO-3, kept from the forward": {"mesh.data": 2, "zero_optimization.stage": 3, "parameter_gather": "micro_batch"},
    "pinned tensors": {"mesh.tensor": 2, "layouts": "pinned"},
    "found layouts": {"mesh.tensor": 2},
    "all": {"mesh.data": 2, "mesh.tensor": 2, "zero_optimization.stage": 3},
}
STEPS = 5


def mebibytes(text):
    """Of "512.00 KiB" or "1.20 MiB"."""
    number, unit = text.split()
    return float(number) / {"KiB": 1024, "MiB": 1}[unit]


class Recompute(unittest.TestCase):
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
        shape, path = SHAPES[size], cls.shop.path(f"recompute-{size}.pt")
        call([sys.executable, os.path.join(gpt2.ROOT, "examples/export_hf.py"), shape["type"],
              *(f"--set={key}={value}" for key, value in shape["settings"].items()), "--seq", str(shape["seq"]), "-o", path])
        return path

    @classmethod
    def data(cls, size):
        path = cls.shop.path(f"recompute-{size}.npy")
        np.save(path, gpt2.make_data(SHAPES[size])["input_ids"])
        return path

    @classmethod
    def plan(cls, name, size, settings, mode, options=(), **section):
        """(the plan, what --explain says)"""
        shape = SHAPES[size]
        micro = shape["micro"] // settings.get("mesh.data", 1)
        config = gpt2.make_config(shape, train_micro_batch_size_per_gpu=micro)
        config["zero_optimization"] = {"stage3_param_persistence_threshold": 40}
        config["activation_checkpointing"] = section
        config["deepshard"] = {"bucket_size": 6000, "recompute": mode}
        if settings.get("layouts") == "pinned":
            config["deepshard"]["pins"] = shape["pins"]
        path = cls.shop.path(f"recompute-{name}-{size}-{mode}-{'-'.join(map(str, section.values()))}".replace(" ", "_"))
        with open(f"{path}.json", "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        command = [DS_OPT, cls.model(size), "--config", f"{path}.json", "-o", f"{path}.dsplan", "--threads", "1",
                   "--explain", "--cluster", cls.shop.fast_links(), *options, *(f"--set={k}={v}" for k, v in settings.items())]
        for tensor in ("input_ids", "labels"):
            command += ["--input", f"{tensor}=i64[batchx{shape['seq']}]"]
        return f"{path}.dsplan", call(command).stderr

    def train(self, plan, size):
        """Losses and norms of every step, and the file of the final weights."""
        data = self.data(size)
        call([DS_RUN, plan, "--data", f"input_ids={data}", "--data", f"labels={data}", "--steps", STEPS, "--no-shuffle",
              "--metrics", f"{plan}.jsonl", "--save-weights", f"{plan}.safetensors", "--timeout", "120"])
        with open(f"{plan}.jsonl", encoding="utf-8") as stream:
            metrics = [json.loads(line) for line in stream]
        with open(f"{plan}.safetensors", "rb") as stream:
            return [(step["loss"], step["grad_norm"]) for step in metrics], stream.read(), metrics[-1]["planned_bytes"]

    def assert_same_bits(self, run, plain):
        self.assertEqual(run[0], plain[0])
        self.assertTrue(run[1] == plain[1], "weights differ")

    def check_modes(self, size, mesh, name, options=()):
        """The bits are those without recomputation; the plan takes less, full less than selective."""
        runs = []
        for mode in MODES:
            with self.subTest(size=size, mesh=name, mode=mode):
                plan, explained = self.plan(name, size, MESHES[mesh], mode, options)
                self.assertEqual(mode != "none", "equal blocks keeps" in explained, explained)
                runs.append(self.train(plan, size))
                self.assert_same_bits(runs[-1], runs[0])
        planned = [run[2] for run in runs]
        self.assertEqual(planned, sorted(set(planned), reverse=True), f"{size} {name}")

    def test_bits_and_memory(self):
        for size, mesh in [*(("gpt2", mesh) for mesh in MESHES), ("llama", "one rank"), ("llama", "all")]:
            self.check_modes(size, mesh, mesh)

    def test_lower_cpu_level(self):
        """Kernels of few and narrow registers, on machines that have more: what keeps a row for a later phase, and where
        vectors end, is another matter there."""
        for size, mesh in [("gpt2", "one rank"), ("gpt2", "ZeRO-3"), ("llama", "one rank"), ("llama", "all")]:
            self.check_modes(size, mesh, f"v3 {mesh}", ("--target-cpu", "x86-64-v3"))

    def test_explained_bytes_are_saved(self):
        """What a further block takes in the plan is less by what --explain says that a block does not keep."""
        more = SHAPES["deep"]["settings"]["n_layer"] - SHAPES["gpt2"]["settings"]["n_layer"]

        def of_a_block(mode):
            """MiB that the plans of two depths differ by, for each block; what the explanation says of a block."""
            plans = [self.plan("saved", size, {}, mode) for size in ("gpt2", "deep")]
            planned = [self.train(plan, size)[2] / 2**20 for (plan, _), size in zip(plans, ("gpt2", "deep"))]
            said = re.search(r"each of (\d+) equal blocks keeps ([\d.]+ .iB) for the backward instead of ([\d.]+ .iB)",
                             plans[0][1])
            if said:
                self.assertEqual(int(said.group(1)), SHAPES["gpt2"]["settings"]["n_layer"])
            return (planned[1] - planned[0]) / more, said and mebibytes(said.group(3)) - mebibytes(said.group(2))

        plain, _ = of_a_block("none")
        for mode in MODES[1:]:
            taken, saved = of_a_block(mode)
            self.assertAlmostEqual(plain - taken, saved, delta=0.02, msg=mode)

    def test_number_of_checkpoints(self):
        """Three kept inputs of six blocks: the same bits; the explanation counts the inputs that are kept."""
        plain = self.train(self.plan("count", "gpt2", {}, "none")[0], "gpt2")
        shape = SHAPES["gpt2"]
        stream_mebibytes = shape["micro"] * shape["seq"] * shape["settings"]["n_embd"] * 4 / 2**20
        kept = {}
        for count in (6, 3):
            plan, explained = self.plan("count", "gpt2", {}, "full", number_checkpoints=count)
            self.assert_same_bits(self.train(plan, "gpt2"), plain)
            kept[count] = mebibytes(re.search(r"a micro-batch keeps ([\d.]+ .iB)", explained).group(1))
        self.assertAlmostEqual(kept[6] - kept[3], 3 * stream_mebibytes, delta=0.011)

    def test_collectives(self):
        """Selective recomputation sends nothing again, full recomputation the collectives of the forward's blocks."""
        sent = []
        for mode in MODES:
            plan, _ = self.plan("sent", "gpt2", MESHES["pinned tensors"], mode)
            text = call([DS_RUN, plan, "--check"]).stdout
            sent.append(sum(map(int, re.findall(r"over tensor .*: (\d+) a step", text))))
        self.assertEqual(sent[0], sent[1])
        # The all_reduce of attention; that of the MLP ends the block, so its result is kept. Two micro-batches a step.
        self.assertEqual(sent[2] - sent[0], 2 * SHAPES["gpt2"]["settings"]["n_layer"])


if __name__ == "__main__":
    unittest.main()
