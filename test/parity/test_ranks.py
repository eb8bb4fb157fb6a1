"""Many ranks against one: GPT-2 (and a Llama) planned for meshes of up to 8 ranks, trained by the processes that ds-run
starts.

One rank with the same global batch is the oracle (test_gpt2.py compares that with PyTorch). Between the stages of ZeRO
the bits must be equal.
"""

import functools
import itertools
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

# 131 and 257 tokens do not divide by 2 or 4: the vocabulary is padded.
SIZES = {
    "narrow": {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 131, "n_positions": 24, "seq": 17, "micro": 8},
    "wide": {"n_layer": 3, "n_embd": 96, "n_head": 4, "vocab_size": 257, "n_positions": 40, "seq": 33, "micro": 8},
}
MESHES = [(data, tensor) for data, tensor in itertools.product((1, 2, 4), repeat=2) if 1 < data * tensor <= 8]
STEPS = 20
ROUNDING = 0.001  # of MiB as `ds-run --check` prints them


# Two heads of queries to one of keys, a gated MLP, RMS norms.
LLAMA = {
    "type": "llama", "vocab_size": 131, "seq": 17, "micro": 8,
    "settings": {"hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "vocab_size": 131, "max_position_embeddings": 24},
    "pins": gpt2.LLAMA_PINS,
}
SHAPES = SIZES | {
    "llama": LLAMA,
    "vocabulary of gpt2": SIZES["narrow"] | {"vocab_size": 50257},
    "3 heads": SIZES["narrow"] | {"n_embd": 36, "n_head": 3},
    "3 odd heads": SIZES["narrow"] | {"n_embd": 63, "n_head": 3},
    # Parameters outweigh everything else.
    "heavy": SIZES["narrow"] | {"n_embd": 1024, "vocab_size": 16400, "seq": 5, "micro": 2},
    "deep": SIZES["wide"] | {"n_layer": SIZES["wide"]["n_layer"] + 2},
}


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.close)

    @classmethod
    def model(cls, size, dropout=0.0):
        return cls._model(size, dropout)

    @classmethod
    @functools.cache
    def _model(cls, size, dropout):
        path = cls.shop.path(f"ranks-{size}-{dropout}.pt")
        script = os.path.join(gpt2.ROOT, "examples/export_hf.py")
        shape = SHAPES[size]
        if "type" in shape:
            arguments = [shape["type"], *(f"--set={key}={value}" for key, value in shape["settings"].items()),
                         "--seq", str(shape["seq"]), "-o", path]
        else:
            arguments = gpt2.export_arguments(shape, "sdpa", path, dropout)
        call([sys.executable, script, *arguments])
        return path

    @classmethod
    @functools.cache
    def data(cls, size, ignored=False):
        """Ids and labels; with `ignored` every row has another number of labels that do not count."""
        ids = gpt2.make_data(SHAPES[size])["input_ids"]
        labels = ids.copy()
        if ignored:
            for row in range(len(labels)):
                labels[row, : (row * 5) % (SHAPES[size]["seq"] - 2)] = -100
        paths = [cls.shop.path(f"ranks-{size}-{ignored}-{name}.npy") for name in ("ids", "labels")]
        for path, array in zip(paths, (ids, labels)):
            np.save(path, array)
        return paths

    @classmethod
    def plan(cls, name, size, data=1, tensor=1, dropout=0.0, precision="f32", accumulation=2, zero=None,
             layouts="pinned", options=(), **own):
        config = gpt2.make_config(SHAPES[size], gradient_accumulation_steps=accumulation,
                                  train_micro_batch_size_per_gpu=SHAPES[size]["micro"] // data)
        config["zero_optimization"] = {"stage3_param_persistence_threshold": 40} | (zero or {})
        if precision == "bf16":
            config["bf16"], precision = {"enabled": True}, "f32"
        elif precision == "fp16":
            # So high a scale that the first steps overflow.
            config["fp16"] = {"enabled": True, "initial_scale_power": 26, "loss_scale_window": 3, "hysteresis": 1}
            precision = "f32"
        elif precision == "autocast":
            config["torch_autocast"], precision = {"enabled": True}, "f32"
        config["deepshard"] = {"mesh": {"data": data, "tensor": tensor}, "bucket_size": 6000} | own
        if tensor > 1 and layouts == "pinned":
            config["deepshard"] |= {"layouts": "pinned", "pins": SHAPES[size].get("pins", gpt2.PINS)}
        path = cls.shop.path(name)
        with open(f"{path}.json", "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        command = [DS_OPT, cls.model(size, dropout), "--config", f"{path}.json", "-o", f"{path}.dsplan",
                   "--threads", "1", "--precision", precision, "--explain", "--cluster", cls.shop.fast_links(), *options]
        for tensor_name in ("input_ids", "labels"):
            command += ["--input", f"{tensor_name}=i64[batchx{SHAPES[size]['seq']}]"]
        finished = call(command)
        with open(f"{path}.explained", "w", encoding="utf-8") as stream:
            stream.write(finished.stderr)
        return f"{path}.dsplan"

    @staticmethod
    def explained(plan):
        with open(plan.replace(".dsplan", ".explained"), encoding="utf-8") as stream:
            return stream.read()

    @classmethod
    def train(cls, plan, size, steps=STEPS, ignored=False, options=(), environment=None):
        """The metrics of every step and the final weights."""
        ids, labels = cls.data(size, ignored)
        call([DS_RUN, plan, "--data", f"input_ids={ids}", "--data", f"labels={labels}", "--steps", steps,
              "--no-shuffle", "--metrics", f"{plan}.jsonl", "--save-weights", f"{plan}.safetensors", "--timeout", "120",
              *options], environment)
        with open(f"{plan}.jsonl", encoding="utf-8") as stream:
            return [json.loads(line) for line in stream], load_file(f"{plan}.safetensors")

    @classmethod
    @functools.cache
    def one_rank(cls, size, precision, ignored=False):
        return cls.train(cls.plan(f"one-{size}-{precision}-{ignored}", size, precision=precision), size, ignored=ignored)

    def assert_losses(self, metrics, reference, bound):
        for step, expected in zip(metrics, reference, strict=True):
            for name in ("loss", "grad_norm"):
                limit = bound if name == "loss" else 10 * bound
                self.assertLessEqual(abs(step[name] - expected[name]), limit * abs(expected[name]),
                                     f"{name} of step {step['step']}")

    def test_meshes(self):
        """Losses of every mesh are those of one rank, with pinned and with found layouts: 2e-6 in f32, 1e-9 in f64."""
        for size, precision, (data, tensor), layouts in itertools.product(SIZES, ("f32", "f64"), MESHES, ("pinned", "auto")):
            if tensor == 1 and layouts == "auto":
                continue  # nothing to find
            with self.subTest(size=size, precision=precision, data=data, tensor=tensor, layouts=layouts):
                plan = self.plan(f"mesh-{size}-{precision}-{data}-{tensor}-{layouts}", size, data, tensor,
                                 precision=precision, zero={"stage": 2}, layouts=layouts)
                if layouts == "auto":
                    self.assertRegex(self.explained(plan), r'layout .*: linear: .*"tensor"')
                metrics, weights = self.train(plan, size)
                reference, whole = self.one_rank(size, precision)
                self.assert_losses(metrics, reference, 2e-6 if precision == "f32" else 1e-9)
                self.assertEqual({k: v.shape for k, v in weights.items()}, {k: v.shape for k, v in whole.items()})

    def test_grouped_heads_and_gated_mlp(self):
        """A Llama in f64: groups of heads, the MLP's inner width and the vocabulary are split."""
        for data, tensor in [(2, 1), (1, 2), (2, 2)]:
            with self.subTest(data=data, tensor=tensor):
                plan = self.plan(f"llama-{data}-{tensor}", "llama", data, tensor, precision="f64", zero={"stage": 3})
                heads = re.findall(r"attention result 0: \[{(.*?)}, {(.*?)}", self.explained(plan))
                self.assertIn(('"data"' if data > 1 else "", '"tensor"' if tensor > 1 else ""), heads)
                metrics, _ = self.train(plan, "llama")
                self.assert_losses(metrics, self.one_rank("llama", "f64")[0], 1e-9)

    def test_zero_bits(self):
        """Stages 0 to 3 give the same bits over 50 steps, with clipping, accumulation and dropout."""
        for (data, tensor), reduction in itertools.product([(2, 1), (4, 1), (2, 2)], ("step", "micro_batch")):
            first = None
            for stage, gather in [(0, "regather"), (1, "regather"), (2, "regather"), (3, "regather"),
                                  (3, "micro_batch"), (3, "step")]:
                with self.subTest(data=data, tensor=tensor, reduction=reduction, stage=stage, gather=gather):
                    plan = self.plan(f"bits-{data}-{tensor}-{reduction}-{stage}-{gather}", "narrow", data, tensor,
                                     dropout=0.1, zero={"stage": stage}, gradient_reduction=reduction,
                                     parameter_gather=gather)
                    metrics, weights = self.train(plan, "narrow", steps=50)
                    values = [(step["loss"], step["grad_norm"]) for step in metrics]
                    first = first or (values, weights)
                    self.assertEqual(values, first[0])
                    for name, tensor_value in first[1].items():
                        self.assertEqual(weights[name].tobytes(), tensor_value.tobytes(), name)

    def test_zero_bits_of_logits_in_chunks(self):
        """The same where logits are computed in chunks, which takes no gather more; numbers near those of whole logits."""
        for precision, size, stages, own in [("f32", "narrow", (0, 1, 2, 3), {}), ("bf16", "narrow", (0, 3), {}),
                                             ("f32", "llama", (0, 3), {"recompute": "selective"})]:
            first, gathers = None, {}
            for stage, chunks in [(3, 1), *((stage, 3) for stage in stages)]:
                with self.subTest(precision=precision, size=size, stage=stage, chunks=chunks):
                    plan = self.plan(f"chunks-{precision}-{size}-{stage}-{chunks}", size, 2, precision=precision,
                                     zero={"stage": stage}, logit_chunks=chunks, **own)
                    sent = re.search(r"all_gather over data .*: (\d+) a step", call([DS_RUN, plan, "--check"]).stdout)
                    gathers[stage, chunks] = int(sent.group(1)) if sent else 0
                    metrics, weights = self.train(plan, size, steps=6)
                    if chunks == 1:
                        whole = metrics
                        continue
                    self.assertIn("chunks, forward and backward", self.explained(plan))
                    self.assert_losses(metrics, whole, 2e-3 if precision == "bf16" else 2e-6)
                    values = [(step["loss"], step["grad_norm"]) for step in metrics]
                    first = first or (values, weights)
                    self.assertEqual(values, first[0])
                    for name, tensor_value in first[1].items():
                        self.assertEqual(weights[name].tobytes(), tensor_value.tobytes(), name)
            self.assertLessEqual(gathers[3, 3], gathers[3, 1])

    def test_zero_bits_in_16_bits(self):
        """The same of mixed precision: gradients are summed in f32 at every stage, and masters stepped alike. An overflow
        on any rank skips the step on all."""
        stored = ["--target-cpu", "x86-64-v3"]  # without bf16 instructions
        for precision, (data, tensor), reduction, options in [
                ("bf16", (4, 1), "step", []), ("bf16", (2, 2), "micro_batch", []), ("bf16", (2, 1), "step", stored),
                ("autocast", (2, 1), "step", []), ("fp16", (4, 1), "step", []), ("fp16", (2, 2), "micro_batch", [])]:
            first = None
            for stage, gather in [(0, "regather"), (1, "regather"), (2, "regather"), (3, "regather"), (3, "step")]:
                with self.subTest(precision=precision, data=data, tensor=tensor, stage=stage, gather=gather):
                    plan = self.plan(f"bits-{precision}-{data}-{tensor}-{stage}-{gather}", "narrow", data, tensor,
                                     dropout=0.1, precision=precision, zero={"stage": stage}, options=options,
                                     gradient_reduction=reduction, parameter_gather=gather)
                    metrics, weights = self.train(plan, "narrow", steps=20)
                    values = [[step.get(name) for name in ("loss", "grad_norm", "loss_scale", "skipped_steps")]
                              for step in metrics]
                    first = first or (values, weights)
                    self.assertEqual(values, first[0])
                    if precision == "fp16":
                        self.assertGreater(values[-1][-1], 2)
                        self.assertLess(values[-1][-1], 15)
                    for name, tensor_value in first[1].items():
                        self.assertEqual(weights[name].dtype, np.float32, name)
                        self.assertEqual(weights[name].tobytes(), tensor_value.tobytes(), name)

    def test_meshes_in_bf16(self):
        """Splits over data, tensors and both follow one rank as closely as the rounding of bf16 lets them."""
        reference, _ = self.one_rank("narrow", "bf16")
        for data, tensor in [(2, 1), (1, 2), (2, 2)]:
            with self.subTest(data=data, tensor=tensor):
                plan = self.plan(f"mesh-bf16-{data}-{tensor}", "narrow", data, tensor, precision="bf16", zero={"stage": 3})
                metrics, _ = self.train(plan, "narrow")
                self.assert_losses(metrics, reference, 2e-3)

    def test_zero_bits_of_one_micro_batch(self):
        """The same where gradients share memory with activations, on one stream or two; the files are equal."""
        for data, tensor in [(2, 1), (2, 2)]:
            first = None
            for stage, overlap in itertools.product(range(4), (True, False)):
                with self.subTest(data=data, tensor=tensor, stage=stage, overlap=overlap):
                    plan = self.plan(f"one-micro-{data}-{tensor}-{stage}-{overlap}", "narrow", data, tensor, dropout=0.1,
                                     accumulation=1, zero={"stage": stage, "overlap_comm": overlap})
                    metrics, _ = self.train(plan, "narrow", steps=10)
                    with open(f"{plan}.safetensors", "rb") as stream:
                        found = [(step["loss"], step["grad_norm"]) for step in metrics], stream.read()
                    first = first or found
                    self.assertEqual(found[0], first[0])
                    self.assertTrue(found[1] == first[1], "weights differ")

    def test_groups(self):
        """hpZ 2 and MiCS 2 at 4 data ranks: the bits of ZeRO-3; traffic as the formulas say."""
        accumulation = 2

        def run(name, **zero):
            plan = self.plan(f"groups-{name}", "wide", 4, zero={"stage": 3} | zero, accumulation=accumulation)
            text = call([DS_RUN, plan, "--check"]).stdout
            sent = {(kind, axes): float(mebibytes) for kind, axes, mebibytes in re.findall(
                r"(\w+) over (\S+) \(\d ranks\): \d+ a step, a rank sends ([\d.]+) MiB", text)}
            return *self.train(plan, "wide"), text, sent

        plain, weights, text, _ = run("none")
        near, near_weights, near_text, near_sent = run("hpz", zero_hpz_partition_size=2)
        copies, copies_weights, copies_text, copies_sent = run("mics", mics_shard_size=2)

        # Pairs, then the two of them: MiCS adds gradients up in the order of the tree over all four ranks; the squares of
        # the norm, in f64, are those of larger parts.
        for found, found_weights, apart in ((near, near_weights, 0), (copies, copies_weights, 1e-14)):
            self.assertEqual([step["loss"] for step in found], [step["loss"] for step in plain])
            for step, expected in zip(found, plain, strict=True):
                self.assertLessEqual(abs(step["grad_norm"] - expected["grad_norm"]), apart * expected["grad_norm"])
            for name, tensor in weights.items():
                self.assertEqual(found_weights[name].tobytes(), tensor.tobytes(), name)

        whole = int(re.search(r"(\d+) numbers trained", text).group(1)) * 4 / 2**20
        inner, outer = "data:(2)2", "data:(1)2"
        expected = [
            # The forward of each micro-batch gathers from all, the backward from one neighbour.
            (near_sent, ("all_gather", "data"), accumulation * 3 / 4), (near_sent, ("all_gather", inner), accumulation / 2),
            (near_sent, ("reduce_scatter", "data"), 3 / 4),
            # Everything from one neighbour; halves of the gradients are added up across the groups.
            (copies_sent, ("all_gather", inner), 2 * accumulation / 2), (copies_sent, ("reduce_scatter", inner), 1 / 2),
            (copies_sent, ("all_reduce", outer), 2 * 1 / 2 * 1 / 2),
        ]
        for sent, key, units in expected:
            # A bucket of biases alone is not gathered again for the backward; padding is at most 1 %.
            self.assertGreaterEqual(sent[key], 0.99 * units * whole - 2 * ROUNDING, key)
            self.assertLessEqual(sent[key], 1.01 * units * whole + 2 * ROUNDING, key)
        self.assertNotIn(("all_gather", "data"), copies_sent)
        # What the forward leaves for the backward: a half on each rank.
        buffers = [float(re.search(r"transient buffers: ([\d.]+) MiB", found).group(1)) for found in (text, near_text)]
        self.assertAlmostEqual(buffers[1] - buffers[0], whole / 2, delta=0.01 * whole + 2 * ROUNDING)
        for kind in ("exp_avg", "exp_avg_sq", "parameter"):
            held = float(re.search(rf"buckets of kind {kind}: ([\d.]+) MiB", copies_text).group(1))
            self.assertTrue(whole / 2 - ROUNDING <= held <= 1.01 * whole / 2 + ROUNDING, f"{kind}: {held} of {whole} MiB")

    def test_reductions_agree(self):
        """Reducing once a step or in every micro-batch adds in another order only."""
        runs = [self.train(self.plan(f"order-{reduction}", "narrow", 2, dropout=0.1, zero={"stage": 2},
                                     gradient_reduction=reduction), "narrow", steps=50)[0]
                for reduction in ("step", "micro_batch")]
        for a, b in zip(*runs, strict=True):
            self.assertLessEqual(abs(a["loss"] - b["loss"]), 1e-5 * abs(a["loss"]))

    def test_vocabulary_of_gpt2(self):
        """50,257 rows are padded to be cut in two."""
        size = "vocabulary of gpt2"
        whole, weights = self.one_rank(size, "f32")
        metrics, cut = self.train(self.plan("vocabulary", size, tensor=2), size)
        self.assert_losses(metrics, whole, 2e-6)
        self.assertEqual({k: v.shape for k, v in cut.items()}, {k: v.shape for k, v in weights.items()})

    def test_bucket_for_each_parameter(self):
        """The smallest buckets: one op completes several (the gradients of a layer norm's weight and bias)."""
        for stage in (1, 3):
            plan = self.plan(f"smallest-{stage}", "narrow", 2, precision="f64", zero={"stage": stage}, bucket_size=1,
                             gradient_reduction="micro_batch")
            self.assert_losses(self.train(plan, "narrow")[0], self.one_rank("narrow", "f64")[0], 1e-9)

    def test_without_overlap(self):
        """Collectives on the stream of the kernels give the same bits."""
        runs = [self.train(self.plan(f"overlap-{overlap}", "narrow", 2, zero={"stage": 3, "overlap_comm": overlap}),
                           "narrow", steps=5) for overlap in (True, False)]
        self.assertEqual([step["loss"] for step in runs[0][0]], [step["loss"] for step in runs[1][0]])
        for name, tensor in runs[0][1].items():
            self.assertEqual(tensor.tobytes(), runs[1][1][name].tobytes(), name)

    def test_ignored_labels(self):
        """The loss is the mean over all ranks' labels, however unequally they are spread."""
        for data, tensor in [(2, 1), (4, 1), (2, 2)]:
            with self.subTest(data=data, tensor=tensor):
                plan = self.plan(f"ignored-{data}-{tensor}", "narrow", data, tensor, precision="f64")
                metrics, _ = self.train(plan, "narrow", ignored=True)
                self.assert_losses(metrics, self.one_rank("narrow", "f64", ignored=True)[0], 1e-9)

    def test_label_outside_the_vocabulary(self):
        """A label that only the padding of a split vocabulary has is refused, before the first step."""
        plan = self.plan("outside", "narrow", tensor=2)
        labels = np.load(self.data("narrow")[1])
        labels[1, 3] = SHAPES["narrow"]["vocab_size"]  # 131 of 132
        path = self.shop.path("outside.npy")
        np.save(path, labels)
        finished = subprocess.run([DS_RUN, plan, "--data", f"input_ids={self.data('narrow')[0]}", "--data",
                                   f"labels={path}", "--steps", "2", "--no-shuffle"], capture_output=True, text=True)
        self.assertEqual(finished.returncode, 1, finished.stderr)
        self.assertRegex(finished.stderr, r"outside\.npy.*131.*0 to 130")

    def test_persistent_bytes_and_traffic(self):
        """What is cut is held in equal parts, with at most 1 % of padding; gathers and reductions are what theory says."""
        data, accumulation = 4, 2
        for stage, gather, passes in [(0, "regather", 0), (1, "regather", 1), (2, "regather", 1),
                                      (3, "regather", 2 * accumulation), (3, "micro_batch", accumulation),
                                      (3, "step", 1)]:
            with self.subTest(stage=stage, gather=gather):
                plan = self.plan(f"bytes-{stage}-{gather}", "wide", data, zero={"stage": stage}, parameter_gather=gather)
                text = call([DS_RUN, plan, "--check"]).stdout
                numbers = int(re.search(r"(\d+) numbers trained", text).group(1))
                mebibytes = numbers * 4 / 2**20
                for kind, first_stage in (("exp_avg", 1), ("exp_avg_sq", 1), ("parameter", 3)):
                    held, whole = map(float, re.search(
                        rf"buckets of kind {kind}: ([\d.]+) MiB(?: of ([\d.]+) MiB)?", text).group(1, 2)
                        if stage >= first_stage else re.search(
                        rf"buckets of kind {kind}: ([\d.]+)() MiB", text).group(1, 1))
                    # With padding, which is at most 1 %.
                    self.assertGreaterEqual(whole, mebibytes - ROUNDING)
                    self.assertLessEqual(whole, 1.01 * mebibytes + ROUNDING)
                    self.assertAlmostEqual(held, whole / data if stage >= first_stage else whole, delta=ROUNDING)

                def sent(kind):
                    found = re.search(rf"{kind} over data .*a rank sends ([\d.]+) MiB", text)
                    return float(found.group(1)) if found else 0.0

                unit = (data - 1) / data * mebibytes
                # Scalars of loss and norm are all-reduced too.
                reduced = {"all_reduce": 2, "reduce_scatter": 0} if stage == 0 else {"all_reduce": 0, "reduce_scatter": 1}
                for kind, units in ({"all_gather": passes} | reduced).items():
                    # A bucket of biases alone is not gathered again for the backward.
                    self.assertGreaterEqual(sent(kind), 0.99 * units * unit - 2 * ROUNDING, msg=kind)
                    self.assertLessEqual(sent(kind), 1.01 * units * unit + 2 * ROUNDING, msg=kind)

    def test_persistent_bytes_and_traffic_in_bf16(self):
        """Masters and moments in f32 are cut from stage 1 on; parameters take, and gathers send, two bytes a number."""
        data, accumulation = 4, 2
        for stage, passes in [(0, 0), (1, 1), (2, 1), (3, 2 * accumulation)]:
            with self.subTest(stage=stage):
                plan = self.plan(f"bytes-bf16-{stage}", "wide", data, precision="bf16", zero={"stage": stage})
                text = call([DS_RUN, plan, "--check"]).stdout
                numbers = int(re.search(r"(\d+) numbers trained", text).group(1)) / 2**20
                for kind, first_stage, width in (("master", 1, 4), ("exp_avg", 1, 4), ("exp_avg_sq", 1, 4),
                                                 ("parameter", 3, 2)):
                    held = float(re.search(rf"buckets of kind {kind}: ([\d.]+) MiB", text).group(1))
                    expected = width * numbers / (data if stage >= first_stage else 1)
                    # Padding: a multiple of 64 bytes for each member, of parts of 64 bytes for each bucket.
                    self.assertTrue(expected - ROUNDING <= held <= 1.02 * expected + ROUNDING, f"{kind}: {held} of {expected}")
                sent = re.search(r"all_gather over data .*a rank sends ([\d.]+) MiB", text)
                unit = passes * (data - 1) / data * 2 * numbers
                found = float(sent.group(1)) if sent else 0.0
                self.assertTrue(0.99 * unit - 2 * ROUNDING <= found <= 1.02 * unit + 2 * ROUNDING, f"{found} of {unit}")

    def test_reduced_in_each_micro_batch(self):
        """gradient_reduction micro_batch: as many reductions as micro-batches, and a rank adds up its own part only."""
        data, accumulation = 4, 2
        for stage, reduction in itertools.product((1, 2, 3), ("step", "micro_batch")):
            with self.subTest(stage=stage, reduction=reduction):
                plan = self.plan(f"reduced-{stage}-{reduction}", "wide", data, zero={"stage": stage},
                                 accumulation=accumulation, gradient_reduction=reduction)
                text = call([DS_RUN, plan, "--check"]).stdout
                mebibytes = int(re.search(r"(\d+) numbers trained", text).group(1)) * 4 / 2**20
                sent = float(re.search(r"reduce_scatter over data .*a rank sends ([\d.]+) MiB", text).group(1))
                reductions, parts = (1, 1) if reduction == "step" else (accumulation, data)
                unit = reductions * (data - 1) / data * mebibytes
                self.assertTrue(unit - ROUNDING <= sent <= 1.01 * unit + ROUNDING, f"{sent} of {unit} MiB")
                held = float(re.search(r"step buffers of kind gradient: ([\d.]+) MiB", text).group(1))
                whole = mebibytes / parts
                self.assertTrue(whole - ROUNDING <= held <= 1.01 * whole + ROUNDING, f"{held} of {whole} MiB")

    def test_memory_of_running_ranks(self):
        """Running ranks take what their plan says, and that follows the formulas. What comes on top is less than any stage
        saves, 80 MiB: libraries, and at most 32 MiB and the largest collective of other ranks' windows."""
        # Of P, the parameters: parameters, two moments, gradients that are added up over micro-batches.
        for stage, formula in enumerate([1 + 2 + 1, 1 + 2 / 2 + 1 / 2, 1 + 2 / 2 + 1 / 2, 1 / 2 + 2 / 2 + 1 / 2]):
            with self.subTest(stage=stage):
                plan = self.plan(f"taken-{stage}", "heavy", 2, zero={"stage": stage}, bucket_size=1 << 20,
                                 gradient_reduction="micro_batch")
                text = call([DS_RUN, plan, "--check"]).stdout
                whole = int(re.search(r"(\d+) numbers trained", text).group(1)) * 4 / 2**20
                self.assertGreater(whole / 2, 80)
                held = sum(float(re.search(rf"{kind}: ([\d.]+) MiB", text).group(1))
                           for kind in ("persistent buffers", "step buffers of kind gradient"))
                self.assertTrue(formula * whole - ROUNDING <= held <= 1.01 * formula * whole + 0.1, f"{held} of {whole} MiB")
                metrics, _ = self.train(plan, "heavy", steps=2)
                planned, taken = metrics[-1]["planned_bytes"] / 2**20, metrics[-1]["peak_bytes"] / 2**20
                self.assertGreaterEqual(planned, held)
                self.assertTrue(planned < taken < planned + 80, f"{taken} of {planned} MiB planned")

    def test_four_all_reduces_a_block(self):
        """A tensor-split block of a micro-batch adds up its summands twice forward and twice backward."""
        accumulation, tensor = 2, 2

        def traffic(size):
            text = call([DS_RUN, self.plan(f"blocks-{size}", size, tensor=tensor), "--check"]).stdout
            calls, sent = re.search(r"all_reduce over tensor .*: (\d+) a step, a rank sends ([\d.]+) MiB", text).groups()
            return int(calls), float(sent)

        (calls, sent), (more_calls, more_sent) = traffic("wide"), traffic("deep")
        shape = SHAPES["wide"]
        activation = shape["micro"] * shape["seq"] * shape["n_embd"] * 4 / 2**20
        self.assertEqual(more_calls - calls, 2 * 4 * accumulation)
        self.assertAlmostEqual(more_sent - sent, 2 * 4 * accumulation * 2 * (tensor - 1) / tensor * activation,
                               delta=2 * ROUNDING)
        for block in range(shape["n_layer"]):
            lines = [line for line in self.explained(self.shop.path("blocks-wide.dsplan")).splitlines()
                     if re.match(rf"reshard transformer\.h\.{block}\..*: all_reduce {{\"tensor\"}}", line)]
            self.assertEqual(len(lines), 4, lines)

    def test_explain(self):
        """--explain says where layouts come from, what is kept whole, and what a rank holds and sends."""
        plan = self.plan("explained", "narrow", 2, 2, zero={"stage": 3, "stage3_param_persistence_threshold": 100})
        text = self.explained(plan)
        self.assertRegex(text, r'layout transformer\.h\.1\.mlp\.c_fc \(.*\.py:\d+\): linear: \[{"data"}, {}, {"tensor"}\], '
                               r'"data" from input_ids, "tensor" from transformer\.h\.1\.mlp\.c_fc\.weight')
        self.assertRegex(text, r"zero .*transformer\.h\.0\.ln_1\.weight is kept whole on every rank; its 32 numbers")
        self.assertNotRegex(text, r"zero .*mlp\.c_fc\.weight is kept whole")
        check = call([DS_RUN, plan, "--check"]).stdout
        self.assertIn(check.split("sound\n", 1)[1].strip(), text)

    def test_heads_that_do_not_divide(self):
        """Refused whether the width divides (36) or would be padded (63), and if only key/value heads do not divide."""
        three = r'3 heads do not split over {"tensor"} of size 2; choose a size that divides them: 1, 3'
        grouped = r'4 heads with 2 key/value heads do not split over {"tensor"} of size 4; choose a size that divides them: 1, 2'
        for size, tensor, message, place in [("3 heads", 2, three, "transformer.h.0.attn"),
                                             ("3 odd heads", 2, three, "transformer.h.0.attn"),
                                             ("llama", 4, grouped, "model.layers.0.self_attn")]:
            with self.subTest(size=size):
                with self.assertRaises(AssertionError) as refused:
                    self.plan(f"heads-{size}", size, tensor=tensor)
                text = str(refused.exception)
                self.assertIn("exit code 1\n", text)
                self.assertEqual(text.count("ds-opt: error: " + message), 1, text)
                self.assertIn(place, text)
                self.assertNotIn("see current operation", text)

    def test_pins_that_match_nothing(self):
        path = self.shop.path("pins.json")
        config = gpt2.make_config(SHAPES["narrow"])
        config["deepshard"] = {"mesh": {"tensor": 2}, "pins": {"*.c_atn.weight": [[], "tensor"], "*wte.weight": ["tensor"]}}
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(config, stream, indent=1)
        finished = subprocess.run([DS_OPT, self.model("narrow"), "--config", path, "-o", self.shop.path("pins.dsplan"),
                                   "--input", "input_ids=i64[batchx17]", "--input", "labels=i64[batchx17]"],
                                  capture_output=True, text=True)
        self.assertEqual(finished.returncode, 1)
        self.assertRegex(finished.stderr, r"pins\.json:\d+: deepshard\.pins\.\*\.c_atn\.weight: matches no parameter")
        self.assertRegex(finished.stderr, r"pins\.json:\d+: deepshard\.pins\.\*wte\.weight: names 1 dimensions, but "
                                          r"transformer\.wte\.weight has 2")


if __name__ == "__main__":
    unittest.main()
