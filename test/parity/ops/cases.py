"""Cases of the parity test: for each op of the graph dialect functions in MLIR, their data and what PyTorch says in f64.

A case is written for element type T ("f32" or "f64"). Data are made in f64 and rounded to T first, so that PyTorch
sees what the kernel sees.
"""

import math

import numpy as np
import torch

NUMPY = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "i8": np.int8, "i1": np.bool_}


def tensor_type(array, element):
    return "tensor<" + "".join(f"{n}x" for n in array.shape) + element + ">"


class Case:
    """One function: `body` computes `results` (SSA names, types) from %0, %1, ...; `reference` gets f64 tensors."""

    def __init__(self, op, arguments, body, results, reference):
        self.op, self.arguments, self.body, self.results, self.reference = op, arguments, body, results, reference
        self.name = None

    def text(self):
        arguments = ", ".join(f"%a{i}: {tensor_type(a, e)}" for i, (a, e) in enumerate(self.arguments))
        types = ", ".join(type for _, type in self.results)
        values = ", ".join(name for name, _ in self.results)
        return (f"func.func @{self.name}({arguments}) -> ({types}) {{\n  {self.body}\n"
                f"  return {values} : {types}\n}}\n")

    def expected(self):
        inputs = [torch.from_numpy(np.array(a, order="C")) for a, _ in self.arguments]
        inputs = [x.double() if x.is_floating_point() else x for x in inputs]
        found = self.reference(*inputs)
        return [found] if isinstance(found, torch.Tensor) else list(found)


class Cases:
    def __init__(self, element, seed=0):
        self.element = element
        self.random = np.random.default_rng(seed)
        self.cases = []

    # Data.
    def normal(self, *shape, scale=1.0):
        return (self.random.standard_normal(shape) * scale).astype(NUMPY[self.element])

    def uniform(self, low, high, *shape):
        return self.random.uniform(low, high, shape).astype(NUMPY[self.element])

    def integers(self, low, high, *shape, element="i64"):
        return self.random.integers(low, high, shape).astype(NUMPY[element])

    def flags(self, *shape):
        return self.random.integers(0, 2, shape).astype(np.bool_)

    # Construction. `format` may name a0, a1, ... and their types t0, t1, ...
    def add(self, op, arguments, format, reference, result=None):
        arguments = [a if isinstance(a, tuple) else (a, self.element) for a in arguments]
        names = {f"a{i}": f"%a{i}" for i in range(len(arguments))}
        names.update({f"t{i}": tensor_type(a, e) for i, (a, e) in enumerate(arguments)})
        case = Case(op, arguments, None, None, reference)
        elements = result or [self.element]
        outputs = case.expected()
        assert len(outputs) == len(elements), op
        types = ["tensor<" + "".join(f"{n}x" for n in o.shape) + e + ">" for o, e in zip(outputs, elements)]
        names.update({f"r{i}": type for i, type in enumerate(types)})
        if len(types) == 1:
            case.results = [("%r", types[0])]
            left = "%r"
        else:
            case.results = [(f"%r#{i}", type) for i, type in enumerate(types)]
            left = f"%r:{len(types)}"
        case.body = f"{left} = graph.{op} " + format.format(**names)
        case.name = f"{op}_{len(self.cases)}_{self.element}"
        self.cases.append(case)


