"""Imports one model that uses every supported op and compares its outputs with PyTorch's: numerics.py DIRECTORY

The program that ds-opt prints is run by the reference kernels (graph-eval). Both tools are found on the PATH.
"""

import os
import subprocess
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

BOUND = 3e-6  # max |found - expected| / max |expected| in f32


def unary(x, **_):
    p = x.abs() + 0.1
    return [x.neg(), x.abs(), x.floor(), x.ceil(), x.trunc(), x.exp(), p.log(), p.sqrt(), p.rsqrt(), x.sin(), x.cos(),
            x.tan(), x.tanh(), x.erf(), torch.special.ndtr(x), x.sigmoid(), x.square(), p.reciprocal(), x.sign(), p.log1p()]


def binary(x, y, **_):
    return [x + y, x - 2 * y, torch.add(x, y, alpha=3), torch.sub(x, y, alpha=0.5), 1 - x, x * y, x / y, 2 / x, x // y,
            torch.div(x, y, rounding_mode="trunc"), x % y, x.abs() ** y, x ** 3, 2 ** x, torch.maximum(x, y),
            torch.minimum(x, y), x.clamp(-0.5, 0.5), x.clamp(min=0), torch.max(x, y), torch.lerp(x, y, 0.3),
            torch.addcmul(x, x, y, value=2), torch.addcdiv(x, x, y.abs() + 1), x + y[0], x[:, :1] * y]


def integers(i, **_):
    return [i // 2, -(i + 1) // 2, i % 3, (i - 3) % 2, i / 2, i ** 2, i * 2.5, (i - 3) // 2, i.float(), i > 2, i == 1,
            torch.div(i - 3, 2, rounding_mode="trunc"), i.to(torch.int32) + 1]


def comparisons(x, y, **_):
    return [x < y, x <= 0, x > y, x >= 1, x == y, x != y, (x < 0) & (y < 0), (x < 0) | (y < 0), ~(x < 0),
            (x < 0) ^ (y < 0), torch.logical_not(x), torch.where(x < 0, x, y), torch.where(x < 0, x, 0.0),
            x.masked_fill(y > 0, -1e9)]


def activations(x, **_):
    return [F.relu(x), F.relu6(3 * x), F.leaky_relu(x), F.elu(x), F.silu(x), F.gelu(x), F.gelu(x, approximate="tanh"),
            F.softplus(x), F.logsigmoid(x), F.mish(x), F.glu(x[..., :4]), F.hardtanh(x)]


def linear_algebra(x, y, **_):
    return [x @ y.transpose(1, 2), x[0] @ y[1].t(), torch.matmul(x, y[0, 0]), torch.matmul(x[0, 0], y.transpose(1, 2)),
            torch.bmm(x, y.mT), torch.addmm(x[0, :, :4], x[0], y[0].t(), beta=0.5, alpha=2),
            torch.baddbmm(x[:, :, :4], x, y.mT, beta=0.5), F.linear(x, y[0], y[0, :, 0]), torch.outer(x[0, 0], y[0, 0]),
            torch.dot(x[0, 0], y[0, 0]), torch.mv(x[0], y[0, 0]), torch.einsum("bij,bkj->bik", x, y),
            torch.einsum("bij,bkl->ik", x, y), torch.einsum("bij,bij->bij", x, y), torch.einsum("ij->ji", x[0]),
            torch.matmul(x[:, None], y.mT[None])]


@torch.jit.script
def scripted_convolutions(x, w, b):
    """In scripts the ops keep the names of the functions."""
    return F.conv1d(x, w, b, padding=1), F.conv1d(x, w, padding="same"), F.conv1d(x[0], w, b, 2)


