#!/usr/bin/env python3
"""Exports a model as a TorchScript archive that ds-opt reads. The loss is the archive's output.

A Hugging Face model by its type (gpt2, llama, bert, vit, ...) or by its class (GPT2LMHeadModel), initialised from a
configuration, so that nothing is downloaded:

    python export_hf.py gpt2 --set n_layer=6 --set n_embd=384 --set n_head=6 --set vocab_size=256 --seq 256 -o gpt2.pt
    python export_hf.py llama --set hidden_size=16384 --set num_hidden_layers=126 --meta -o llama.pt

A pretrained one from a directory on this machine:

    python export_hf.py --from-pretrained ./my-gpt2 --seq 256 -o gpt2.pt

A module of your own. `factory()` returns (module, example_inputs): the inputs as a dict of tensors by the names of
forward's arguments, and forward returns the loss, a scalar:

    python export_hf.py --module my_model.py:factory -o my_model.pt
"""

import argparse
import difflib
import importlib.util
import inspect
import json
import os
import re
import sys
import types
import warnings

import torch

DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16,
          "i64": torch.int64, "i32": torch.int32}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()} | {torch.bool: "i1"}


class UsageError(Exception):
    """A fault of the command line; its message is for the user."""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model type (gpt2) or a class (GPT2LMHeadModel) of transformers")
    parser.add_argument("-o", "--output", required=True, help="the archive to write")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a value of the model's configuration; dotted for a nested one")
    parser.add_argument("--from-pretrained", metavar="DIR", help="read configuration and weights from a directory")
    parser.add_argument("--module", metavar="FILE.py:FACTORY", help="a module of your own")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=DTYPE[AxB]",
                        help="an input's type and shape where the default does not fit, or a further input")
    parser.add_argument("--seq", type=int, default=128, help="tokens of a row (default 128)")
    parser.add_argument("--batch", type=int, default=2, help="rows of the example; ds-opt may choose another (default 2)")
    parser.add_argument("--attn", choices=["sdpa", "eager"], default="sdpa", help="attention (default sdpa)")
    parser.add_argument("--seed", type=int, default=0, help="of the initial weights (default 0)")
    parser.add_argument("--dtype", choices=["f32", "f64", "bf16", "f16"], default="f32")
    parser.add_argument("--meta", action="store_true", help="without data: plans a model that does not fit here")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--train", dest="training", action="store_true", default=True,
                      help="trace with dropout in effect (default)")
    mode.add_argument("--eval", dest="training", action="store_false", help="trace without dropout")
    arguments = parser.parse_args(argv)
    if sum(map(bool, (arguments.model, arguments.from_pretrained, arguments.module))) != 1:
        parser.error("give one of: a model, --from-pretrained DIR, --module FILE.py:FACTORY")
    return arguments


def parse_value(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def apply_settings(config, settings):
    """Sets `a.b=VALUE` on a configuration; a key that it does not have is refused, as it would have no effect."""
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: expected KEY=VALUE")
        *sections, key = path.split(".")
        target = config
        for section in sections:
            target = getattr(target, section, None)
        if target is None or not hasattr(target, key):
            known = [] if target is None else list(target.to_dict())
            near = difflib.get_close_matches(key, known, n=1)
            advice = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted(known))}"
            raise UsageError(f"--set {path}: no such key in the model's configuration{advice}")
        try:
            setattr(target, key, parse_value(text))
        except Exception as error:  # transformers checks types in many ways
            raise UsageError(f"--set {setting}: {' '.join(str(error).split())}") from None


def choose_class(config):
    """The transformers class for training this configuration: by what its family is made for."""
    import transformers
    from transformers.models.auto import modeling_auto as auto

    masked = type(config) in auto.MODEL_FOR_MASKED_LM_MAPPING
    candidates = [
        (config.is_encoder_decoder, auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING),
        (masked and not getattr(config, "is_decoder", False), auto.MODEL_FOR_MASKED_LM_MAPPING),
        (True, auto.MODEL_FOR_CAUSAL_LM_MAPPING),
        (True, auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING),
        (True, auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING),
    ]
    for applies, mapping in candidates:
        if applies and type(config) in mapping:
            chosen = mapping[type(config)]
            return chosen[0] if isinstance(chosen, tuple) else chosen
    raise UsageError(f"transformers {transformers.__version__} has no class with a loss for {config.model_type}; "
                     "name the class instead of the type")


def hugging_face_class(name):
    """(model class or None, configuration) for a class name or a model type."""
    import transformers

    found = getattr(transformers, name, None)
    if inspect.isclass(found) and issubclass(found, transformers.PreTrainedModel):
        return found, found.config_class()
    try:
        return None, transformers.AutoConfig.for_model(name)
    except ValueError:
        known = list(transformers.models.auto.configuration_auto.CONFIG_MAPPING.keys())
        near = difflib.get_close_matches(name, known, n=3)
        advice = f"; near: {', '.join(near)}" if near else ""
        raise UsageError(f"{name}: neither a class nor a model type of transformers "
                         f"{transformers.__version__}{advice}") from None


def build_hugging_face(arguments):
    import transformers

    transformers.logging.set_verbosity_error()
    device = "meta" if arguments.meta else "cpu"
    if arguments.from_pretrained:
        if not os.path.isdir(arguments.from_pretrained):
            raise UsageError(f"--from-pretrained {arguments.from_pretrained}: not a directory; models are not "
                             "downloaded, give a directory that save_pretrained wrote")
        config = transformers.AutoConfig.from_pretrained(arguments.from_pretrained, local_files_only=True)
        name = (config.architectures or [None])[0]
        model_class = getattr(transformers, name, None) if name else None
    else:
        model_class, config = hugging_face_class(arguments.model)
    apply_settings(config, arguments.set)
    config.use_cache = False
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = config.pad_token_id or 0  # what labels are shifted with
    model_class = model_class or choose_class(config)
    config._attn_implementation = arguments.attn
    if arguments.from_pretrained and not arguments.meta:
        model = model_class.from_pretrained(arguments.from_pretrained, config=config, local_files_only=True,
                                            attn_implementation=arguments.attn)
    else:
        with torch.device(device):
            model = model_class._from_config(config, attn_implementation=arguments.attn)
    return model.to(DTYPES[arguments.dtype])


