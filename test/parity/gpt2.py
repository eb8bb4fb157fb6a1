"""The models, data and configuration of the GPT-2 parity tests."""

import os
import sys

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples"))
import export_hf

# One thread: the references are small, and their bits should not depend on the machine.
torch.set_num_threads(1)

# Odd sizes in the small one: no vector length or block divides them. Both have positions that no row reaches, whose
# gradient is zero.
SIZES = {
    "small": {"n_layer": 2, "n_embd": 36, "n_head": 3, "vocab_size": 131, "n_positions": 24, "seq": 17, "micro": 3},
    "large": {"n_layer": 4, "n_embd": 192, "n_head": 6, "vocab_size": 256, "n_positions": 80, "seq": 64, "micro": 2},
}
STEPS = 20
# How Megatron-LM splits GPT-2, whose weights are stored as (inputs, outputs), and a Llama.
PINS = {
    "*.attn.c_attn.weight": [[], "tensor"], "*.attn.c_attn.bias": ["tensor"],
    "*.mlp.c_fc.weight": [[], "tensor"], "*.mlp.c_fc.bias": ["tensor"],
    "*.attn.c_proj.weight": ["tensor", []], "*.mlp.c_proj.weight": ["tensor", []],
    "*wte.weight": ["tensor", []],
}
LLAMA_PINS = {
    "*.q_proj.weight": ["tensor", []], "*.k_proj.weight": ["tensor", []], "*.v_proj.weight": ["tensor", []],
    "*.o_proj.weight": [[], "tensor"], "*.gate_proj.weight": ["tensor", []], "*.up_proj.weight": ["tensor", []],
    "*.down_proj.weight": [[], "tensor"], "lm_head.weight": ["tensor", []],
}
DROPOUTS = ("resid_pdrop", "embd_pdrop", "attn_pdrop")


def export_arguments(size, attention, output, dropout=0.0, extra=()):
    """The command line of examples/export_hf.py for a size."""
    settings = {key: size[key] for key in ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions")}
    settings |= {key: dropout for key in DROPOUTS}
    return ["gpt2", *(f"--set={key}={value}" for key, value in settings.items()), "--seq", str(size["seq"]),
            "--attn", attention, "-o", output, *extra]


def build(size, attention):
    """The module that export_hf.py exports for the same arguments: same seed, same weights."""
    arguments = export_hf.parse_arguments(export_arguments(size, attention, "unused"))
    torch.manual_seed(arguments.seed)
    return export_hf.build_hugging_face(arguments)


def make_data(size, rows=50):
    """Rows with a pattern that can be learnt: a noisy walk over the vocabulary. 50 rows do not divide by the batch, so
    that wrapping round is covered."""
    random = np.random.default_rng(7)
    steps = random.choice([1, 1, 1, 3, 11], size=(rows, size["seq"]))
    tokens = (random.integers(0, size["vocab_size"], size=(rows, 1)) + np.cumsum(steps, axis=1)) % size["vocab_size"]
    tokens = tokens.astype(np.int64)
    return {"input_ids": tokens, "labels": tokens}


def make_config(size, **changes):
    """Clipping that is in effect at first, accumulation 2, a warm-up shorter than the run."""
    return {
        "train_micro_batch_size_per_gpu": size["micro"],
        "gradient_accumulation_steps": 2,
        "gradient_clipping": 0.5,
        "optimizer": {"type": "AdamW", "params": {"lr": 2e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1}},
        "scheduler": {"type": "WarmupCosineLR", "params": {"total_num_steps": 16, "warmup_num_steps": 5,
                                                           "warmup_min_ratio": 0.1, "cos_min_ratio": 0.05}},
    } | changes