def convolutions(x, y, q, **_):
    """x is 3 x 4 x 5, q 2 x 4 x 6 x 8; slices of y serve as weights and bias."""
    w, b = y[:, :, :3], y[0, :3, 0]  # 3 x 4 x 3
    w2, grouped = y[:2, :, :3, None] * y[:2, :, None, :2], y.flatten()[:48].view(6, 2, 2, 2)
    return [F.conv1d(x, w), F.conv1d(x, w, b, stride=2, padding=1), F.conv1d(x, w, b, dilation=2), F.conv1d(x[0], w, b),
            F.conv1d(x, w, padding="same"), F.conv1d(x, y[:, :, :2], b, padding="same", dilation=3),
            F.conv1d(x, w, padding="valid"), F.conv1d(x, y.view(3, 4, 5)[:2, :1].view(2, 1, 5).repeat(2, 1, 1), groups=4),
            F.conv2d(q, w2, padding=(1, 0)), F.conv2d(q, w2, b[:2], stride=(1, 2), padding=(2, 1), dilation=(1, 3)),
            F.conv2d(q, grouped, stride=2, groups=2), F.conv2d(q, grouped[:4, :1], padding="same", groups=4),
            F.conv2d(q[0], w2, b[:2]), F.conv3d(q[:, None], w2[:1, :1, :, :, None], padding=1),
            torch.convolution(q, w2, b[:2], [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
            *scripted_convolutions(x, w, b)]


def layout(x, **_):
    return [x.view(12, 5), x.reshape(-1), x.flatten(1), x.unsqueeze(1), x.unsqueeze(-1).squeeze(), x.permute(2, 0, 1),
            x.transpose(-1, 0), x[:, 1:3], x[..., ::2], x[-1], x[:, -1], x[1, 2], x.expand(2, 3, 4, 5), x.narrow(1, 1, 2),
            *x.split(2, 1), *x.split([1, 4], 2), *x.chunk(3, 2), *x.unbind(1), torch.cat([x, x * 2], 1),
            torch.stack([x, x], -1), F.pad(x, (1, 2)), F.pad(x, (-1, 1, 0, 2), value=3.0), x.movedim(0, 2),
            x.repeat(2, 1, 3), x.repeat(2, 1, 1, 2), x.repeat_interleave(2, 1), x.roll(1, 0), x.roll((1, -2), (0, 2)),
            x.flip(0), x.flip(-1), x.tril(), x.triu(1), x.tril(-1), x[0].T, x.mT, x.swapaxes(0, 1),
            x.unflatten(1, (2, 2)), x.sum((0, 1)).flip(0)]


def reductions(x, **_):
    return [x.sum(), x.sum(1), x.sum((0, 2), keepdim=True), x.mean(), x.mean(-1), x.var(1), x.std(2),
            x.var(1, unbiased=False), x.amax(1), x.amin((0, 1)), x.max(), x.min(), x.logsumexp(1), x.norm(),
            x.norm(dim=1), (x > 0).any(1), (x > 0).all(), (x > 0).sum(1), torch.linalg.vector_norm(x, dim=2)]


def normalizations(x, v, **_):
    return [F.softmax(x, 1), F.log_softmax(x, -1), F.layer_norm(x, (5,), v, v), F.layer_norm(x, (4, 5)),
            F.rms_norm(x, (5,), v), F.rms_norm(x, (5,)), F.group_norm(x, 2), F.softmax(x, 1, dtype=torch.float64)]


def losses(x, i, **_):
    rows, ids, log = x.flatten(0, 1), i.flatten(), F.log_softmax(x.mT, 1)
    return [F.cross_entropy(rows, ids), F.cross_entropy(rows, ids, reduction="sum"),
            F.cross_entropy(rows, ids, reduction="none"), F.cross_entropy(x.mT, i),
            F.cross_entropy(x.mT, i, ignore_index=1), F.nll_loss(log, i), F.nll_loss(log, i, ignore_index=2),
            F.mse_loss(x, x * 2), F.l1_loss(x, x * 2, reduction="sum"),
            F.binary_cross_entropy_with_logits(x, (x > 0).float())]


def attention(q, k, **_):
    attend = F.scaled_dot_product_attention
    return [attend(q, k, k), attend(q, k, k, is_causal=True), attend(q, k[:, :, :4], k[:, :, :4], is_causal=True),
            attend(q, k, k, attn_mask=torch.ones(6, 6).tril().bool()), attend(q, k, k, attn_mask=q[:, :1, :, :6], scale=0.3),
            attend(q, k[:, :2], k[:, :2], enable_gqa=True), attend(q[0], k[0], k[0])]


def indexing(x, i, **_):
    first, last = torch.tensor([0, 1]), torch.tensor([1, -1])
    return [F.embedding(i, x[0]), x[0].index_select(1, torch.tensor([2, 0])), x.gather(2, i[:, :, None]),
            x[i.clamp(max=2)], x[0][i - 1], x[torch.arange(3)[:, None], i], x[:, last],
            x[:, :, torch.tensor([True, False, True, False, True])], x[first, :, first], x[:, first, first],
            F.one_hot(i, 5), x.take_along_dim(i[:, :, None], 2)]


def in_place(x, **_):
    y = x.clone()
    y.add_(1).mul_(2)
    y.masked_fill_(y > 0, 0.5)
    return [y, torch.zeros_like(x).copy_(x).exp_(), (x * 1).relu_()]


def constants(x, **_):
    return [torch.zeros(2, 3) + x[0, 0, 0], torch.ones_like(x) * x, torch.full((2,), 3.0) * x[0, 0, :2],
            torch.arange(5) * x, x.new_ones(4, 5) * x, torch.tril(torch.ones(4, 4)) @ x[0],
            F.conv1d(torch.ones(1, 1, 5), torch.ones(1, 1, 2), padding="same") * x]  # LibTorch warns of its kernel


FAMILIES = [unary, binary, integers, comparisons, activations, linear_algebra, convolutions, layout, reductions,
            normalizations, losses, attention, indexing, in_place, constants]


class AllOps(torch.nn.Module):
    def forward(self, x, y, v, i, q, k):
        values = dict(x=x, y=y, v=v, i=i, q=q, k=k)
        return tuple(result for family in FAMILIES for result in family(**values))


def import_and_run(inputs, directory):
    archive, program, data, out = (os.path.join(directory, name)
                                   for name in ("all.pt", "all.mlir", "in.safetensors", "out.safetensors"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(AllOps(), tuple(inputs.values()), check_trace=False).save(archive)
    names = {torch.float32: "f32", torch.int64: "i64"}
    specifications = [f"--input={name}={names[value.dtype]}[{'x'.join(map(str, value.shape))}]"
                      for name, value in inputs.items()]
    with open(program, "w") as file:
        subprocess.run(["ds-opt", archive, "--emit", "graph", *specifications], stdout=file, check=True)
    save_file({f"forward.{n}": value.numpy() for n, value in enumerate(inputs.values())}, data)
    subprocess.run(["graph-eval", program, data, out], check=True)
    return load_file(out)


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    torch.manual_seed(0)
    inputs = {"x": torch.randn(3, 4, 5), "y": torch.randn(3, 4, 5), "v": torch.randn(5),
              "i": torch.randint(0, 3, (3, 4)), "q": torch.randn(2, 4, 6, 8), "k": torch.randn(2, 4, 6, 8)}
    found = import_and_run(inputs, directory)
    results, bad = 0, 0
    for family in FAMILIES:
        for n, expected in enumerate(family(**inputs)):
            value = found[f"forward.{results}"].astype(np.float64)
            expected = expected.numpy().astype(np.float64)
            results += 1
            largest = max(np.abs(expected).max(), 1e-30)
            if value.shape != expected.shape or not np.abs(value - expected).max() <= BOUND * largest:
                bad += 1
                print(f"{family.__name__}[{n}]: {value.ravel()[:4]} instead of {expected.ravel()[:4]}")
    print(f"{results} results, {bad} differ from PyTorch")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
