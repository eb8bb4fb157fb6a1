#!/usr/bin/env python3
"""Turns text files into a token file for `ds-run --data NAME=OUT.bin`.

    python tokenize_text.py /usr/share/common-licenses/GPL-3 -o text.bin
    python tokenize_text.py corpus/*.txt --tokenizer ./my-tokenizer -o corpus.bin
    python tokenize_text.py text.txt --npy 256 -o rows.npy

Without --tokenizer every byte is a token (vocabulary 256). With it, a Hugging Face tokenizer is read from a directory on
this machine; its end-of-text token, if it has one, follows each file. OUT.bin holds the tokens one after another,
little-endian, and OUT.bin.json says of which type: {"dtype": "uint8"}. --npy SEQ writes rows of SEQ tokens as a .npy
file instead; a remainder shorter than a row is dropped.
"""

import argparse
import json
import os
import sys

import numpy as np


class UsageError(Exception):
    """A fault of the input; its message is for the user."""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="text files, in the order in which they are joined")
    parser.add_argument("-o", "--output", required=True, help="the file to write")
    parser.add_argument("--tokenizer", metavar="DIR", help="a Hugging Face tokenizer on this machine")
    parser.add_argument("--npy", type=int, metavar="SEQ", help="write rows of SEQ tokens as .npy, int64")
    return parser.parse_args(argv)


def byte_tokens(texts):
    return np.concatenate([np.fromfile(text, dtype=np.uint8) for text in texts])


def tokenizer_tokens(texts, directory):
    if not os.path.isdir(directory):
        raise UsageError(f"--tokenizer {directory}: not a directory; tokenizers are not downloaded, give a directory "
                         "that save_pretrained wrote")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokens = []
    for text in texts:
        with open(text, encoding="utf-8") as stream:
            tokens += tokenizer.encode(stream.read(), add_special_tokens=False) + end
    return np.asarray(tokens, dtype=np.uint16 if len(tokenizer) <= 65536 else np.int32)


def write_rows(tokens, length, path):
    rows = len(tokens) // length
    if rows == 0:
        raise UsageError(f"{len(tokens)} tokens do not fill one row of {length}")
    with open(path, "wb") as stream:  # np.save would add .npy to another name
        np.save(stream, tokens[:rows * length].reshape(rows, length).astype(np.int64))
    return f"{rows:,} rows of {length} tokens as int64"


def write_stream(tokens, path):
    tokens.astype(tokens.dtype.newbyteorder("<")).tofile(path)
    with open(path + ".json", "w", encoding="utf-8") as stream:
        json.dump({"dtype": tokens.dtype.name}, stream)
        stream.write("\n")
    return f"{len(tokens):,} tokens as {tokens.dtype.name}"


def main(argv):
    arguments = parse_arguments(argv)
    if arguments.npy is not None and arguments.npy < 1:
        raise UsageError(f"--npy {arguments.npy}: expected the number of tokens of a row, at least 1")
    tokens = (tokenizer_tokens(arguments.texts, arguments.tokenizer) if arguments.tokenizer
              else byte_tokens(arguments.texts))
    if not len(tokens):
        raise UsageError("the texts are empty")
    written = (write_rows(tokens, arguments.npy, arguments.output) if arguments.npy
               else write_stream(tokens, arguments.output))
    print(f"wrote {arguments.output}: {written}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (UsageError, OSError) as error:
        sys.exit(f"tokenize_text.py: {error}")