def elementwise(c):
    unary = {"neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "floor": torch.floor, "exp": torch.exp,
             "sin": torch.sin, "cos": torch.cos, "tanh": torch.tanh, "erf": torch.erf,
             "ndtr": torch.special.ndtr, "sigmoid": torch.sigmoid}
    positive = {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal}
    for shape in [(3, 5, 7), (1,), (), (2, 1, 37)]:
        for op, function in unary.items():
            c.add(op, [c.normal(*shape, scale=2.0)], "{a0} : {t0}", function)
        for op, function in positive.items():
            c.add(op, [c.uniform(0.01, 5.0, *shape)], "{a0} : {t0}", function)
        c.add("not", [(c.flags(*shape), "i1")], "{a0} : {t0}", torch.logical_not, ["i1"])
    # The ends of the range: no overflow, no lost tail.
    ends = np.array([-1e4, -88.0, -30.0, -9.0, -1e-3, 0.0, 1e-3, 9.0, 30.0, 80.0], NUMPY[c.element])
    for op in ["tanh", "sigmoid", "erf", "ndtr", "exp"]:
        c.add(op, [ends], "{a0} : {t0}", unary[op])
    c.add("neg", [(c.integers(-9, 9, 4, 3), "i64")], "{a0} : {t0}", torch.neg, ["i64"])

    broadcasts = [((3, 5), (3, 5)), ((4, 1, 3), (2, 1)), ((7,), ()), ((1,), (6, 5)), ((2, 3, 1, 5), (3, 4, 1))]
    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
              "minimum": torch.minimum}
    for left, right in broadcasts:
        for op, function in binary.items():
            right_data = c.uniform(0.5, 2.0, *right) if op == "div" else c.normal(*right)
            c.add(op, [c.normal(*left), right_data], "{a0}, {a1} : {t0}, {t1}", function)
        c.add("pow", [c.uniform(0.1, 3.0, *left), c.normal(*right)], "{a0}, {a1} : {t0}, {t1}", torch.pow)
        for op, function in {"and": torch.logical_and, "or": torch.logical_or}.items():
            c.add(op, [(c.flags(*left), "i1"), (c.flags(*right), "i1")], "{a0}, {a1} : {t0}, {t1}", function, ["i1"])
        for direction in ["eq", "ne", "lt", "le", "gt", "ge"]:
            data = [(c.integers(0, 3, *left), "i64"), (c.integers(0, 3, *right), "i64")]
            c.add("compare", data, f'"{direction}" {{a0}}, {{a1}} : {{t0}}, {{t1}}', getattr(torch, direction), ["i1"])
            c.add("compare", [c.normal(*left), c.normal(*right)], f'"{direction}" {{a0}}, {{a1}} : {{t0}}, {{t1}}',
                  getattr(torch, direction), ["i1"])
        c.add("select", [(c.flags(*left), "i1"), c.normal(*right), c.normal(*left)],
              "{a0}, {a1}, {a2} : {t0}, {t1}, {t2}", torch.where)
    c.add("div", [(c.integers(-20, 20, 4, 3), "i64"), (c.integers(1, 5, 3), "i64")], "{a0}, {a1} : {t0}, {t1}",
          lambda a, b: torch.div(a, b, rounding_mode="trunc"), ["i64"])
    c.add("add", [(c.integers(-20, 20, 4, 3, element="i32"), "i32"), (c.integers(1, 5, 1, element="i32"), "i32")],
          "{a0}, {a1} : {t0}, {t1}", torch.add, ["i32"])
    other = {"f32": "f64", "f64": "f32"}[c.element]
    c.add("convert", [c.normal(3, 5)], "{a0} : {t0} to {r0}",
          lambda x: x.to(torch.float32).double() if other == "f32" else x, [other])
    c.add("convert", [c.normal(3, 5)], "{a0} : {t0} to {r0}", lambda x: x)
    c.add("convert", [c.normal(3, 5, scale=9)], "{a0} : {t0} to {r0}", lambda x: x.long(), ["i64"])
    c.add("convert", [c.integers(-1, 2, 3, 5).astype(NUMPY[c.element])], "{a0} : {t0} to {r0}", lambda x: x != 0, ["i1"])
    c.add("convert", [(c.flags(3, 5), "i1")], "{a0} : {t0} to {r0}", lambda x: x.double())
    c.add("convert", [(c.integers(-99, 99, 3, 1), "i64")], "{a0} : {t0} to {r0}", lambda x: x.double())
    c.add("convert", [(c.integers(-99, 99, 5, element="i32"), "i32")], "{a0} : {t0} to {r0}", lambda x: x.long(), ["i64"])

    for tanh, mode in [("", "none"), ("tanh ", "tanh")]:
        gelu = lambda x, mode=mode: torch.nn.functional.gelu(x, approximate=mode)
        for shape in [(3, 5, 7), (1,), ()]:
            # One element alone stays away from the zero of the derivative, where the bound has no scale.
            x = c.normal(*shape, scale=2.0) if len(shape) > 1 else c.uniform(0.1, 2.0, *shape)
            c.add("gelu", [x], tanh + "{a0} : {t0}", gelu)
            c.add("gelu_grad", [c.normal(*shape), x], tanh + "{a0}, {a1} : {t0}",
                  lambda dy, x, gelu=gelu: gradients(gelu, [x], dy)[0])


def gradients(function, inputs, *cotangents):
    """Vector-Jacobian products of `function` at `inputs` by autograd."""
    inputs = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    outputs = function(*inputs)
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    wanted = [x for x in inputs if x.requires_grad]
    return torch.autograd.grad(outputs, wanted, list(cotangents))