def text_size(config):
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return getattr(text, "vocab_size", None)


def default_inputs(model, arguments):
    """Specifications (dtype, shape, bound of integers) by name, from what kind of model it is."""
    config, name = model.config, type(model).__name__
    main = model.main_input_name
    batch = arguments.batch
    inputs = {}
    if main == "input_ids":
        inputs[main] = (torch.int64, (batch, arguments.seq), text_size(config))
    elif main == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        inputs[main] = (DTYPES[arguments.dtype], (batch, getattr(config, "num_channels", 3), height, width), None)
    if "Classification" in name and "Token" not in name:
        inputs["labels"] = (torch.int64, (batch,), config.num_labels)
    elif main == "input_ids":
        bound = config.num_labels if "TokenClassification" in name else text_size(config)
        inputs["labels"] = (torch.int64, (batch, arguments.seq), bound)
    return inputs


def parse_input(text):
    match = re.fullmatch(r"([A-Za-z_]\w*)=(\w+)\[(\d+(?:x\d+)*)?\]", text)
    if not match or match[2] not in DTYPES:
        raise UsageError(f"--input {text}: expected NAME=DTYPE[AxB] with one of {', '.join(DTYPES)}")
    shape = tuple(int(size) for size in match[3].split("x")) if match[3] else ()
    return match[1], (DTYPES[match[2]], shape, 2)


def example_tensor(dtype, shape, bound, device):
    if device == "meta":
        return torch.empty(shape, dtype=dtype, device=device)
    if dtype.is_floating_point:
        return torch.randn(shape, dtype=dtype)
    return torch.randint(0, bound or 2, shape, dtype=dtype)


def build_module(specification):
    """The user's (module, example_inputs)."""
    path, colon, name = specification.rpartition(":")
    if not colon or not os.path.isfile(path):
        raise UsageError(f"--module {specification}: expected FILE.py:FACTORY with a file that exists")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("exported_module", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["exported_module"] = module
    spec.loader.exec_module(module)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"--module {specification}: {path} has no function {name}")
    result = factory()
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], torch.nn.Module)
            and isinstance(result[1], dict)):
        raise UsageError(f"{name}() must return (module, example_inputs), example_inputs a dict of tensors by name")
    return result


def loss_of(output):
    """The loss in what forward returned: the tensor itself, `.loss`, or the first element."""
    if isinstance(output, torch.Tensor):
        return output
    loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if loss is None and isinstance(output, (tuple, list)) and output:
        loss = output[0]
    if not isinstance(loss, torch.Tensor):
        raise UsageError("the model returns no loss for these inputs; choose a class that computes one from `labels`, "
                         "or give a module of your own with --module")
    return loss


def with_named_inputs(module, names):
    """Replaces the module's forward by one whose arguments are exactly `names` and whose result is the loss.

    The trace takes the names of its inputs from the signature of forward, and the names of parameters from the module,
    so forward is replaced on the module itself: a wrapper would put its own prefix before every name.
    """
    original = module.forward
    for name in names:
        if not name.isidentifier():
            raise UsageError(f"{name}: not a name that an argument of forward can have")
    scope = {"call": lambda **inputs: loss_of(original(**inputs))}
    exec(f"def forward(self, {', '.join(names)}):\n"
         f"    return call({', '.join(f'{name}={name}' for name in names)})\n", scope)
    module.forward = types.MethodType(scope["forward"], module)
    return module


def trace(module, inputs):
    named = with_named_inputs(module, list(inputs))
    with warnings.catch_warnings():
        # torch.jit is deprecated and tracing warns about every size that becomes a constant; here sizes are meant to.
        warnings.simplefilter("ignore")
        return torch.jit.trace(named, tuple(inputs.values()), check_trace=False, strict=False)


def describe(path, module, inputs):
    unique = {id(p): p.numel() for p in module.parameters()}
    print(f"wrote {path}: {type(module).__name__}, {sum(unique.values()):,} parameters in {len(unique)} tensors")
    options = []
    for name, tensor in inputs.items():
        sizes = ["batch", *map(str, tensor.shape[1:])] if tensor.dim() else []
        options.append(f"--input '{name}={DTYPE_NAMES[tensor.dtype]}[{'x'.join(sizes)}]'")
    print(f"plan it with: ds-opt {path} {' '.join(options)} --config ds_config.json -o {os.path.splitext(path)[0]}.dsplan")


def main(argv):
    arguments = parse_arguments(argv)
    torch.manual_seed(arguments.seed)
    # What a module computes once (tables of positions) is saved. On several threads its digits depend on their number and,
    # when a vector function of MKL is first called by two at once, on luck (pytorch/pytorch#188792).
    torch.set_num_threads(1)
    if arguments.module:
        module, inputs = build_module(arguments.module)
    else:
        module = build_hugging_face(arguments)
        specifications = default_inputs(module, arguments) | dict(map(parse_input, arguments.input))
        device = "meta" if arguments.meta else "cpu"
        inputs = {name: example_tensor(*spec, device) for name, spec in specifications.items()}
    module.train(arguments.training)
    traced = trace(module, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(traced, arguments.output)
    describe(arguments.output, module, inputs)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"export_hf.py: {error}")
