#!/usr/bin/env python3
"""Memory: how tightly the arenas are packed, and what a run really takes beside what its plan says.

For each model: arena bytes beside the bound that liveness sets (no packing can be smaller), and the peak resident bytes of
ds-run beside the planned bytes. Of GPT-2 124M also what the arenas take beyond 16 bytes a parameter (weight, gradient and AdamW's
two moments), without recomputation and with all of it. Ends with exit code 1 if an arena is above 1.02 x its bound, a run above its
plan + 100 MB, or what is beyond the parameters above MOST_BEYOND_PARAMETERS.

    ./dev bench memory [--model 25m|gpt2] [--steps 2] [--threads N]
"""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from support.models import MODELS, ROOT, Failed, parameters_of, run_benchmark

MOST_PACKING = 1.02
MOST_BEYOND_PLAN = 100_000_000
BYTES_OF_A_PARAMETER = 16
MOST_BEYOND_PARAMETERS = {"gpt2": {"none": 600_000_000, "full": 200_000_000}}  # by recomputation
PLAN_HEADER_BYTES = 32  # docs/plan-format.md


def arenas(plan):
    """(memory space, bytes, bound by liveness) of every arena in the plan file, decoded by protoc from the schema."""
    with open(plan, "rb") as stream:
        stream.seek(PLAN_HEADER_BYTES)
        decoded = subprocess.run(["protoc", f"-I{ROOT}/runtime/plan", "--decode=deepshard.planpb.Plan", "plan.proto"],
                                 stdin=stream, capture_output=True, text=True)
    if decoded.returncode != 0:
        raise Failed(f"protoc cannot decode {plan}: {decoded.stderr}")
    for block in re.findall(r"^  arenas \{\n(.*?)^  \}", decoded.stdout, re.MULTILINE | re.DOTALL):
        fields = dict(re.findall(r"^    (\w+): (\S+)$", block, re.MULTILINE))
        yield fields.get("space", "DEVICE"), int(fields.get("bytes", 0)), int(fields.get("max_live_bytes", 0))


def beyond_parameters(model, arguments, shop):
    """Prints what arenas take beyond the parameters; false if that is too much."""
    kept = True
    for recompute, most in MOST_BEYOND_PARAMETERS.get(model, {}).items():
        plan = shop.plan(model, arguments.threads, {"recompute": recompute})
        beyond = sum(size for _, size, _ in arenas(plan)) - BYTES_OF_A_PARAMETER * parameters_of(model)
        kept &= beyond <= most
        print(f"  recompute {recompute}: arenas take {beyond / 1e6:.0f} MB beyond {BYTES_OF_A_PARAMETER} bytes a parameter "
              f"(at most {most / 1e6:.0f} MB)")
    return kept


def bench(model, arguments, shop):
    """Prints the lines of one model; false if a bound is broken."""
    shape = MODELS[model]
    print(f"\n{model}: {shape['n_layer']} layers x {shape['n_embd']}, vocabulary {shape['vocab_size']}, "
          f"batch {shape['batch']} x {shape['seq']}, {arguments.threads} threads")
    kept = True
    found = list(arenas(shop.plan(model, arguments.threads)))
    if not found:
        raise Failed(f"{model} has no arena")
    for space, size, bound in found:
        if bound == 0:
            print(f"  arena {space.lower()}: {size / 2**20:.1f} MiB, no bound in the plan")
            kept &= size == 0
            continue
        kept &= size <= MOST_PACKING * bound
        print(f"  arena {space.lower()}: {size / 2**20:.1f} MiB, bound by liveness {bound / 2**20:.1f} MiB, "
              f"ratio {size / bound:.4f} (at most {MOST_PACKING})")
    kept &= beyond_parameters(model, arguments, shop)
    rows, peak = shop.run_plan(model, arguments.steps, arguments.threads)
    planned = rows[-1]["planned_bytes"]
    kept &= peak <= planned + MOST_BEYOND_PLAN
    print(f"  ds-run: planned {planned / 2**20:.1f} MiB, peak RSS {peak / 2**20:.1f} MiB (its own count "
          f"{rows[-1]['peak_bytes'] / 2**20:.1f} MiB), difference {(peak - planned) / 1e6:+.1f} MB "
          f"(at most +{MOST_BEYOND_PLAN / 1e6:.0f} MB)")
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), action="append", help="default: all, one after another")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    run_benchmark("memory", bench, arguments)


if __name__ == "__main__":
    main()
