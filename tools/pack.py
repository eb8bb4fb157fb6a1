#!/usr/bin/env python3
"""Packs what a bare machine needs to run plans: ds-run, libds_cuda.so, the libraries they were built with (the C library
included: that of the other machine may be older) and the plans. NVIDIA's driver and libraries are taken from the other machine.

    ./dev pack --plan gpt2.dsplan [--add FILE]... -o pack.tar.gz

There: tar xzf pack.tar.gz && pack/ds-run pack/gpt2.dsplan --data ... --weights ...
A plan names the files with the first values of its weights; these are not packed (--add takes them, as any file).
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import io

DS_RUN = os.environ["DS_RUN"]
LIMIT = 64 << 20

# Of the C library's parts also those that only NVIDIA's libraries ask for: they have to be of one version. And zlib, which cuDNN
# asks for: that of the other machine may need a newer C library.
PARTS = ("libdl.so.2", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libutil.so.1", "libz.so.1")

# By the loader of the pack, which knows its own C library; ds-run finds libds_cuda.so by name, as the loader is the program.
# The option takes the place of LD_LIBRARY_PATH, by which many containers name the folder of the driver.
LAUNCHER = """#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
: "${DEEPSHARD_CUDA_LIBRARY=$here/lib/libds_cuda.so}"
export DEEPSHARD_CUDA_LIBRARY
exec "$here/lib/LOADER" --library-path "$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$here/bin/ds-run" "$@"
"""


def libraries_of(program):
    """(name, path) of every library that the program loads, the loader included."""
    output = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        if "not found" in line:
            sys.exit(f"pack: {program}: {line.strip()}")
        found = re.match(r"\s*(?:(\S+) => )?(/\S+)", line)
        if found:
            yield os.path.basename(found[1] or found[2]), found[2]


def pack(plans, added, output):
    cuda = os.path.join(os.path.dirname(os.path.dirname(DS_RUN)), "lib/libds_cuda.so")
    programs = [DS_RUN] + ([cuda] if os.path.exists(cuda) else [])
    libraries = dict(library for program in programs for library in libraries_of(program))
    folder = os.path.dirname(libraries["libc.so.6"])
    libraries |= {name: os.path.join(folder, name) for name in PARTS}
    loader = next(name for name in libraries if name.startswith("ld-linux"))
    entries = [("bin/ds-run", DS_RUN), *((f"lib/{name}", path) for name, path in sorted(libraries.items()))]
    entries += [("lib/libds_cuda.so", cuda)] if len(programs) > 1 else []
    weight = 0
    with tarfile.open(output, "w:gz", compresslevel=6, dereference=True) as archive:
        launcher = tarfile.TarInfo("pack/ds-run")
        text = LAUNCHER.replace("LOADER", loader).encode()
        launcher.size, launcher.mode = len(text), 0o755
        archive.addfile(launcher, io.BytesIO(text))
        for name, path in entries + [(os.path.basename(path), path) for path in plans]:
            archive.add(path, f"pack/{name}")
        archive.fileobj.flush()
        weight = os.path.getsize(output)
        for path in added:
            archive.add(path, f"pack/{os.path.basename(os.path.normpath(path))}")
    if len(programs) == 1:
        print(f"pack: there is no {cuda}: only plans for CPUs will run", file=sys.stderr)
    print(f"{output}: {weight / 2**20:.1f} MiB" + (f" and {len(added)} files that were added" if added else ""))
    if weight > LIMIT:
        sys.exit(f"pack: more than {LIMIT >> 20} MiB without what was added")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="append", required=True, help="a plan of ds-opt")
    parser.add_argument("--add", action="append", default=[], help="a file or folder beside the plans: data, weights")
    parser.add_argument("-o", "--output", required=True, help="the .tar.gz to write")
    arguments = parser.parse_args()
    for path in arguments.plan + arguments.add:
        if not os.path.exists(path):
            parser.error(f"{path} does not exist")
    pack(arguments.plan, arguments.add, arguments.output)


if __name__ == "__main__":
    main()
