"""lit over test/: passes and ops (.mlir), tools and frontends (.test). %python is the project's Python with PyTorch."""

import os
import shutil

import lit.formats

config.name = "deepshard"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "unit", "parity"]
config.test_source_root = os.path.dirname(__file__)
config.environment["PATH"] = os.pathsep.join(
    [config.deepshard_bin_dir, config.llvm_tools_dir, config.environment["PATH"]]
)
for name in ("HOME", "XDG_CACHE_HOME", "OMP_NUM_THREADS"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

python = os.environ.get("DEEPSHARD_PYTHON") or os.path.join(
    config.deepshard_source_dir, ".venv", "bin", "python"
)
if os.path.exists(python):
    if config.deepshard_torchscript == "ON":
        config.available_features.add("torch")
else:
    python = shutil.which("python3")
config.substitutions.append(("%python", python))
config.substitutions.append(("%examples", os.path.join(config.deepshard_source_dir, "examples")))
