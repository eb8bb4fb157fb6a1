"""One rank of PyTorch's data parallelism: trains a model of the benchmark and prints what it measured as JSON on rank 0.

    torchrun ... ranks_worker.py ENGINE MODEL BATCH ACCUMULATION STEPS BUCKET ROWS.npy

ENGINE is ddp, fsdp2 or deepspeed-STAGE; BATCH is that of one rank's micro-batch. AdamW is PyTorch's fused one everywhere,
buckets hold BUCKET elements, gradients are averaged over ranks and micro-batches and clipped. Bytes are those of the
largest rank: `idle_bytes` resident with all libraries loaded and ranks connected but no model, `peak_bytes` at the end.
"""

import contextlib
import json
import logging
import os
import re
import sys
import time
import warnings

import numpy as np
import torch
import torch.distributed as dist

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.models import ADAMW, CLIPPING, build_module


def resident(field):
    """Bytes of VmRSS (now) or VmHWM (at most so far) of this process."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return int(re.search(rf"^{field}:\s+(\d+) kB", stream.read(), re.MULTILINE)[1]) * 1024


def adamw(parameters):
    return torch.optim.AdamW(parameters, fused=True, **ADAMW)


class Ddp:
    def __init__(self, module, accumulation, bucket):
        self.module = torch.nn.parallel.DistributedDataParallel(
            module, bucket_cap_mb=bucket * 4 / 2**20, gradient_as_bucket_view=True)
        self.optimizer, self.accumulation = adamw(self.module.parameters()), accumulation

    def reduce_now(self, last):
        return contextlib.nullcontext() if last else self.module.no_sync()

    def step(self, micro_batches):
        losses = []
        for index, tokens in enumerate(micro_batches):
            with self.reduce_now(index + 1 == self.accumulation):
                loss = self.module(input_ids=tokens, labels=tokens).loss / self.accumulation
                loss.backward()
            losses.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), CLIPPING)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return sum(losses)


class Fsdp2(Ddp):
    """Parameters sharded block by block, gathered for the forward and again for the backward (ZeRO-3)."""

    def __init__(self, module, accumulation, bucket):
        from torch.distributed.fsdp import fully_shard

        del bucket  # its units are the blocks
        mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),))
        for block in module.transformer.h:
            fully_shard(block, mesh=mesh)
        fully_shard(module, mesh=mesh)
        for unit in (module, *module.transformer.h):
            unit.set_force_sum_reduction_for_comms(True)  # gloo has no average
        self.module, self.optimizer, self.accumulation = module, adamw(module.parameters()), accumulation

    def reduce_now(self, last):
        self.module.set_requires_gradient_sync(last)
        return contextlib.nullcontext()


class DeepSpeed:
    def __init__(self, module, accumulation, bucket, batch, stage):
        import deepspeed

        config = {
            "train_micro_batch_size_per_gpu": batch, "gradient_accumulation_steps": accumulation,
            "gradient_clipping": CLIPPING, "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": stage, "reduce_bucket_size": bucket, "allgather_bucket_size": bucket,
                                  "stage3_prefetch_bucket_size": bucket},
        }
        self.engine, *_ = deepspeed.initialize(model=module, optimizer=adamw(module.parameters()), config=config)
        self.accumulation = accumulation

    def step(self, micro_batches):
        losses = []
        for tokens in micro_batches:
            loss = self.engine(input_ids=tokens, labels=tokens).loss
            self.engine.backward(loss)
            self.engine.step()
            losses.append(loss.detach())
        return sum(losses) / self.accumulation


def connect(engine):
    """Joins the ranks, with the libraries of the engine loaded."""
    if engine.startswith("deepspeed"):
        import deepspeed

        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    else:
        dist.init_process_group("gloo")
    import export_hf  # noqa: F401  (transformers)
    import transformers  # noqa: F401


def largest(value):
    value = torch.tensor(value)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return value.tolist()


def main(name, model, batch, accumulation, steps, bucket, rows):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    batch, accumulation, steps, bucket = int(batch), int(accumulation), int(steps), int(bucket)
    connect(name)
    idle = largest(resident("VmRSS"))
    module = build_module(model, 0.0)
    if name == "ddp":
        engine = Ddp(module, accumulation, bucket)
    elif name == "fsdp2":
        engine = Fsdp2(module, accumulation, bucket)
    else:
        engine = DeepSpeed(module, accumulation, bucket, batch, int(name.removeprefix("deepspeed-")))
    del module
    data, rank, ranks = np.load(rows), dist.get_rank(), dist.get_world_size()
    seconds, losses = [], []
    for step in range(steps):
        dist.barrier()
        begin = time.perf_counter()
        first = step * accumulation * ranks * batch
        micro_batches = []
        for index in range(accumulation):
            at = first + (index * ranks + rank) * batch
            micro_batches.append(torch.from_numpy(data[np.arange(at, at + batch) % len(data)]))
        loss = engine.step(micro_batches)
        seconds.append(time.perf_counter() - begin)
        dist.all_reduce(loss)
        losses.append(loss.item() / ranks)
    found = {"seconds": largest(seconds), "losses": losses, "idle_bytes": idle, "peak_bytes": largest(resident("VmHWM"))}
    if rank == 0:
        print("RESULT " + json.dumps(found), flush=True)
    # Without the teardown: gloo and DeepSpeed's shared memory abort in it now and then, behind all that is measured.
    dist.barrier()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
