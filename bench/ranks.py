#!/usr/bin/env python3
"""Data parallelism beside DeepSpeed, DDP and FSDP2 (gloo): two CPU ranks of one thread each, fp32, on one machine.

The same model, batches, optimizer (AdamW, PyTorch's fused kernel), clipping and bucket size. A round runs every system once,
in turn, each in processes of its own: ours at a ZeRO stage, then DeepSpeed at that stage; DDP beside ours at stage 0, FSDP2
beside ours at stage 3. Ratios compare runs of one round, so that a machine that slows down slows all. Speed is that of the
median step after the warm-up steps. RSS is the peak resident size of the largest rank above that of a rank with all
libraries loaded and ranks connected but no model (for ds-run: a model of a few hundred numbers). Ends with exit code 1 if our
ZeRO-3 is slower than 0.9 of our ZeRO-0, or if speed or RSS beside DeepSpeed misses what TARGETS says (with accumulation 4 what
LEAST_SPEED_OF_ACCUMULATION says of ZeRO-3; --gather step keeps parameters over the step, for memory).

    ./dev bench ranks [--model 25m|gpt2] [--stage 0|1|2|3] [--rounds 3] [--steps 5] [--warmup 2] [--accumulation N]
                      [--gather regather|micro_batch|step]
"""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support.models import MODELS, Failed, run_benchmark, run_watched

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "support", "ranks_worker.py")
RANKS = 2
# Elements of a bucket: DeepSpeed's default of 5e8 would be one bucket for the whole model.
BUCKET = 4 << 20
LEAST_SPEED_OF_STAGE_3 = 0.9
# By stage: the least speed and the most memory beside DeepSpeed.
TARGETS = {0: (1.2, 0.7), 1: (1.2, 0.6), 2: (1.2, 0.55), 3: (1.4, 0.4)}
# Of ZeRO-3 from so many micro-batches of a step on.
ACCUMULATION, LEAST_SPEED_OF_ACCUMULATION = 4, 1.5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), action="append", help="default: all, one after another")
    parser.add_argument("--stage", type=int, choices=range(4), action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="measured steps of a run (default 5)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default 2)")
    parser.add_argument("--accumulation", type=int, default=1, help="micro-batches of a step (default 1)")
    parser.add_argument("--gather", default="regather", help="our parameter_gather (default regather)")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.steps, arguments.accumulation) < 1 or arguments.warmup < 0:
        parser.error("--rounds, --steps and --accumulation must be at least 1")
    arguments.stage = sorted(set(arguments.stage or range(4)))
    return arguments


def targets_of(stage, arguments):
    """The least speed and the most memory beside DeepSpeed, or none if memory is given for speed."""
    least, most = TARGETS[stage]
    if stage == 3 and arguments.accumulation >= ACCUMULATION:
        least = LEAST_SPEED_OF_ACCUMULATION
    return least, most if arguments.gather == "regather" else None


def systems_of(stages):
    """(name, its partner of ours or none) in the order of a round."""
    for stage in stages:
        ours = f"zero-{stage}"
        yield ours, None
        yield f"deepspeed-{stage}", ours
        if stage == 0:
            yield "ddp", ours
        if stage == 3:
            yield "fsdp2", ours


def measure(system, model, arguments, shop):
    """(tokens a second of the median step, peak resident bytes of the largest rank, losses)"""
    steps = arguments.warmup + arguments.steps
    batch = MODELS[model]["batch"] // RANKS
    if system.startswith("zero-"):
        overrides = {"mesh.data": RANKS, "zero_optimization.stage": int(system[-1]), "bucket_size": BUCKET,
                     "parameter_gather": arguments.gather, "gradient_accumulation_steps": arguments.accumulation,
                     "train_micro_batch_size_per_gpu": batch}
        # By its own count: in the system's a small process is as large as the one that started it.
        rows, _ = shop.run_plan(model, steps, 1, overrides)
        idle, _ = shop.run_plan("idle", 1, 1, overrides | {"train_micro_batch_size_per_gpu": 1})
        peak = rows[-1]["peak_bytes"] - idle[-1]["peak_bytes"]
        seconds, losses = [row["step_seconds"] for row in rows], [row["loss"] for row in rows]
    else:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}", WORKER, system,
                   model, batch, arguments.accumulation, steps, BUCKET, shop.rows(model)]
        output, _ = run_watched([str(word) for word in command], {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"})
        results = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if len(results) != 1:
            raise Failed(f"{system} printed no result:\n{output[-2000:]}")
        found = json.loads(results[0].removeprefix("RESULT "))
        seconds, losses, peak = found["seconds"], found["losses"], found["peak_bytes"] - found["idle_bytes"]
    tokens = RANKS * batch * arguments.accumulation * MODELS[model]["seq"]
    return tokens / statistics.median(seconds[arguments.warmup:]), peak, losses


def bench(model, arguments, shop):
    """Prints the lines of one model; false if a target is missed."""
    shape = MODELS[model]
    print(f"\n{model}: {shape['n_layer']} layers x {shape['n_embd']}, vocabulary {shape['vocab_size']}, {RANKS} ranks x "
          f"{shape['batch'] // RANKS} x {shape['seq']} tokens, accumulation {arguments.accumulation}, f32, buckets of "
          f"{BUCKET} elements")
    partners = dict(systems_of(arguments.stage))
    speeds, losses = {system: [] for system in partners}, {}
    peaks = dict.fromkeys(partners, 0)
    for index in range(arguments.rounds):
        for system in partners:
            speed, peak, losses[system] = measure(system, model, arguments, shop)
            speeds[system].append(speed)
            peaks[system] = max(peaks[system], peak)
            print(f"  round {index + 1}: {system:12} {speed:7.0f} tokens/s, RSS {peak / 2**20:6.0f} MiB", flush=True)

    def median_ratio(ours, theirs):
        return statistics.median(our / their for our, their in zip(speeds[ours], speeds[theirs]))

    kept = True
    print(f"  {'':12} {'tokens/s':>8} {'RSS':>6}   speed and RSS of ours over its")
    for system, ours in partners.items():
        line = f"  {system:12} {statistics.median(speeds[system]):8.0f} {peaks[system] / 2**20:6.0f}"
        if ours:
            memory = peaks[ours] / peaks[system]
            line += f"   {median_ratio(ours, system):.2f} x, {memory:.2f} x"
            if system.startswith("deepspeed"):
                least, most = targets_of(int(ours[-1]), arguments)
                missed = [f"slower than {least}"] if median_ratio(ours, system) < least else []
                missed += [f"RSS above {most}"] if most and memory > most else []
                line += f" ({', '.join(missed) or f'at least {least}' + (f', at most {most}' if most else '')})"
                kept = kept and not missed
        print(line)
    if "zero-0" in partners and "zero-3" in partners:
        ratio = median_ratio("zero-3", "zero-0")
        kept &= ratio >= LEAST_SPEED_OF_STAGE_3
        print(f"  our ZeRO-3 runs at {ratio:.3f} of our ZeRO-0's speed (at least {LEAST_SPEED_OF_STAGE_3})")
    first = losses[next(iter(partners))]
    apart = max(abs(a - b) / abs(b) for found in losses.values() for a, b in zip(found, first))
    print(f"  losses of all systems agree within {apart:.1e} relative")
    return kept


def main():
    run_benchmark("ranks", bench, parse_arguments())


if __name__ == "__main__":
    main()
