"""Traces one of the small models below: models.py NAME OUT.pt"""

import sys
import warnings

import torch
import torch.nn.functional as F


class Mlp(torch.nn.Module):
    """Two layers, dropout, a loss, a buffer that folds and a tied weight."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(8, 16)
        self.second = torch.nn.Linear(16, 8, bias=False)
        self.drop = torch.nn.Dropout(0.25)
        self.tied = torch.nn.Linear(16, 8, bias=False)
        self.tied.weight = self.second.weight
        self.register_buffer("scale", torch.arange(8, dtype=torch.float32))

    def forward(self, x, target):
        rows = x.view(x.size(0) * x.size(1), 8)
        hidden = F.relu(self.first(rows))
        mask = torch.ones(x.size(1), x.size(1)).tril().sum()
        logits = self.second(self.drop(hidden)) * self.scale + self.tied(hidden) / mask
        return F.cross_entropy(logits, target.reshape(-1))


class InPlace(torch.nn.Module):
    """Writes to whole tensors."""

    def forward(self, x):
        y = x * 2
        y += 1
        y.masked_fill_(y > 3, 0.0)
        return y


class ViewWrite(torch.nn.Module):
    """Writes to a part of a tensor that is used afterwards."""

    def forward(self, x):
        y = x * 2
        y[:, 0] = 1.0
        return y


class Counter(torch.nn.Module):
    """Writes to a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


class Bessel(torch.nn.Module):
    def forward(self, x):
        return torch.special.i0(x)


class Unsupported(torch.nn.Module):
    """Two ops that are not supported, one of them twice."""

    def __init__(self):
        super().__init__()
        self.bessel = Bessel()

    def forward(self, x):
        y = self.bessel(x) + torch.special.i0(x * 2)
        return torch.nonzero(y).float().sum() + y.sum()


class BakedBatch(torch.nn.Module):
    """A literal batch size."""

    def forward(self, x):
        return x.view(2, 4) + torch.ones(2, 1)


class Convolutions(torch.nn.Module):
    """Two convolutions; `last` makes the second."""

    def __init__(self, last):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.last = last

    def forward(self, x):
        return self.last(self.first(x))


@torch.jit.script
def data_dependent(x):
    if bool(x.sum() > 0):
        return x
    return -x


class ControlFlow(torch.nn.Module):
    def forward(self, x):
        return data_dependent(x)


class LongSum(torch.nn.Module):
    """A sum of so many terms that PyTorch gives each thread a part, which the rounding shows."""

    def forward(self, x):
        return x * (1 / torch.arange(1, 1_000_000)).sum()


x = torch.arange(8.0).view(2, 4)
MODELS = {
    "mlp": (Mlp, (torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.int64))),
    "mlp-eval": (lambda: Mlp().eval(), (torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.int64))),
    "in-place": (InPlace, (x,)),
    "view-write": (ViewWrite, (x,)),
    "counter": (Counter, (x,)),
    "unsupported": (Unsupported, (x,)),
    "convolutions": (lambda: Convolutions(torch.nn.Conv2d(8, 8, (2, 3), padding="same", groups=8, bias=False)),
                     (torch.zeros(2, 3, 8, 8),)),
    "transposed": (lambda: Convolutions(torch.nn.ConvTranspose2d(8, 4, 3)), (torch.zeros(2, 3, 8, 8),)),
    "baked-batch": (BakedBatch, (x,)),
    "control-flow": (ControlFlow, (x,)),
    "long-sum": (LongSum, (x,)),
}


def main():
    name, path = sys.argv[1:]
    factory, inputs = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(factory(), inputs, check_trace=False, strict=False).save(path)


if __name__ == "__main__":
    main()
