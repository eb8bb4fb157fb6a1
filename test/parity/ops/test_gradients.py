"""The gradient rule of every differentiable op against central differences, in f64 by the interpreter."""

import collections
import os
import re
import subprocess
import tempfile
import unittest

import numpy as np
from safetensors.numpy import load_file, save_file

from cases import all_cases, tensor_type
from test_ops import BUILD, GRAPH_EVAL

DS_OPT = os.environ.get("DS_OPT") or os.path.join(BUILD, "bin", "ds-opt")

MOST_ELEMENTS = 260  # of the operands of a case: two evaluations each
MOST_CASES = 6  # of one op
# Only the first result of these has a gradient; the others are kept for the backward pass or count rows.
FIRST_RESULT = {"attention", "layer_norm", "cross_entropy"}
# A mask is data.
DATA = {"attention": {3}}


def differentiable_ops():
    listed = subprocess.run([GRAPH_EVAL, "--list-ops"], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    return {words[0].removeprefix("graph.") for words in lines if "differentiable" in words[1:]}


def parameters(case):
    return [i for i, (array, element) in enumerate(case.arguments)
            if element == "f64" and i not in DATA.get(case.op, ())]


def loss_results(case):
    results = case.results[:1] if case.op in FIRST_RESULT else case.results
    return [r for r in results if r[1].endswith("f64>")]


def choose_cases(ops):
    """Up to MOST_CASES small cases per op, spread over those there are."""
    by_op = collections.defaultdict(list)
    for case in all_cases("f64"):
        size = sum(case.arguments[i][0].size for i in parameters(case))
        if case.op in ops and 0 < size <= MOST_ELEMENTS and loss_results(case):
            by_op[case.op].append(case)
    chosen = []
    for cases in by_op.values():
        places = np.unique(np.linspace(0, len(cases) - 1, MOST_CASES).round().astype(int))
        chosen += [cases[i] for i in places]
    return chosen


class Program:
    """The op of a case and a loss, the sum of its results times random weights."""

    def __init__(self, case, random):
        self.case = case
        self.weights = []
        self.body = case.body
        self.loss = None
        for i, (name, type) in enumerate(loss_results(case)):
            shape = [int(n) for n in re.findall(r"(\d+)x", type)]
            weight = np.asarray(random.standard_normal(shape), np.float64)
            self.weights.append((weight, "f64"))
            argument = f"%a{len(case.arguments) + i}"
            self.body += (f"\n  %p{i} = graph.mul {name}, {argument} : {type}, {type}"
                          f"\n  %s{i} = graph.reduce_sum %p{i} dims {list(range(len(shape)))} : {type}")
            if self.loss:
                self.body += f"\n  %t{i} = graph.add {self.loss}, %s{i} : tensor<f64>, tensor<f64>"
            self.loss = f"%t{i}" if self.loss else f"%s{i}"
        self.arguments = case.arguments + self.weights

    def signature(self, prefix):
        return ", ".join(f"%{prefix}a{i}: {tensor_type(a, e)}" for i, (a, e) in enumerate(self.arguments))

    def function(self, name):
        return (f"func.func @{name}({self.signature('')}) -> tensor<f64> {{\n  {self.body}\n"
                f"  return {self.loss} : tensor<f64>\n}}\n")


def gradients_by_rules(programs, directory):
    """All programs in one @forward; the sum of their losses is differentiated."""
    arguments, bodies, data, total = [], [], {}, None
    for k, program in enumerate(programs):
        for i, (array, element) in enumerate(program.arguments):
            kind = "parameter" if i in parameters(program.case) else "input"
            data[f"forward.{len(arguments)}"] = np.array(array, order="C")
            arguments.append(f'%c{k}_a{i}: {tensor_type(array, element)} {{graph.{kind} = "{k}.{i}"}}')
        rename = lambda text: re.sub(r"%(\w+)", rf"%c{k}_\1", text)
        bodies.append(rename(program.body))
        if total:
            bodies.append(f"%total{k} = graph.add {total}, {rename(program.loss)} : tensor<f64>, tensor<f64>")
        total = f"%total{k}" if total else rename(program.loss)
    path = os.path.join(directory, "forward.mlir")
    with open(path, "w") as file:
        file.write(f"func.func @forward({', '.join(arguments)}) -> (tensor<f64> {{graph.output = \"loss\"}}) {{\n  " +
                   "\n  ".join(bodies) + f"\n  return {total} : tensor<f64>\n}}\n")
    step = os.path.join(directory, "step.mlir")
    # Warnings about parameters without influence (sign, floor) are expected; faults are shown.
    run = subprocess.run([DS_OPT, path, "--differentiate", "-o", step], capture_output=True, text=True)
    if run.returncode:
        raise AssertionError(run.stderr)
    with open(step) as file:
        signature = next(line for line in file if "func.func @forward" in line)
    # Result 0 is the loss; the gradients follow in the order in which their attributes are printed.
    names = re.findall(r'graph\.gradient = "([^"]+)"', signature)
    source, out = os.path.join(directory, "forward.safetensors"), os.path.join(directory, "gradients.safetensors")
    save_file(data, source)
    subprocess.run([GRAPH_EVAL, step, source, out], check=True)
    results = load_file(out)
    return {name: results[f"forward.{i + 1}"] for i, name in enumerate(names)}


def gradients_by_differences(programs, directory):
    """One function per evaluation, two per element of a parameter."""
    functions, data, steps = [], {}, []
    for k, program in enumerate(programs):
        for i in parameters(program.case):
            array = np.array(program.arguments[i][0], order="C")
            for element in range(array.size):
                step = 1e-6 * max(1.0, abs(array.flat[element]))
                for side in (+1, -1):
                    name = f"f{len(functions)}"
                    functions.append(program.function(name))
                    changed = array.copy()
                    changed.flat[element] += side * step
                    for j, (other, _) in enumerate(program.arguments):
                        data[f"{name}.{j}"] = changed if j == i else np.array(other, order="C")
                    steps.append((f"{k}.{i}", element, array.shape, side, changed.flat[element]))
    path, source, out = (os.path.join(directory, name) for name in ("f.mlir", "f.safetensors", "values.safetensors"))
    with open(path, "w") as file:
        file.write("\n".join(functions))
    save_file(data, source)
    subprocess.run([GRAPH_EVAL, path, source, out], check=True)
    values = load_file(out)
    found = {}
    for plus in range(0, len(steps), 2):
        name, element, shape, _, high = steps[plus]
        low = steps[plus + 1][4]
        gradient = found.setdefault(name, np.zeros(shape))
        gradient.flat[element] = (values[f"f{plus}.0"] - values[f"f{plus + 1}.0"]) / (high - low)
    return found


class GradientsTest(unittest.TestCase):
    def test_every_rule(self):
        ops = differentiable_ops()
        random = np.random.default_rng(1)
        programs = [Program(case, random) for case in choose_cases(ops)]
        self.assertEqual(ops, {program.case.op for program in programs})
        with tempfile.TemporaryDirectory() as directory:
            by_rules = gradients_by_rules(programs, directory)
            by_differences = gradients_by_differences(programs, directory)
        for k, program in enumerate(programs):
            for i in parameters(program.case):
                with self.subTest(op=program.case.op, body=program.case.body, operand=i):
                    expected = by_differences[f"{k}.{i}"]
                    # A parameter without a gradient has no influence on the loss.
                    found = by_rules.get(f"{k}.{i}", np.zeros_like(expected))
                    self.assertEqual(found.shape, expected.shape)
                    error = np.linalg.norm(found - expected)
                    # Losses of size 1 are rounded to 1e-16, which a step of 1e-6 turns into 1e-10.
                    self.assertLessEqual(error, 1e-6 * np.linalg.norm(expected) + 1e-10)


if __name__ == "__main__":
    unittest.main()
