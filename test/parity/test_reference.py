"""Checks of the reference itself: that f64 is f64 throughout, and the schedules at points worked out by hand."""

import copy
import math
import os
import sys
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import reference_train
from reference_train import AllDouble, learning_rate


class AllDoubleTest(unittest.TestCase):
    def test_every_way_to_ask_for_float32(self):
        x = torch.ones(3, dtype=torch.float64)
        ways = [lambda: x.float(), lambda: x.to(torch.float32), lambda: x.to(dtype=torch.float32),
                lambda: x.type(torch.float32), lambda: torch.softmax(x, 0, dtype=torch.float32),
                lambda: torch.zeros(3, dtype=torch.float32)]
        for way in ways:
            self.assertEqual(way().dtype, torch.float32)
            with AllDouble():
                self.assertEqual(way().dtype, torch.float64)


class ScheduleTest(unittest.TestCase):
    def rates(self, kind, steps, **params):
        config = {"optimizer": {"params": {"lr": 0.1}}, "scheduler": {"type": kind, "params": params}}
        return [learning_rate(config, step) for step in steps]

    def check(self, found, expected):
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-17)

    def test_warmup_linear_then_constant(self):
        self.check(self.rates("WarmupLR", range(7), warmup_num_steps=4, warmup_type="linear", warmup_min_lr=0.02),
                   [0.02, 0.02, 0.04, 0.06, 0.08, 0.1, 0.1])

    def test_warmup_log(self):
        self.check(self.rates("WarmupLR", [1, 2, 4, 9], warmup_num_steps=8),
                   [0, 0.1 / 3, 0.2 / 3, 0.1])

    def test_decay_to_zero(self):
        self.check(self.rates("WarmupDecayLR", [3, 4, 5, 6, 7, 8], warmup_num_steps=2, warmup_max_lr=0.1,
                              total_num_steps=6), [0.1, 0.075, 0.05, 0.025, 0, 0])

    def test_cosine(self):
        found = self.rates("WarmupCosineLR", [0, 1, 2, 3, 6, 9], warmup_num_steps=2, warmup_type="linear",
                           warmup_min_ratio=0.5, cos_min_ratio=0.2, total_num_steps=6)
        quarter = 0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2
        self.check(found, [0, 0.05, 0.075, 0.1 * quarter, 0.02, 0.02])


class PrecisionTest(unittest.TestCase):
    def test_f64_refines_f32(self):
        size = gpt2.SIZES["small"]
        data, config = gpt2.make_data(size), gpt2.make_config(size)
        module = gpt2.build(size, "eager")
        single = reference_train.train(copy.deepcopy(module), data, config, 5)
        double = reference_train.train(module, data, config, 5, torch.float64)
        np.testing.assert_allclose(single.losses, double.losses, rtol=2e-6)
        self.assertNotEqual(single.losses, double.losses)
        # If anything in the f64 run were rounded to f32, its losses would be f32 numbers.
        self.assertTrue(any(float(np.float32(loss)) != loss for loss in double.losses))
        self.assertGreater(max(double.grad_norms), config["gradient_clipping"])


if __name__ == "__main__":
    unittest.main()
