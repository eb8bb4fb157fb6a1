#!/usr/bin/env python3
"""Collectives through shared memory beside OpenMPI's: two processes on two cores of one machine.

Both sides run all the time and take turns, call for call of this program: one pair measures a collective at a size on
each, in alternating order. A time is the median over the calls of a turn, a ratio OpenMPI's time over ours in the same
pair, so above 1 ours is faster. Inputs are written anew before every call. Bytes are those of a rank's larger end. Ends
with exit code 1 if a median ratio misses its target: 2 for all-reduce and reduce-scatter from 64 KiB, else 0.95.

    ./dev bench comm [--collective all_reduce]... [--pairs 15] [--size BYTES]...
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all")
SIZES = [4 << 10 << shift for shift in range(0, 17, 2)]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RANKS = 2


class Failed(Exception):
    pass


class Side:
    """One of the two programs; its ranks wait for commands."""

    def __init__(self, name, command, directory):
        self.name = name
        pipes = [os.path.join(directory, f"{name}.{rank}") for rank in range(RANKS)]
        for pipe in pipes:
            os.mkfifo(pipe)
        # mpirun refuses to run as root unless told twice.
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.process = subprocess.Popen(command + [directory], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.pipes = [open(pipe, "w", buffering=1) for pipe in pipes]

    def measure(self, collective, size, calls):
        """(seconds of the median call, check sum of the result)"""
        for pipe in self.pipes:
            pipe.write(f"{collective} {size} {calls}\n")
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            raise Failed(f"{self.name} ended during {collective} of {size} bytes")
        return float(answer[0]), answer[1]

    def close(self):
        for pipe in self.pipes:
            pipe.close()
        if self.process.wait(timeout=60) != 0:
            raise Failed(f"{self.name} ended with exit code {self.process.returncode}")


def text_of(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def bench(collective, size, pairs, ours, theirs):
    """Prints a line; false if the target is missed."""
    calls = min(max((64 << 20) // size, 3), 500)
    seconds = {ours: [], theirs: []}
    for pair in range(pairs):
        checks = {}
        for side in (ours, theirs) if pair % 2 == 0 else (theirs, ours):
            taken, checks[side] = side.measure(collective, size, calls)
            seconds[side].append(taken)
        if checks[ours] != checks[theirs]:
            raise Failed(f"results of {collective} of {size} bytes differ: {checks[ours]}, {checks[theirs]}")
    ratios = [their / our for our, their in zip(seconds[ours], seconds[theirs])]
    target = 2.0 if collective in ("all_reduce", "reduce_scatter") and size >= 64 << 10 else 0.95
    ratio = statistics.median(ratios)
    print(f"  {collective:15} {text_of(size):>8} {statistics.median(seconds[ours]) * 1e6:11.1f} "
          f"{statistics.median(seconds[theirs]) * 1e6:11.1f} {ratio:7.2f} {min(ratios):7.2f} {max(ratios):7.2f}"
          f"   {'' if ratio >= target else f'below {target}'}", flush=True)
    return ratio >= target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collective", choices=COLLECTIVES, action="append", help="default: all")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--size", type=int, choices=SIZES, action="append", help="bytes (default: 4 KiB to 256 MiB)")
    arguments = parser.parse_args()
    programs = os.path.join(ROOT, "build", "bin")
    try:
        with tempfile.TemporaryDirectory(prefix="deepshard-bench-") as directory:
            ours = Side("shared", [os.path.join(programs, "bench-comm-shared")], directory)
            theirs = Side("mpi", ["mpirun", "-n", str(RANKS), os.path.join(programs, "bench-comm-mpi")], directory)
            print(f"two processes, f32, {arguments.pairs} pairs, load of the machine {os.getloadavg()[0]:.1f}\n"
                  f"  {'collective':15} {'bytes':>8} {'ours us':>11} {'OpenMPI us':>11} {'ratio':>7} {'least':>7} {'most':>7}")
            kept = [bench(collective, size, arguments.pairs, ours, theirs)
                    for collective in arguments.collective or COLLECTIVES
                    for size in arguments.size or SIZES]
            ours.close()
            theirs.close()
    except (Failed, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"bench comm: {failure}")
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
