"""Plans for GPUs, made by ds-opt and run by ds-run on a CUDA runtime that has no GPU: the PTX in the plan is interpreted,
products and the library's own kernels run on the host (test/unit/cuda). What a CPU computes is the oracle.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_ranks
from test_gpt2 import DS_OPT, DS_RUN, call

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["DS_BUILD"]
FAKE = os.path.join(BUILD, "lib/libds_cuda_fake.so")
# Of another major version than the machine code in the plan, so that the PTX runs.
ENVIRONMENT = {"DEEPSHARD_CUDA_LIBRARY": FAKE, "DEEPSHARD_FAKE_CAPABILITY": "100"}
OPTIONS = ["--cuda-libs", os.path.join(BUILD, "test/unit/cuda/libraries")]
NVIDIA = glob.glob(os.path.join(ROOT, ".venv/lib/python3*/site-packages/nvidia/cudnn/.."))
SIZE = "narrow"
STEPS = 3


@unittest.skipUnless(os.path.exists(FAKE), "built without CUDA")
class Cuda(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        test_ranks.Ranks.setUpClass()
        cls.addClassCleanup(test_ranks.Ranks.doClassCleanups)

    @staticmethod
    def on_cpu(name, steps=STEPS, **settings):
        return test_ranks.Ranks.train(test_ranks.Ranks.plan(f"cuda-cpu-{name}", SIZE, **settings), SIZE, steps)

    @staticmethod
    def plan(name, options=(), **settings):
        return test_ranks.Ranks.plan(f"cuda-{name}", SIZE, options=["--target-gpu", "sm_90", *options], **settings)

    @staticmethod
    def train(plan, *options, steps=STEPS):
        return test_ranks.Ranks.train(plan, SIZE, steps, options=[*OPTIONS, *options], environment=ENVIRONMENT)

    def assert_near(self, found, expected, bound):
        for step, reference in zip(found, expected, strict=True):
            for name, limit in (("loss", bound), ("grad_norm", 10 * bound)):
                if reference[name] is None:  # an overflow
                    self.assertIsNone(step[name])
                    continue
                self.assertLessEqual(abs(step[name] - reference[name]), limit * abs(reference[name]),
                                     f"{name} of step {step['step']}")

    def test_losses(self):
        """As on the CPU: 1e-5 in f32, 1 % in bf16 and f16, whose first steps overflow; graphs compute what single launches
        do."""
        for precision, bound, steps in (("f32", 1e-5, STEPS), ("bf16", 1e-2, STEPS), ("fp16", 1e-2, 12)):
            with self.subTest(precision=precision):
                plan = self.plan(f"losses-{precision}", precision=precision)
                self.assertRegex(call([DS_RUN, plan, "--check"]).stdout, r"for CUDA \((sm_90, )?compute_90\)")
                with open(plan, "rb") as file:  # attention of 16 bits is cuDNN's
                    self.assertEqual(b"cudnn" in file.read(), precision != "f32")
                metrics, weights = self.train(plan, steps=steps)
                expected, _ = self.on_cpu(f"losses-{precision}", steps, precision=precision)
                self.assert_near(metrics, expected, bound)
                self.assertTrue(any(step["grad_norm"] for step in expected))
                for name in ("loss_scale", "skipped_steps"):
                    self.assertEqual([step.get(name) for step in metrics], [step.get(name) for step in expected])
                _, again = self.train(plan, "--one-by-one", steps=steps)
                for name, value in weights.items():
                    self.assertEqual(value.tobytes(), again[name].tobytes(), name)

    def test_without_cudnn(self):
        """Attention that cuDNN would take becomes products and generated kernels; the plan asks for no cuDNN."""
        plan = self.plan("without", options=["--without-cudnn"], precision="bf16")
        with open(plan, "rb") as file:
            self.assertNotIn(b"cudnn", file.read())
        metrics, _ = self.train(plan)
        self.assert_near(metrics, self.on_cpu("without", precision="bf16")[0], 1e-2)

    def test_zero_bits(self):
        """Ranks that share a GPU: stages 0 to 3 give the same bits, with dropout."""
        for ranks in (2, 4):
            first = None
            for stage in range(4):
                with self.subTest(ranks=ranks, stage=stage):
                    plan = self.plan(f"zero-{ranks}-{stage}", data=ranks, zero={"stage": stage}, dropout=0.1)
                    metrics, weights = self.train(plan, "--share-gpu")
                    values = [(step["loss"], step["grad_norm"]) for step in metrics]
                    first = first or (values, weights)
                    self.assertEqual(values, first[0])
                    for name, value in first[1].items():
                        self.assertEqual(weights[name].tobytes(), value.tobytes(), name)

    def test_profile(self):
        """Tasks are timed by the device; the numbers are those of a run without."""
        plan = self.plan("profile")
        _, expected = self.train(plan)
        trace = f"{plan}.trace.json"
        _, weights = self.train(plan, "--profile", "--trace", trace)
        for name, value in expected.items():
            self.assertEqual(weights[name].tobytes(), value.tobytes(), name)
        with open(trace, encoding="utf-8") as stream:
            spans = [event for event in json.load(stream) if event.get("ph") == "X"]
        names = {event["name"] for event in spans}
        self.assertLessEqual({"matmul", "adamw", "embedding_grad"}, names)
        self.assertTrue(all(event["dur"] > 0 for event in spans))
        ids, labels = test_ranks.Ranks.data(SIZE)
        text = call([DS_RUN, plan, "--data", f"input_ids={ids}", "--data", f"labels={labels}", "--steps", "2", "--profile",
                     *OPTIONS], ENVIRONMENT).stdout
        self.assertRegex(text, r"peaks: \S+ GFLOP/s \(matmul in f32\), \S+ GB/s \(copy\)")
        self.assertRegex(text, r"\(\d+ %\)  matmul, cublaslt")

    def test_pack(self):
        """What `./dev pack` makes runs from any place, with its own libraries."""
        plan = self.plan("pack")
        ids, _ = test_ranks.Ranks.data(SIZE)
        archive = f"{plan}.tar.gz"
        script = os.path.join(ROOT, "tools/pack.py")
        self.assertRegex(call([sys.executable, script, "--plan", plan, "--add", ids, "-o", archive]).stdout, r"MiB and 1 files")
        with tempfile.TemporaryDirectory() as folder:
            call(["tar", "xzf", archive, "-C", folder])
            packed = os.path.join(folder, "pack")
            ids = os.path.join(packed, os.path.basename(ids))
            command = [os.path.join(packed, "ds-run"), os.path.join(packed, os.path.basename(plan)), "--data",
                       f"input_ids={ids}", "--data", f"labels={ids}", "--steps", "1"]
            self.assertIn("step 1/1", call([*command, *OPTIONS], ENVIRONMENT).stdout)
            # With its own library, which needs a driver.
            finished = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(finished.returncode, 1)
            self.assertIn("NVIDIA driver", finished.stderr)

    def test_atomics(self):
        """The gradient of an embedding by atomics, which the plan says."""
        plan = self.plan("atomics", precision="bf16", embedding_gradient="atomics")
        self.assertRegex(call([DS_RUN, plan, "--check"]).stdout,
                         r"may differ from run to run: embedding_grad \(transformer\.wte.*\) adds by atomics, in any order")
        self.assert_near(self.train(plan)[0], self.on_cpu("losses-bf16", precision="bf16")[0], 1e-2)
        self.assertNotIn("may differ", call([DS_RUN, self.plan("sorted", precision="bf16"), "--check"]).stdout)

    @unittest.skipUnless(NVIDIA, "cuDNN is not installed beside PyTorch")
    def test_graphs(self):
        """The plan carries what the real cuDNN built for a described GPU; on another one, as the fake is, kernels are built
        anew, and the numbers are those of a plan without."""
        with_graphs, without = (test_ranks.Ranks.plan(f"cuda-graphs-{name}", SIZE, precision="bf16", options=options)
                                for name, options in (("in", ["--target-gpu", "sm_90", "--cuda-libs", NVIDIA[0]]),
                                                      ("out", ["--target-gpu", "sm_90", "--cuda-libs", OPTIONS[1]])))
        listed = r"kernels of cuDNN \S+: 2 built for sm_90 with 132 multiprocessors, CUDA 13.0"
        self.assertRegex(call([DS_RUN, with_graphs, "--check"]).stdout, listed)
        self.assertNotIn("kernels of cuDNN", call([DS_RUN, without, "--check"]).stdout)
        (_, expected), (_, found) = self.train(without), self.train(with_graphs)
        for name, value in expected.items():
            self.assertEqual(found[name].tobytes(), value.tobytes(), name)

    def test_gpu_test(self):
        """What `./dev gpu-test` does with NCCL on a machine with one GPU, and how it checks memory, with a smaller model."""
        with tempfile.TemporaryDirectory() as directory:
            environment = os.environ | {"DS_OPT": DS_OPT, "DS_RUN": DS_RUN}
            code = ("import prepare; prepare.SHAPE.update(n_layer=1, n_embd=32, n_head=2, vocab_size=61); prepare.SEQ = 16; "
                    f"f = prepare.Folder({directory!r}, 'sm_90'); f.export(); f.reference('f32'); "
                    "[f.plan(precision, precision) for precision in prepare.PRECISIONS]; f.one_rank(); f.pack()")
            subprocess.run([sys.executable, "-c", code], check=True, cwd=os.path.join(ROOT, "test/gpu"), env=environment)
            found, figures = {}, os.path.join(directory, "figures.json")
            for test in ("nccl", "memory"):
                command = [sys.executable, os.path.join(ROOT, "test/gpu/run.py"), directory, "-o", figures, "--only", test,
                           "--steps", "8", *OPTIONS]
                finished = subprocess.run(command, env=environment | ENVIRONMENT, capture_output=True, text=True)
                self.assertEqual(finished.returncode, 0, finished.stdout + finished.stderr)
                with open(figures, encoding="utf-8") as stream:
                    found |= json.load(stream)
            self.assertEqual(list(found), ["nccl", "memory"])
            self.assertLess(found["nccl"]["apart"], 1e-9)
            for precision in ("f32", "bf16", "fp16"):
                self.assertEqual(found["memory"][precision]["arenas"], found["memory"][precision]["planned"])

    def test_tensor(self):
        """A model split over two ranks."""
        plan = self.plan("tensor", tensor=2)
        self.assert_near(self.train(plan, "--share-gpu")[0], self.on_cpu("tensor")[0], 1e-5)


if __name__ == "__main__":
    unittest.main()
