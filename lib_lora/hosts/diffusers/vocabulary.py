"""A CLIP tokenizer's files from a list of merges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lib_lora.core.files import write_text

POSITIONS = 77
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def write_vocabulary(folder: Path, merges: Sequence[str]) -> int:
    """Write a CLIP tokenizer with these merges ("a b") into a folder; returns how many tokens it has."""
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *[f"{letter}</w>" for letter in letters], *["".join(merge.split()) for merge in merges], BOS, EOS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS}
    settings = {**special, "do_lower_case": True, "errors": "replace", "model_max_length": POSITIONS, "tokenizer_class": "CLIPTokenizer"}
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
    write_text(folder / "tokenizer_config.json", json.dumps(settings, indent=1))
    write_text(folder / "special_tokens_map.json", json.dumps(special, indent=1))
    # Last: a folder with this file counts as complete.
    write_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    return len(vocabulary)
