#!/usr/bin/env python3
"""Training speed beside PyTorch: ds-run, PyTorch eager and torch.compile in turn, round after round, on one machine.

The same model, batch, threads and optimizer (AdamW, clipping to norm 1; PyTorch's fused kernel). A round runs each
system once, in a process of its own; ratios compare runs of one round, so that a machine that slows down slows all.
Speed is that of the median step after the warm-up steps, which contain compilation. After ds-run its plan's matmuls are timed
alone, shape by shape, with the same library and threads: what a step takes beyond them is what lies around them.
Ends with exit code 1 if speed or peak RSS beside the others, or a step beside its matmuls, misses what stands below.

With --bf16 all train in bf16 (PyTorch under autocast). On a CPU without bf16 instructions PyTorch would take minutes a step:
there ds-run in bf16 is compared with ds-run in f32. So it is with --target-cpu, by which ds-run does what it would do on a
lesser CPU (x86-64-v3: AVX2, x86-64-v4: AVX-512).

    ./dev bench train [--model 25m|gpt2] [--bf16] [--rounds 3] [--steps 5] [--warmup 2] [--threads N] [--dropout P]
                      [--target-cpu LEVEL]
"""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support.models import DS_RUN, MODELS, run_benchmark, run_watched

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "support", "torch_worker.py")
MATMULS = os.path.join(os.path.dirname(DS_RUN), "bench-matmuls")
OURS_F32 = "deepshard in f32"
# The least that our speed is of theirs: by type, and by model where only one has a limit.
LEAST_SPEED = {"f32": {"25m": 1.25}, "bf16": {"25m": 1.5, "gpt2": 1.5}}
LEAST_SPEED_OF_OURS_F32 = 0.95  # of bf16 without instructions for it
# Of f32: our peak RSS of the least of theirs, by model; a step of its matmuls alone.
MOST_MEMORY = {"25m": 0.6}
MOST_AROUND = 1.2


def systems_of(arguments):
    """The systems of a round; the first is ours, compared with the others."""
    if not arguments.target_cpu and (not arguments.bf16 or has_bf16()):
        return "deepshard", "eager", "compile"
    return "deepshard", OURS_F32