def reductions(c):
    for shape, dims in [((3, 5, 7), [1]), ((3, 5, 7), [0, 2]), ((4, 1, 6), [0, 1, 2]), ((301,), [0]), ((2, 3), []),
                        ((1, 1), [1]), ((65, 130), [0]), ((130, 65), [1])]:
        for keep in [False, True]:
            text = f"{{a0}} dims {dims}" + (" keep_dims" if keep else "") + " : {t0}"
            c.add("reduce_sum", [c.normal(*shape)], text,
                  lambda x, d=dims, k=keep: x.sum(d, keepdim=k) if d else x)
            c.add("reduce_max", [c.normal(*shape)], text, lambda x, d=dims, k=keep: x.amax(d, keepdim=k) if d else x)
            c.add("reduce_min", [c.normal(*shape)], text, lambda x, d=dims, k=keep: x.amin(d, keepdim=k) if d else x)
            c.add("reduce_log_sum_exp", [c.normal(*shape)], text,
                  lambda x, d=dims, k=keep: x.logsumexp(d, keepdim=k) if d else x)
    for extreme in [500.0, -500.0]:  # e^500 has no f32
        rows = c.normal(3, 20)
        rows[1, 7] = rows[2, :] = extreme
        c.add("reduce_log_sum_exp", [rows], "{a0} dims [1] : {t0}", lambda x: x.logsumexp(1))
    c.add("reduce_sum", [(c.integers(-9, 9, 4, 5), "i64")], "{a0} dims [0] : {t0}", lambda x: x.sum(0), ["i64"])


def layout(c):
    def constant(values, text, element):
        c.add("constant", [], text + " : {r0}", lambda: torch.from_numpy(values), [element])

    values = c.normal(2, 3)
    hexadecimal = "0x" + values.tobytes().hex().upper()
    constant(values.astype(np.float64), f'dense<"{hexadecimal}">', c.element)
    constant(np.full((3, 2), 0.5), "dense<0.5>", c.element)
    constant(np.array([True, False, True, True, False, False, True, False, True]),
             "dense<[true, false, true, true, false, false, true, false, true]>", "i1")
    constant(np.full((3,), True), "dense<true>", "i1")
    for shape, dim in [((4,), 0), ((3, 5, 2), 1), ((3, 5, 2), 2), ((1, 3), 0)]:
        view = [1] * len(shape)
        view[dim] = shape[dim]
        for element in [c.element, "i64"]:
            c.add("iota", [], f"{dim} : {{r0}}",
                  lambda s=shape, d=dim, v=view: torch.arange(s[d]).view(v).expand(s).clone(), [element])
    c.add("reshape", [c.normal(3, 4, 5)], "{a0} : {t0} to {r0}", lambda x: x.reshape(6, 10))
    c.add("reshape", [c.normal(1, 1)], "{a0} : {t0} to {r0}", lambda x: x.reshape(()))
    for shape, permutation in [((3, 4, 5), (2, 0, 1)), ((3, 1, 5, 2), (0, 2, 1, 3)), ((7,), (0,)), ((33, 65), (1, 0))]:
        c.add("transpose", [c.normal(*shape)], f"{{a0}} {list(permutation)} : {{t0}}",
              lambda x, p=permutation: x.permute(p))
    c.add("broadcast", [c.normal(4)], "{a0} [1] : {t0} to {r0}", lambda x: x.expand(3, 4))
    c.add("broadcast", [c.normal(3, 1)], "{a0} [0, 2] : {t0} to {r0}", lambda x: x[:, None].expand(3, 2, 5))
    c.add("broadcast", [c.normal()], "{a0} [] : {t0} to {r0}", lambda x: x.expand(3, 5))
    c.add("slice", [c.normal(5, 9)], "{a0} [1, 2] to [4, 9] by [1, 3] : {t0}", lambda x: x[1:4, 2:9:3])
    c.add("slice", [(c.integers(0, 9, 6), "i64")], "{a0} [0] to [5] by [2] : {t0}", lambda x: x[0:5:2], ["i64"])
    c.add("slice", [c.normal(1, 3)], "{a0} [0, 0] to [1, 3] by [1, 1] : {t0}", lambda x: x)

    def pad(x, value, low, high, interior):
        shape = [l + n + max(n - 1, 0) * i + h for l, n, i, h in zip(low, x.shape, interior, high)]
        out = value.expand(shape).clone()
        out[tuple(slice(l, l + (n - 1) * (i + 1) + 1, i + 1) for l, n, i in zip(low, x.shape, interior))] = x
        return out

    for shape, low, high, interior in [((3, 4), (1, 0), (2, 1), (0, 0)), ((3, 4), (0, 2), (1, 0), (1, 2)),
                                       ((1, 5), (0, 0), (0, 0), (3, 1))]:
        c.add("pad", [c.normal(*shape), c.normal()],
              f"{{a0}}, {{a1}} low {list(low)} high {list(high)} interior {list(interior)} : {{t0}}, {{t1}}",
              lambda x, v, l=low, h=high, i=interior: pad(x, v, l, h, i))
    c.add("concat", [c.normal(2, 3), c.normal(2, 1), c.normal(2, 4)], "{a0}, {a1}, {a2} dim 1 : {t0}, {t1}, {t2}",
          lambda *x: torch.cat(x, 1))
    c.add("concat", [c.normal(2, 3)], "{a0} dim 0 : {t0}", lambda x: x)


