"""Every op of the graph dialect against PyTorch in f64, by the reference kernels and the decompositions."""

import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cases import all_cases

BUILD = os.environ.get("DS_BUILD") or os.path.join(HERE, "..", "..", "..", "build")
GRAPH_EVAL = os.path.join(BUILD, "bin", "graph-eval")

# max|x - ref| <= bound max|ref|. f64: PyTorch and the kernels sum in different orders.
BOUND = {"f32": 1e-5, "f64": 1e-12}


def run_cases(cases, directory):
    module, data, out = (os.path.join(directory, name) for name in ("ops.mlir", "in.safetensors", "out.safetensors"))
    with open(module, "w") as file:
        file.write("\n".join(case.text() for case in cases))
    save_file({f"{case.name}.{i}": np.array(array, order="C") for case in cases
               for i, (array, _) in enumerate(case.arguments)}, data)
    subprocess.run([GRAPH_EVAL, module, data, out], check=True)
    return load_file(out)


def difference(found, expected):
    """max|found - expected| / max|expected|, infinities and NaN compared as such."""
    if expected.dtype == np.bool_ or np.issubdtype(expected.dtype, np.integer):
        return 0.0 if np.array_equal(found, expected) else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return np.inf
    if not finite.any():
        return 0.0
    error = np.abs(found[finite].astype(np.float64) - expected[finite]).max()
    # A reference of zeros only is met exactly.
    largest = np.abs(expected[finite]).max()
    return error / largest if largest > 0 else (0.0 if error == 0 else np.inf)


class OpsTest(unittest.TestCase):
    def check(self, element):
        cases = all_cases(element)
        with tempfile.TemporaryDirectory() as directory:
            results = run_cases(cases, directory)
        for case in cases:
            for i, expected in enumerate(case.expected()):
                with self.subTest(op=case.op, function=case.name, result=i):
                    found = results[f"{case.name}.{i}"]
                    expected = expected.detach().numpy()
                    self.assertEqual(found.shape, expected.shape)
                    shapes = [a.shape for a, _ in case.arguments]
                    self.assertLessEqual(difference(found, expected), BOUND[element], f"{case.body} on {shapes}")

    def test_f32(self):
        self.check("f32")

    def test_f64(self):
        self.check("f64")

    def test_every_op_has_a_case(self):
        listed = subprocess.run([GRAPH_EVAL, "--list-ops"], check=True, capture_output=True, text=True).stdout
        ops = {line.split()[0].removeprefix("graph.") for line in listed.splitlines()}
        self.assertGreater(len(ops), 0)
        for element in BOUND:
            self.assertEqual(ops, {case.op for case in all_cases(element)})


if __name__ == "__main__":
    torch.manual_seed(0)
    unittest.main()
