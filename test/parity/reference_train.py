"""A PyTorch trainer written from DeepSpeed's formulas: the reference of the parity tests.

It shares nothing with DeepShard: models are built by transformers, the update is torch.optim.AdamW, and schedules and
clipping are written out here from their definitions.

A reference in f64 computes everything in f64: where a model casts to float32 explicitly, as transformers' loss does,
`AllDouble` makes the cast one to float64.
"""

import contextlib
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils._pytree import tree_map


class AllDouble(torch.overrides.TorchFunctionMode):
    """While active, every request for float32 is one for float64: `.float()`, `.to(torch.float32)`, `dtype=`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double

        def widen(value):
            return torch.float64 if value is torch.float32 else value

        return function(*tree_map(widen, args), **tree_map(widen, kwargs or {}))


@dataclass
class Result:
    """What a run leaves: a value a step, and the weights by name, in f64 (exact for both precisions).

    `loss_scales` are those after the steps, `skipped` the steps whose gradients overflowed."""

    losses: list = field(default_factory=list)
    grad_norms: list = field(default_factory=list)
    learning_rates: list = field(default_factory=list)
    loss_scales: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    initial: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)


def learning_rate(config, step):
    """The rate that step `step` (from 0) uses.

    DeepSpeed advances the schedule after the optimizer: step k sees t = k - 1, and before the first, t = -1, the rate
    is the minimum (0 for the cosine schedule).
    """
    base = config["optimizer"]["params"]["lr"]
    scheduler = config.get("scheduler")
    if not scheduler:
        return base
    kind, params, t = scheduler["type"], scheduler.get("params", {}), step - 1
    warmup = max(2, params.get("warmup_num_steps", 1000))
    if params.get("warmup_type", "log") == "log":
        ramp = math.log(t + 1) / math.log(warmup) if t >= 0 else 0.0
    else:
        ramp = t / warmup
    if kind == "WarmupCosineLR":
        if t < 0:
            return 0.0
        if t < warmup:
            low = params.get("warmup_min_ratio", 0.0)
            return base * (low + (1 - low) * ramp)
        progress = min(1.0, (t - warmup + 1) / max(1, params["total_num_steps"] - warmup))
        floor = params.get("cos_min_ratio", 1e-4)
        return base * max(0.0, floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)
    low = params.get("warmup_min_lr", 0.0)
    high = params.get("warmup_max_lr", base if kind == "WarmupLR" else 1e-3)
    if t < 0:
        return low
    if t >= warmup:
        total = params.get("total_num_steps")
        ramp = 1.0 if kind == "WarmupLR" else max(0.0, (total - t) / max(1, total - warmup))
    return low + (high - low) * ramp


def micro_batches(data, step, micro, accumulation):
    """The rows of one step in file order, wrapping round: micro-batch after micro-batch."""
    rows = len(next(iter(data.values())))
    for index in range(accumulation):
        first = (step * accumulation + index) * micro
        yield {name: torch.from_numpy(array[np.arange(first, first + micro) % rows].copy())
               for name, array in data.items()}


def unique_parameters(module):
    """(name, parameter) of every storage once, under the first of its names."""
    seen = set()
    for name, parameter in module.named_parameters():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield name, parameter


def snapshot(module):
    return {name: parameter.detach().to(torch.float64).clone() for name, parameter in unique_parameters(module)}


def clip(parameters, bound):
    """Scales the gradients by min(1, C / (norm + 1e-6)), as DeepSpeed does; returns the norm before."""
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in parameters]))
    if bound > 0:
        factor = torch.clamp(bound / (norm + 1e-6), max=1.0)
        for parameter in parameters:
            parameter.grad.mul_(factor)
    return norm.item()


def make_optimizer(parameters, config):
    section = config["optimizer"]
    params = section.get("params", {})
    decoupled = section["type"].lower() == "adamw" or params.get("adam_w_mode", True)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind(parameters, lr=params["lr"], betas=tuple(params.get("betas", (0.9, 0.999))),
                eps=params.get("eps", 1e-8), weight_decay=params.get("weight_decay", 0.0), foreach=False, fused=False)


def train(module, data, config, steps, dtype=torch.float32, autocast=None, scaler=None):
    """Trains `module` in place. `data`: int64 arrays of rows by the names of forward's arguments; the loss is the
    tensor that forward returns or its `.loss`. The config gives micro-batch, accumulation, clipping, optimizer and
    schedule under DeepSpeed's keys. With `autocast`, a dtype, the forward runs under torch.autocast in that. With `scaler`,
    a torch.amp.GradScaler, the loss is scaled; a step that it skips does not advance the schedule."""
    module.to(dtype).train()
    micro = config["train_micro_batch_size_per_gpu"]
    accumulation = config.get("gradient_accumulation_steps", 1)
    parameters = [parameter for _, parameter in unique_parameters(module)]
    optimizer = make_optimizer(parameters, config)
    result = Result(initial=snapshot(module))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(config, step - len(result.skipped))
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch in micro_batches(data, step, micro, accumulation):
            if autocast:
                context = torch.autocast("cpu", autocast)
            else:
                context = AllDouble() if dtype == torch.float64 else contextlib.nullcontext()
            with context:
                output = module(**batch)
                loss = output if isinstance(output, torch.Tensor) else output.loss
            scaled = scaler.scale(loss) if scaler else loss
            (scaled / accumulation).backward()
            total += loss.item() / accumulation
        result.losses.append(total)
        if scaler:
            scaler.unscale_(optimizer)
        result.grad_norms.append(clip(parameters, config.get("gradient_clipping", 1.0)))
        result.learning_rates.append(optimizer.param_groups[0]["lr"])
        if scaler:
            before = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            result.loss_scales.append(scaler.get_scale())
            if result.loss_scales[-1] < before:
                result.skipped.append(step)
        else:
            optimizer.step()
    result.weights = snapshot(module)
    return result