def indexing(c):
    for index in ["i64", "i32"]:
        for table, ids in [((7, 5), (2, 3)), ((4, 1), (6,)), ((5, 2, 3), (4,)), ((3, 4), ())]:
            data = (c.integers(0, table[0], *ids, element=index), index)
            c.add("embedding", [c.normal(*table), data], "{a0}, {a1} : {t0}, {t1}", lambda t, i: t[i.long()])
            c.add("embedding_grad", [c.normal(*ids, *table[1:]), data], f"{{a0}}, {{a1}} rows {table[0]} : {{t0}}, {{t1}}",
                  lambda dy, i, t=table: torch.zeros(t, dtype=torch.float64).index_put(
                      (i.long(),), dy, accumulate=True))
        for shape, index_shape, dim in [((5, 4), (2, 4), 0), ((5, 4), (5, 1), 1), ((2, 3, 4), (2, 6, 3), 1), ((3,), (7,), 0)]:
            data = (c.integers(0, shape[dim], *index_shape, element=index), index)
            c.add("gather", [c.normal(*shape), data], f"{{a0}}, {{a1}} dim {dim} : {{t0}}, {{t1}}",
                  lambda x, i, d=dim: x.gather(d, i.long()))
            c.add("scatter_add", [c.normal(*index_shape), data], f"{{a0}}, {{a1}} dim {dim} : {{t0}}, {{t1}} to {{r0}}",
                  lambda u, i, d=dim, s=shape: torch.zeros(s, dtype=torch.float64).scatter_add(d, i.long(), u))


def contractions(c):
    for lhs, rhs, batch, contract, einsum in [
            ((3, 5), (5, 7), ((), ()), ((1,), (0,)), "ab,bc->ac"), ((33, 65), (17, 65), ((), ()), ((1,), (1,)), "ab,cb->ac"),
            ((2, 3, 4, 5), (2, 3, 6, 5), ((0, 1), (0, 1)), ((3,), (3,)), "abcd,abed->abce"),
            ((4, 1, 3), (3, 4, 2), ((0,), (1,)), ((2,), (0,)), "abc,cad->abd"),
            ((2, 3, 4), (3, 4, 5), ((), ()), ((1, 2), (0, 1)), "abc,bcd->ad"), ((6,), (6,), ((), ()), ((0,), (0,)), "a,a->"),
            ((2,), (3,), ((), ()), ((), ()), "a,b->ab"), ((1, 1), (1, 1), ((), ()), ((0,), (1,)), "ab,ca->bc")]:
        lists = [str(list(x)) for x in (*batch, *contract)]
        c.add("matmul", [c.normal(*lhs), c.normal(*rhs)],
              f"{{a0}}, {{a1}} batch {lists[0]} x {lists[1]} contract {lists[2]} x {lists[3]} : {{t0}}, {{t1}}",
              lambda a, b, e=einsum: torch.einsum(e, a, b))
    for leading in [(3,), (2, 3), (1, 2, 1), ()]:
        c.add("linear", [c.normal(*leading, 5), c.normal(5, 7), c.normal(7)], "{a0}, {a1}, {a2} : {t0}, {t1}, {t2}",
              lambda x, w, b: x @ w + b)
        c.add("linear", [c.normal(*leading, 5), c.normal(7, 5)], "{a0}, {a1} transpose_weight : {t0}, {t1}",
              lambda x, w: x @ w.T)
        c.add("linear", [c.normal(*leading, 5), c.normal(5, 3, 7), c.normal(3, 7)], "{a0}, {a1}, {a2} : {t0}, {t1}, {t2}",
              lambda x, w, b: torch.tensordot(x, w, dims=1) + b)
        c.add("linear", [c.normal(*leading, 5), c.normal(3, 7, 5)], "{a0}, {a1} transpose_weight : {t0}, {t1}",
              lambda x, w: torch.einsum("...k,abk->...ab", x, w))


