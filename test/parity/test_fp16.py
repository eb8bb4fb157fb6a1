"""fp16 with a loss scale against PyTorch: GPT-2 follows torch.autocast with a GradScaler on the CPU; the scale follows
DeepSpeed's rules; a step that overflows changes nothing."""

import functools
import json
import os
import subprocess
import sys
import unittest

import numpy as np
import torch
from safetensors.numpy import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import reference_train
import test_bf16
from test_gpt2 import DS_RUN, column, relative

# The scale starts so high that the first steps overflow, and grows again within the run.
SCALE = {"initial_scale_power": 30, "loss_scale_window": 4, "hysteresis": 2}
MODES = {
    "fp16": {"fp16": {"enabled": True}},
    "autocast16": {"torch_autocast": {"enabled": True, "dtype": "float16"}},
    "overflowing": {"fp16": {"enabled": True, **SCALE}},
    "consecutive": {"fp16": {"enabled": True, **SCALE, "consecutive_hysteresis": True, "hysteresis": 3,
                             "loss_scale_window": 2}},
    "constant": {"fp16": {"enabled": True, "loss_scale": 1024}},
    "too-large": {"fp16": {"enabled": True, "loss_scale": 2.0**60}},
    "ends": {"fp16": {"enabled": True, "initial_scale_power": 60, "hysteresis": 1, "min_loss_scale": 2.0**58}},
}


class DynamicLossScaler:
    """deepspeed/runtime/fp16/loss_scaler.py, update_scale, as ZeRO's optimizers use it."""

    def __init__(self, initial_scale_power, loss_scale_window, hysteresis, consecutive_hysteresis=False, min_loss_scale=1):
        self.cur_scale = 2.0**initial_scale_power
        self.cur_iter = 0
        self.last_overflow_iter = -1
        self.scale_window = loss_scale_window
        self.delayed_shift = self.cur_hysteresis = hysteresis
        self.consecutive_hysteresis = consecutive_hysteresis
        self.min_scale = min_loss_scale

    def update_scale(self, overflow):
        if overflow:
            if self.delayed_shift == 1 or self.cur_hysteresis == 1:
                assert self.cur_scale != self.min_scale
                self.cur_scale = max(self.cur_scale / 2, self.min_scale)
            else:
                self.cur_hysteresis -= 1
            self.last_overflow_iter = self.cur_iter
        else:
            if self.consecutive_hysteresis:
                self.cur_hysteresis = self.delayed_shift
            stable = self.cur_iter - self.last_overflow_iter - 1
            if stable > 0 and stable % self.scale_window == 0:
                if not self.consecutive_hysteresis:
                    self.cur_hysteresis = self.delayed_shift
                self.cur_scale *= 2
        self.cur_iter += 1


class HalfPrecision(test_bf16.Trainer):
    modes = MODES

    @classmethod
    @functools.cache
    def reference(cls):
        return reference_train.train(gpt2.build(test_bf16.SIZE, "sdpa"), gpt2.make_data(test_bf16.SIZE),
                                     cls.make_config("autocast16"), test_bf16.STEPS, autocast=torch.float16,
                                     scaler=torch.amp.GradScaler("cpu"))

    def test_losses_follow_autocast(self):
        """Within 0.5 % at each of 100 steps, and within 0.05 % of the mean: no drift to one side."""
        expected = np.asarray(self.reference().losses)
        self.assertLess(expected[-1], 0.75 * expected[0], "the model learns nothing")
        for mode in ("fp16", "autocast16", "constant"):
            with self.subTest(mode=mode):
                metrics = self.train(mode)[0]
                self.assertEqual(metrics[-1]["skipped_steps"], 0)
                found = np.asarray(column(metrics, "loss"))
                worst = relative(found, expected)
                print(f"{mode}: losses within {worst:.2e} of torch.autocast, mean within "
                      f"{abs(found.mean() / expected.mean() - 1):.2e}")
                self.assertLessEqual(worst, 0.005)
                self.assertLessEqual(abs(found.mean() / expected.mean() - 1), 0.0005)

    def test_learns_after_overflows(self):
        """Skipped steps are lost and no more: the others still learn."""
        metrics = self.train("overflowing")[0]
        self.assertLess(np.mean(column(metrics, "loss")[-5:]), 0.8 * metrics[0]["loss"])

    def test_scale_follows_deepspeed(self):
        """Scale, count and learning rate, exactly, at each step."""
        for mode in ("fp16", "overflowing", "consecutive"):
            with self.subTest(mode=mode):
                metrics = self.train(mode)[0]
                options = {"initial_scale_power": 16, "loss_scale_window": 1000, "hysteresis": 2} | MODES[mode]["fp16"]
                del options["enabled"]
                scaler, skipped = DynamicLossScaler(**options), 0
                for step in metrics:
                    rate = reference_train.learning_rate(self.make_config(mode), step["step"] - 1 - skipped)
                    self.assertAlmostEqual(step["lr"], rate, delta=1e-12)
                    scaler.update_scale(step["overflow"] == 1)
                    skipped += step["overflow"] == 1
                    self.assertEqual(step["loss_scale"], scaler.cur_scale)
                    self.assertEqual(step["skipped_steps"], skipped)
                    self.assertEqual(step["overflow"] == 1, step["grad_norm"] is None)
                if mode != "fp16":
                    scales = column(metrics, "loss_scale")
                    self.assertGreater(skipped, 5, "the scale was to be too high at first")
                    self.assertTrue(any(b > a for a, b in zip(scales, scales[1:])), "the scale was to grow")
                    late = column(metrics[30:], "overflow")
                    self.assertGreater(sum(late), 0, "the scale was to grow until it is too high again")

    def test_scale_changes_nothing_else(self):
        """Norms are those of unscaled gradients: a constant scale gives what the dynamic one does."""
        dynamic, constant = self.train("fp16")[0], self.train("constant")[0]
        self.assertEqual({step["loss_scale"] for step in constant}, {1024})
        self.assertEqual({step["loss_scale"] for step in dynamic}, {65536})
        for name in ("loss", "grad_norm"):
            self.assertLess(relative(column(dynamic, name)[:10], column(constant, name)[:10]), 0.01)

    def test_skipped_steps_change_nothing(self):
        metrics, check, weights = self.train("too-large")
        self.assertEqual(column(metrics, "overflow"), [1] * len(metrics))
        self.assertEqual({step["lr"] for step in metrics}, {0})
        found = load_file(weights)
        for name, expected in reference_train.snapshot(gpt2.build(test_bf16.SIZE, "sdpa")).items():
            self.assertTrue(np.array_equal(found[name], expected.numpy()), name)
        self.assertIn(", f16\n", check)

    def test_ends_at_the_smallest_scale(self):
        """Overflow at the minimum: exit code 5, and the message says what to do."""
        plan = self.plan("ends")
        finished = subprocess.run([DS_RUN, plan, *self.data(), "--steps", "20", "--metrics", f"{plan}.jsonl"],
                                  capture_output=True, text=True)
        self.assertEqual(finished.returncode, 5, finished.stderr)
        self.assertIn("step 3: gradients overflow at the smallest loss scale", finished.stderr)
        with open(f"{plan}.jsonl", encoding="utf-8") as stream:
            scales = [json.loads(line)["loss_scale"] for line in stream]
        self.assertEqual(scales[:2], [2.0**59, 2.0**58])


if __name__ == "__main__":
    unittest.main()
