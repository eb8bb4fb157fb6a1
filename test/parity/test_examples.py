"""The scripts that users run first: what they write, and what they say to bad input."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
import warnings

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpt2
import export_hf
import tokenize_text

TINY = ["--set", "n_layer=1", "--set", "n_embd=8", "--set", "n_head=2", "--set", "vocab_size=11", "--seq", "6"]
OWN_MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x, target):
        return torch.nn.functional.mse_loss(self.layer(x), target)

def factory():
    return Net(), {"target": torch.zeros(5, 3), "x": torch.ones(5, 4)}

def wrong():
    return Net()
"""


class InDirectory(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.directory = holder.name

    def path(self, name, content=None):
        path = os.path.join(self.directory, name)
        if content is not None:
            with open(path, "wb") as stream:
                stream.write(content)
        return path


class ExportTest(InDirectory):
    def export(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export_hf.main([*arguments, "-o", self.path("model.pt")])
            return torch.jit.load(self.path("model.pt"))

    def input_names(self, archive):
        return [value.debugName().split(".")[0] for value in list(archive.graph.inputs())[1:]]

    def refused(self, *arguments):
        with self.assertRaises(export_hf.UsageError) as caught:
            self.export(*arguments)
        return str(caught.exception)

    def test_names_of_inputs_and_parameters_are_the_models_own(self):
        archive = self.export("gpt2", *TINY)
        self.assertEqual(self.input_names(archive), ["input_ids", "labels"])
        self.assertIn("transformer.h.0.mlp.c_fc.weight", dict(archive.named_parameters()))

    def test_the_loss_is_the_models(self):
        archive = self.export("gpt2", *TINY, "--eval", "--attn", "eager", "--seed", "5")
        arguments = export_hf.parse_arguments(["gpt2", *TINY, "-o", "unused"])
        torch.manual_seed(5)
        module = export_hf.build_hugging_face(arguments).eval()
        tokens = torch.randint(0, 11, (3, 6))  # another batch size than that of the trace
        expected = module(input_ids=tokens, labels=tokens).loss
        torch.testing.assert_close(archive(tokens, tokens), expected)

    def test_training_mode_is_in_the_archive(self):
        self.assertTrue(self.export("gpt2", *TINY).training)
        self.assertFalse(self.export("gpt2", *TINY, "--eval").training)

    def test_a_class_by_name_and_an_encoder_by_type(self):
        small = ["--set", "num_hidden_layers=1", "--set", "hidden_size=8", "--set", "num_attention_heads=2",
                 "--set", "intermediate_size=8", "--set", "vocab_size=11", "--seq", "6"]
        archive = self.export("bert", *small)
        self.assertEqual(archive.original_name, "BertForMaskedLM")
        archive = self.export("GPT2ForSequenceClassification", *TINY, "--set", "pad_token_id=0")
        self.assertEqual(archive.original_name, "GPT2ForSequenceClassification")

    def test_meta_holds_no_data(self):
        archive = self.export("gpt2", *TINY, "--set", "n_embd=4096", "--meta")
        self.assertTrue(all(parameter.is_meta for parameter in archive.parameters()))
        self.assertLess(os.path.getsize(self.path("model.pt")), 1 << 20)

    def test_a_module_of_ones_own(self):
        path = self.path("own.py", OWN_MODULE.encode())
        archive = self.export("--module", f"{path}:factory")
        # In the order of the factory's dict, not of the module's forward.
        self.assertEqual(self.input_names(archive), ["target", "x"])
        self.assertEqual(set(dict(archive.named_parameters())), {"layer.weight", "layer.bias"})
        target, x = torch.randn(2, 3), torch.randn(2, 4)
        expected = torch.nn.functional.mse_loss(x @ archive.layer.weight.T + archive.layer.bias, target)
        torch.testing.assert_close(archive(target, x), expected)

    def test_messages(self):
        path = self.path("own.py", OWN_MODULE.encode())
        self.assertIn("did you mean n_layer?", self.refused("gpt2", "--set", "n_layr=1"))
        self.assertIn("expected KEY=VALUE", self.refused("gpt2", "--set", "n_layer"))
        self.assertIn("expected int, got str", self.refused("gpt2", "--set", "n_layer=two"))
        self.assertIn("near: gpt2", self.refused("gpd2"))
        self.assertIn("returns no loss", self.refused("GPT2Model", *TINY))
        self.assertIn("not a directory", self.refused("--from-pretrained", self.path("nowhere")))
        self.assertIn("expected NAME=DTYPE", self.refused("gpt2", *TINY, "--input", "x=i65[2]"))
        self.assertIn("has no function missing", self.refused("--module", f"{path}:missing"))
        self.assertIn("must return (module, example_inputs)", self.refused("--module", f"{path}:wrong"))
        self.assertIn("with a file that exists", self.refused("--module", "nowhere.py:factory"))


class TokenizeTest(InDirectory):
    def tokenize(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()):
            tokenize_text.main([*arguments, "-o", self.path("out.bin")])

    def test_bytes_of_several_texts(self):
        self.tokenize(self.path("a", b"ab\xff"), self.path("b", b"c"))
        self.assertEqual(np.fromfile(self.path("out.bin"), dtype=np.uint8).tolist(), [97, 98, 255, 99])
        with open(self.path("out.bin.json"), encoding="utf-8") as stream:
            self.assertEqual(json.load(stream), {"dtype": "uint8"})

    def test_rows(self):
        self.tokenize(self.path("a", bytes(range(11))), "--npy", "3")
        rows = np.load(self.path("out.bin"))
        self.assertEqual(rows.dtype, np.int64)
        self.assertEqual(rows.tolist(), [[0, 1, 2], [3, 4, 5], [6, 7, 8]])

    def test_a_local_tokenizer(self):
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<end>": 2}, unk_token="a"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(self.path("words"))
        self.tokenize(self.path("t", b"a b b"), self.path("u", b"b"), "--tokenizer", self.path("words"))
        self.assertEqual(np.fromfile(self.path("out.bin"), dtype=np.uint16).tolist(), [0, 1, 1, 2, 1, 2])
        with open(self.path("out.bin.json"), encoding="utf-8") as stream:
            self.assertEqual(json.load(stream), {"dtype": "uint16"})

    def test_messages(self):
        with self.assertRaisesRegex(tokenize_text.UsageError, "the texts are empty"):
            self.tokenize(self.path("empty", b""))
        with self.assertRaisesRegex(tokenize_text.UsageError, "2 tokens do not fill one row of 3"):
            self.tokenize(self.path("a", b"ab"), "--npy", "3")
        with self.assertRaisesRegex(tokenize_text.UsageError, "not a directory"):
            self.tokenize(self.path("a", b"ab"), "--tokenizer", self.path("nowhere"))
        with self.assertRaises(FileNotFoundError):
            self.tokenize(self.path("nowhere"))


if __name__ == "__main__":
    unittest.main()