def convolutions(c):
    for x, weight, strides, low, high, dilations, groups in [
            ((2, 3, 7), (4, 3, 3), (1,), (0,), (0,), (1,), 1), ((2, 4, 9), (6, 2, 3), (2,), (4,), (0,), (2,), 2),
            ((2, 3, 6, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
            ((1, 2, 8, 7), (3, 2, 3, 2), (2, 3), (2, 0), (1, 1), (2, 1), 1),
            ((2, 4, 5, 4), (6, 2, 2, 3), (1, 2), (0, 1), (1, 1), (1, 1), 2),
            ((2, 3, 6, 6), (6, 1, 3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 3),  # depthwise, two results per channel
            ((1, 5, 4, 4), (5, 1, 4, 4), (4, 4), (0, 0), (0, 0), (1, 1), 5), ((2, 3, 4, 5), (7, 3, 1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
            ((1, 2, 4, 5, 3), (3, 2, 2, 3, 1), (1, 2, 1), (1, 1, 0), (0, 1, 0), (2, 1, 1), 1),
            ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1), ((4, 33, 12, 9), (65, 33, 3, 3), (2, 1), (1, 1), (1, 1), (1, 1), 1)]:
        window = (f"strides {list(strides)} low {list(low)} high {list(high)} dilations {list(dilations)} "
                  f"groups {groups} : {{t0}}, {{t1}}")

        def forward(x, w, s=strides, l=low, h=high, d=dilations, g=groups):
            padding = [n for pair in zip(reversed(l), reversed(h)) for n in pair]
            convolve = [torch.conv1d, torch.conv2d, torch.conv3d][len(s) - 1]
            return convolve(torch.nn.functional.pad(x, padding), w, None, s, 0, d, g)

        x, w = c.normal(*x), c.normal(*weight)
        dy = c.normal(*forward(torch.from_numpy(x), torch.from_numpy(w)).shape)
        c.add("convolution", [x, w], "{a0}, {a1} " + window, forward)
        c.add("convolution_input_grad", [dy, w], f"{{a0}}, {{a1}} sizes {list(x.shape[2:])} " + window,
              lambda dy, w, f=forward, x=torch.from_numpy(x).double(): gradients(f, [x, w], dy)[0])
        c.add("convolution_weight_grad", [dy, x], f"{{a0}}, {{a1}} sizes {list(w.shape[2:])} " + window,
              lambda dy, x, f=forward, w=torch.from_numpy(w).double(): gradients(f, [x, w], dy)[1])


def normalizations(c):
    softmax = lambda x, d: torch.softmax(x, d)
    for shape, dim in [((3, 7), 1), ((3, 7), 0), ((2, 1, 5), 1), ((2, 65, 3), 1), ((9,), 0)]:
        c.add("softmax", [c.normal(*shape, scale=30.0)], f"{{a0}} dim {dim} : {{t0}}", lambda x, d=dim: softmax(x, d))
        c.add("softmax_grad", [c.normal(*shape), c.normal(*shape)], f"{{a0}}, {{a1}} dim {dim} : {{t0}}",
              lambda dy, y, d=dim: y * (dy - (dy * y).sum(d, keepdim=True)))
    for shape, trailing in [((3, 5), 1), ((2, 3, 33), 1), ((2, 3, 4), 2), ((4, 1), 1), ((6,), 1)]:
        weight = shape[-trailing:]

        def layer_norm(x, w, b, n=trailing):
            return torch.nn.functional.layer_norm(x, x.shape[-n:], w, b, 1e-5)

        def statistics(x, n=trailing):
            dims = list(range(-n, 0))
            mean, variance = x.mean(dims), x.var(dims, correction=0)
            return mean, 1 / torch.sqrt(variance + 1e-5)

        # An offset of many deviations: the variance must not be a difference of large numbers.
        x = c.normal(*shape) + np.asarray(100.0, NUMPY[c.element])
        c.add("layer_norm", [x, c.normal(*weight), c.normal(*weight)],
              "{a0}, {a1}, {a2} eps 1.0e-5 : {t0}, {t1}, {t2}",
              lambda x, w, b, f=layer_norm, s=statistics: (f(x, w, b), *s(x)), [c.element] * 3)
        x = c.normal(*shape, scale=2.0)
        mean, rstd = [s.numpy().astype(NUMPY[c.element]) for s in statistics(torch.from_numpy(x).double())]

        def layer_norm_grad(dy, x, w, mean, rstd, n=trailing):
            dims = list(range(-n, 0))
            rows = [d for d in range(x.dim() - n)]
            view = mean.shape + (1,) * n
            normal = (x - mean.view(view)) * rstd.view(view)
            g = dy * w
            dx = rstd.view(view) * (g - g.mean(dims, keepdim=True) - normal * (g * normal).mean(dims, keepdim=True))
            return dx, (dy * normal).sum(rows) if rows else dy * normal, dy.sum(rows) if rows else dy

        c.add("layer_norm_grad", [c.normal(*shape), x, c.normal(*weight), mean, rstd],
              "{a0}, {a1}, {a2}, {a3}, {a4} : {t0}, {t1}, {t2}, {t3}, {t4}", layer_norm_grad, [c.element] * 3)
    for rows, columns in [(5, 7), (1, 3), (9, 1), (33, 130)]:
        for index in ["i64", "i32"]:
            target = c.integers(0, columns, rows, element=index)
            target[::3] = -100

            def cross_entropy(x, t):
                loss = torch.nn.functional.cross_entropy(x, t.long(), reduction="sum", ignore_index=-100)
                return loss, (t != -100).sum().double(), torch.logsumexp(x, 1)

            logits = c.normal(rows, columns, scale=20.0)
            c.add("cross_entropy", [logits, (target, index)], "{a0}, {a1} ignore_index -100 : {t0}, {t1}", cross_entropy,
                  [c.element] * 3)
            lse = torch.logsumexp(torch.from_numpy(logits).double(), 1).numpy().astype(NUMPY[c.element])

            def cross_entropy_grad(x, t, lse, d):
                hit = torch.arange(x.shape[1]) == t[:, None]
                return torch.where((t != -100)[:, None], d * (torch.exp(x - lse[:, None]) - hit.double()), 0.0)

            c.add("cross_entropy_grad", [logits, (target, index), lse, c.normal()],
                  "{a0}, {a1}, {a2}, {a3} ignore_index -100 : {t0}, {t1}, {t2}, {t3}", cross_entropy_grad)

            def cross_entropy_with_grad(x, t, d):
                return cross_entropy_grad(x, t, torch.logsumexp(x, 1), d), cross_entropy(x, t)[0]

            c.add("cross_entropy_with_grad", [logits, (target, index), c.normal()],
                  "{a0}, {a1}, {a2} ignore_index -100 : {t0}, {t1}, {t2}", cross_entropy_with_grad, [c.element] * 2)


def attention_reference(q, k, v, mask, causal, scale):
    """o and lse, written out; rows that see no key give 0 and -inf."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = q @ k.transpose(2, 3) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    s, t = scores.shape[2:]
    if causal:
        scores = scores.masked_fill(torch.arange(t) > torch.arange(s)[:, None] + t - s, -math.inf)
    lse = torch.logsumexp(scores, 3)
    visible = lse[..., None] != -math.inf
    p = torch.exp(scores - torch.where(visible, lse[..., None], 0.0))
    return p @ v, lse


def attention(c):
    for b, h, g, s, t, d, e in [(2, 4, 4, 5, 5, 8, 8), (1, 6, 2, 3, 7, 5, 4), (2, 2, 1, 7, 3, 4, 6), (1, 1, 1, 1, 1, 1, 1),
                                (1, 2, 2, 33, 65, 16, 16)]:
        for causal in [False, True]:
            for mask in [None, "float", "bool"]:
                q, k, v = c.normal(b, h, s, d), c.normal(b, g, t, d), c.normal(b, g, t, e)
                scale = 1.0 / math.sqrt(d)
                arguments, text, mask_type = [q, k, v], "{a0}, {a1}, {a2}", []
                if mask == "float":
                    mask_type = [c.normal(b, 1, s, t)]
                if mask == "bool":
                    flags = c.flags(1, h, s, t)
                    flags[0, 0, 0, :] = False
                    mask_type = [(flags, "i1")]
                flag = " causal" if causal else ""

                def forward(q, k, v, m=None, causal=causal, scale=scale):
                    return attention_reference(q, k, v, m, causal, scale)

                types = "{t0}, {t1}, {t2}" + (", {t3}" if mask else "")
                c.add("attention", arguments + mask_type,
                      text + (" mask {a3}" if mask else "") + f" scale {scale!r}{flag} : {types}", forward,
                      [c.element] * 2)
                inputs = [torch.from_numpy(x[0] if isinstance(x, tuple) else x) for x in arguments + mask_type]
                o, lse = forward(*[x.double() if x.is_floating_point() else x for x in inputs])
                o, lse = o.numpy().astype(NUMPY[c.element]), lse.numpy().astype(NUMPY[c.element])

                def backward(d_o, q, k, v, o, lse, m=None, forward=forward):
                    found = gradients(lambda q, k, v: forward(q, k, v, m)[0], [q, k, v], d_o)
                    return [torch.nan_to_num(x) for x in found]

                types = ", ".join(f"{{t{i}}}" for i in range(6 + len(mask_type)))
                c.add("attention_grad", [c.normal(*o.shape), q, k, v, o, lse] + mask_type,
                      "{a0}, {a1}, {a2}, {a3}, {a4}, {a5}" + (" mask {a6}" if mask else "") +
                      f" scale {scale!r}{flag} : {types}", backward, [c.element] * 3)


def updates(c):
    for n in [1, 7, 65536, 131073]:
        c.add("sum_squares", [c.normal(n)], "{a0} : {t0}", lambda x: (x * x).sum(), ["f64"])
    for n, adam_w, correct, step in [((7,), True, True, 1), ((33,), True, False, 3), ((5, 3), False, True, 7), ((1,), False, False, 2)]:
        lr, b1, b2, eps, decay, clip = 3e-3, 0.9, 0.98, 1e-8, 0.1, 0.7

        def adamw(p, g, m, v, lr, step, clip, adam_w=adam_w, correct=correct):
            g = clip * g + (0.0 if adam_w else decay * p)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            c1, c2 = (1 - b1 ** int(step), 1 - b2 ** int(step)) if correct else (1.0, 1.0)
            p = p * (1 - lr * decay) if adam_w else p
            return p - lr / c1 * m / (torch.sqrt(v) / math.sqrt(c2) + eps), m, v

        c.add("adamw", [c.normal(*n), c.normal(*n), c.normal(*n, scale=0.1), c.uniform(0.0, 0.1, *n),
                        (np.array(lr), "f64"), (np.array(step), "i64"), (np.array(clip), "f64")],
              "{a0}, {a1}, {a2}, {a3}, {a4}, {a5}, {a6} {{beta1 = 0.9, beta2 = 0.98, eps = 1.0e-8, weight_decay = 0.1, "
              f"bias_correction = {str(correct).lower()}, adam_w_mode = {str(adam_w).lower()}}}}} : "
              "{t0}, {t1}, {t2}, {t3}, {t4}, {t5}, {t6}", adamw, [c.element] * 3)
    # {scale, steps since an overflow, overflows until it is halved, steps skipped}, whether gradients are finite.
    options = "window = 4 : i64, hysteresis = 3 : i64, minimum = 2.0 : f64, consecutive_hysteresis = "
    for state, finite, consecutive, expected in [
            ((8, 3, 1, 5), True, False, (8, 4, 1, 5)), ((8, 4, 1, 5), True, False, (16, 5, 3, 5)),
            ((8, 0, 1, 5), True, False, (8, 1, 1, 5)), ((8, 1, 1, 5), True, True, (8, 2, 3, 5)),
            ((8, 4, 3, 5), False, False, (8, 0, 2, 6)), ((8, 4, 1, 5), False, True, (4, 0, 1, 6)),
            ((3, 4, 1, 5), False, False, (2, 0, 1, 6)), ((2, 0, 1, 5), False, False, (0, 0, 1, 6))]:
        c.add("update_loss_scale", [(np.array(state, np.float64), "f64"), (np.array(finite), "i1")],
              f"{{a0}}, {{a1}} {{{{{options}{str(consecutive).lower()}}}}} : {{t0}}, {{t1}}",
              lambda state, finite, expected=expected: torch.tensor(expected, dtype=torch.float64), ["f64"])


def philox4x32(counter, key):
    """Philox4x32-10 in Python integers (Salmon et al., SC 2011, section 3.3)."""
    counter, key = list(counter), list(key)
    for round in range(10):
        if round:
            key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(second >> 32) ^ counter[1] ^ key[0], second & 0xFFFFFFFF,
                   (first >> 32) ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
    return counter


def kept(shape, counter, identity, p):
    """Which elements dropout keeps: word e % 4 of group e // 4 is at least p 2^32."""
    seed, step, micro_batch = (int(x) for x in counter)
    count = math.prod(shape)
    words = []
    for element in range(micro_batch * count, (micro_batch + 1) * count):
        group = element // 4
        word = philox4x32((group & 0xFFFFFFFF, group >> 32, identity, step), (seed & 0xFFFFFFFF, seed >> 32))[element % 4]
        words.append(word >= p * 2.0**32)
    return torch.tensor(words, dtype=torch.bool).reshape(shape)


def dropout(c):
    for shape, counter, identity, p in [((5, 7), (42, 1, 0), 3, 0.1), ((5, 7), (42, 1, 2), 3, 0.5), ((), (7, 2, 1), 0, 0.25),
                                        ((2, 1, 33), (2**40 + 5, 9, 1), 17, 0.9), ((6,), (1, 1, 0), 1, 0.0)]:
        def reference(x, counter, p=p, identity=identity):
            return torch.where(kept(x.shape, counter, identity, p), x / (1 - p), 0.0)

        c.add("dropout", [c.normal(*shape), (np.array(counter, np.int64), "i64")],
              f"{{a0}}, {{a1}} p {p} id {identity} : {{t0}}, {{t1}}", reference)
    # The part of a 4 x 7 x 6 tensor that begins at (1, 2, 0).
    counter, offsets = np.array([3, 1, 1], np.int64), np.array([1, 2, 0], np.int64)
    c.add("dropout", [c.normal(2, 3, 6), (counter, "i64"), (offsets, "i64")],
          "{a0}, {a1} at {a2} in [4, 7, 6] p 0.5 id 2 : {t0}, {t1}, {t2}",
          lambda x, counter, offsets: torch.where(kept((4, 7, 6), counter, 2, 0.5)[1:3, 2:5], x * 2, 0.0))
    # Attention drops probabilities by the mask of the b x h x s x t scores.
    b, h, g, s, t, d, p, identity = 2, 4, 2, 3, 5, 4, 0.3, 11
    counter = np.array([5, 1, 1], np.int64)

    def forward(q, k, v, counter, whole=None, at=(0, 0)):
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = q @ k.transpose(2, 3) * 0.5
        mask = kept(whole or scores.shape, counter, identity, p).double() / (1 - p)
        mask = mask[at[0]:at[0] + scores.shape[0], at[1]:at[1] + scores.shape[1]]
        return (torch.softmax(scores, 3) * mask) @ v, torch.logsumexp(scores, 3)

    q, k, v = c.normal(b, h, s, d), c.normal(b, g, t, d), c.normal(b, g, t, d)
    attributes = f" scale 0.5 {{{{dropout = {p}, id = {identity} : i64}}}}"
    c.add("attention", [q, k, v, (counter, "i64")],
          "{a0}, {a1}, {a2} counter {a3}" + attributes + " : {t0}, {t1}, {t2}, {t3}", forward, [c.element] * 2)
    o, lse = forward(*[torch.from_numpy(x).double() for x in (q, k, v)], torch.from_numpy(counter))
    o, lse = o.numpy().astype(NUMPY[c.element]), lse.numpy().astype(NUMPY[c.element])
    c.add("attention_grad", [c.normal(*o.shape), q, k, v, o, lse, (counter, "i64")],
          "{a0}, {a1}, {a2}, {a3}, {a4}, {a5} counter {a6}" + attributes +
          " : {t0}, {t1}, {t2}, {t3}, {t4}, {t5}, {t6}",
          lambda d_o, q, k, v, o, lse, counter: gradients(lambda q, k, v: forward(q, k, v, counter)[0], [q, k, v], d_o),
          [c.element] * 3)

    # Batch rows 1 and 2 of 4, heads 2 to 5 of 8.
    whole, at = (4, 8, s, t), (1, 2)
    place = {"whole": whole, "at": at}
    offsets = np.array([*at, 0, 0], np.int64)
    c.add("attention", [q, k, v, (counter, "i64"), (offsets, "i64")],
          f"{{a0}}, {{a1}}, {{a2}} counter {{a3}} at {{a4}} in {list(whole)}" + attributes +
          " : {t0}, {t1}, {t2}, {t3}, {t4}", lambda q, k, v, counter, _: forward(q, k, v, counter, **place),
          [c.element] * 2)
    o, lse = forward(*[torch.from_numpy(x).double() for x in (q, k, v)], torch.from_numpy(counter), **place)
    o, lse = o.numpy().astype(NUMPY[c.element]), lse.numpy().astype(NUMPY[c.element])
    c.add("attention_grad", [c.normal(*o.shape), q, k, v, o, lse, (counter, "i64"), (offsets, "i64")],
          f"{{a0}}, {{a1}}, {{a2}}, {{a3}}, {{a4}}, {{a5}} counter {{a6}} at {{a7}} in {list(whole)}" + attributes +
          " : {t0}, {t1}, {t2}, {t3}, {t4}, {t5}, {t6}, {t7}",
          lambda d_o, q, k, v, o, lse, counter, _: gradients(lambda q, k, v: forward(q, k, v, counter, **place)[0],
                                                             [q, k, v], d_o),
          [c.element] * 3)


def parts_of_tables(c):
    for index in ["i64", "i32"]:
        # Rows 4 to 6 of a table of 9: rows elsewhere give zeros.
        data = (np.array([[4, 1, 8], [5, 6, 0]], NUMPY[index]), index)
        offset = (np.array(4, np.int64), "i64")

        def part(t, i, o):
            own = i.long() - o
            return torch.where(((own >= 0) & (own < 3))[..., None], t[own.clamp(0, 2)], 0.0)

        c.add("embedding", [c.normal(3, 5), data, offset], "{a0}, {a1} at {a2} of 9 : {t0}, {t1}, {t2}", part)
        c.add("embedding_grad", [c.normal(2, 3, 5), data, offset], "{a0}, {a1} at {a2} rows 3 : {t0}, {t1}, {t2}",
              lambda dy, i, o: torch.zeros(9, 5, dtype=torch.float64).index_put(
                  (i.long(),), dy, accumulate=True)[4:7])


FAMILIES = [elementwise, reductions, layout, indexing, contractions, convolutions, normalizations, attention, updates,
            dropout, parts_of_tables]


def all_cases(element):
    cases = Cases(element)
    for family in FAMILIES:
        family(cases)
    return cases.cases
