"""The kernels that ds-opt generates for GPT-2 on a GPU, each run without one in two ways and compared with reference kernels
(test/unit/gpu/PlanKernels.cpp): in f32, bf16 and fp16, at GPT-2's width, at its vocabulary, and on one rank of four.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("DS_BUILD", os.path.join(ROOT, "build"))
DS_OPT = os.environ.get("DS_OPT", os.path.join(BUILD, "bin/ds-opt"))
PROGRAM = os.path.join(BUILD, "bin/gpu-plan-kernels")
PRECISIONS = {"f32": {}, "bf16": {"bf16": {"enabled": True}}, "fp16": {"fp16": {"enabled": True}}}
LEAST_USED = 95  # of the memory sectors that are touched, in percent
# The interpreter takes a microsecond for an instruction of a few threads, and 24 bytes to watch one.
MODELS = {
    "width": {"shape": {"n_layer": 2, "n_embd": 768, "n_head": 12, "vocab_size": 1021}, "seq": 128, "micro": 1},
    "vocabulary": {"shape": {"n_layer": 1, "n_embd": 32, "n_head": 2, "vocab_size": 50257}, "seq": 32, "micro": 1},
    "ranks": {"shape": {"n_layer": 2, "n_embd": 256, "n_head": 4, "vocab_size": 1021}, "seq": 128, "micro": 2,
              "deepshard": {"mesh": {"data": 2, "tensor": 2}}, "zero_optimization": {"stage": 3}},
}


@unittest.skipUnless(os.path.exists(PROGRAM), "built without it")
class GpuKernels(unittest.TestCase):
    def step(self, directory, model, precision):
        """The partitioned step, in a file."""
        what = MODELS[model]
        path = os.path.join(directory, f"{model}.pt")
        settings = what["shape"] | {"n_positions": what["seq"]} | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.1)
        if not os.path.exists(path):
            subprocess.run([sys.executable, os.path.join(ROOT, "examples/export_hf.py"), "gpt2",
                            *(f"--set={key}={value}" for key, value in settings.items()), "--seq", str(what["seq"]), "-o", path],
                           check=True, capture_output=True)
        config = {"train_micro_batch_size_per_gpu": what["micro"], "gradient_accumulation_steps": 2, "gradient_clipping": 1.0,
                  "optimizer": {"type": "AdamW", "params": {"lr": 1e-3, "weight_decay": 0.1}}} | PRECISIONS[precision]
        config |= {key: what[key] for key in ("deepshard", "zero_optimization") if key in what}
        with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as stream:
            json.dump(config, stream)
        step = os.path.join(directory, f"{model}-{precision}.mlir")
        inputs = [f"--input={name}=i64[batchx{what['seq']}]" for name in ("input_ids", "labels")]
        subprocess.run([DS_OPT, path, *inputs, "--config", stream.name, "--target-gpu", "sm_90", "--emit", "partitioned", "-o",
                        step], check=True)
        return step

    def check(self, model, precision):
        with tempfile.TemporaryDirectory() as directory:
            finished = subprocess.run([PROGRAM, self.step(directory, model, precision), str(LEAST_USED)],
                                      capture_output=True, text=True)
        self.assertEqual(finished.returncode, 0, (finished.stdout + finished.stderr)[-4000:])
        self.assertRegex(finished.stdout, r"\d\d kernels of \d\d+ launches", finished.stdout)
        print(model, precision, *re.findall(r"\d+ kernels of .*", finished.stdout))


def add(model, precision):
    setattr(GpuKernels, f"test_{model}_{precision}", lambda self: self.check(model, precision))


for model_name in MODELS:
    for precision_name in PRECISIONS:
        add(model_name, precision_name)

if __name__ == "__main__":
    unittest.main()