def has_bf16():
    """Whether the CPU multiplies bf16."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        return " avx512_bf16" in stream.read()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), action="append", help="default: all, one after another")
    parser.add_argument("--bf16", action="store_true", help="train in bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="measured steps of a run (default 5)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default 2)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dropout", type=float, default=0.0,
                        help="of the model (default 0: with dropout PyTorch leaves its fused attention)")
    parser.add_argument("--target-cpu", choices=("x86-64-v3", "x86-64-v4"),
                        help="what ds-run may use of the CPU; compares bf16 with f32, so with --bf16 only")
    arguments = parser.parse_args()
    if arguments.target_cpu and not arguments.bf16:
        parser.error("--target-cpu is for --bf16")
    if min(arguments.rounds, arguments.steps, arguments.threads) < 1 or arguments.warmup < 0:
        parser.error("--rounds, --steps and --threads must be at least 1")
    return arguments


def overrides_of(system, arguments):
    return {"bf16.enabled": "true"} if arguments.bf16 and system != OURS_F32 else None


def measure(system, model, arguments, shop):
    """(tokens a second of the median step, peak resident bytes, losses)"""
    steps = arguments.warmup + arguments.steps
    if system.startswith("deepshard"):
        rows, peak = shop.run_plan(model, steps, arguments.threads, overrides_of(system, arguments))
        seconds, losses = [row["step_seconds"] for row in rows], [row["loss"] for row in rows]
    else:
        output, peak = run_watched([sys.executable, WORKER, model, system, str(steps), str(arguments.threads),
                                    str(arguments.dropout), shop.rows(model), "bf16" if arguments.bf16 else "f32"],
                                   {"OMP_NUM_THREADS": str(arguments.threads)})
        found = json.loads(output)
        seconds, losses = found["seconds"], found["losses"]
    shape = MODELS[model]
    tokens = shape["batch"] * shape["seq"]
    return tokens / statistics.median(seconds[arguments.warmup:]), peak, losses


def seconds_of_matmuls(model, arguments, shop):
    """Seconds that the matmuls of a step take by themselves."""
    plan = shop.plan(model, arguments.threads, overrides_of("deepshard", arguments))
    output, _ = run_watched([MATMULS, plan], {"OMP_NUM_THREADS": str(arguments.threads)})
    return float(output.splitlines()[-1].split()[0]) * 1e-3


def missed_targets(model, arguments, ratios, peaks, around):
    """Prints every limit that there is beside what was measured; how many were missed. `ratios` are our speed by theirs."""
    checks = []
    kind = "bf16" if arguments.bf16 else "f32"
    for system, ratio in ratios.items():
        least = LEAST_SPEED_OF_OURS_F32 if system == OURS_F32 else LEAST_SPEED[kind].get(model)
        if least:
            checks.append((f"speed beside {system}", ratio, ">=", least))
    if not arguments.bf16:
        if model in MOST_MEMORY and len(peaks) > 1:
            theirs = min(peak for system, peak in peaks.items() if not system.startswith("deepshard"))
            checks.append(("peak RSS beside the least of theirs", peaks["deepshard"] / theirs, "<=", MOST_MEMORY[model]))
        checks.append(("a step beside its matmuls", around, "<=", MOST_AROUND))
    missed = 0
    for what, found, sign, limit in checks:
        kept = found >= limit if sign == ">=" else found <= limit
        missed += not kept
        print(f"  {'pass' if kept else 'FAIL'}: {what} {found:.3f} {sign} {limit}")
    return missed


def bench(model, arguments, shop):
    """Prints the lines of one model; false if a target is missed."""
    shape = MODELS[model]
    print(f"\n{model}: {shape['n_layer']} layers x {shape['n_embd']}, {shape['n_head']} heads, vocabulary "
          f"{shape['vocab_size']}, batch {shape['batch']} x {shape['seq']}, {'bf16' if arguments.bf16 else 'f32'}, "
          f"{arguments.threads} threads")
    systems = systems_of(arguments)
    for system in systems:
        if system.startswith("deepshard"):
            shop.plan(model, arguments.threads, overrides_of(system, arguments))
    speeds = {system: [] for system in systems}
    peaks = {system: 0 for system in systems}
    losses, around = {}, []
    for index in range(arguments.rounds):
        for system in systems:
            speed, peak, losses[system] = measure(system, model, arguments, shop)
            speeds[system].append(speed)
            peaks[system] = max(peaks[system], peak)
            if system == "deepshard":
                step = shape["batch"] * shape["seq"] / speeds[system][-1]
                around.append(step / seconds_of_matmuls(model, arguments, shop))
        ours = speeds["deepshard"][-1]
        print(f"  round {index + 1}: " + ", ".join(
            f"{system} {speeds[system][-1]:.0f} tokens/s" + ("" if system == "deepshard" else
                                                             f" (ratio {ours / speeds[system][-1]:.3f})")
            for system in systems) + f", step / its matmuls alone {around[-1]:.3f}", flush=True)
    medians = {}
    for system in systems:
        line = f"  {system:16} median {statistics.median(speeds[system]):8.0f} tokens/s, peak RSS {peaks[system] / 2**20:7.0f} MiB"
        if system != "deepshard":
            ratios = [ours / theirs for ours, theirs in zip(speeds["deepshard"], speeds[system])]
            medians[system] = statistics.median(ratios)
            line += f", deepshard is {medians[system]:.3f} times as fast (of its rounds: " \
                    f"{', '.join(f'{ratio:.3f}' for ratio in ratios)})"
        print(line)
    print(f"  a step takes {statistics.median(around):.3f} times its matmuls alone")
    if arguments.dropout == 0:
        apart = max(abs(a - b) / abs(b) for a, b in zip(losses["deepshard"], losses[systems[1]]))
        print(f"  losses of deepshard and {systems[1]} agree within {apart:.1e} relative")
    return not missed_targets(model, arguments, medians, peaks, statistics.median(around))


def main():
    arguments = parse_arguments()
    run_benchmark("train", bench, arguments, arguments.dropout, arguments.target_cpu)


if __name__ == "__main__":
    main()
