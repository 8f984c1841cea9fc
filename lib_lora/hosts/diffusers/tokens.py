"""CLIP's tokenizer from files at hand, and texts cut into chunks of 75 tokens as the WebUI cuts them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.diffusers.checkpoint import Checkpoint
from lib_lora.hosts.diffusers.vocabulary import write_vocabulary

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CHUNK = 75
BACKTRACK = 20  # the WebUI's default: how far back a chunk may end at a comma
CLIP_ROWS = 49408
BPE_FILE = "bpe_simple_vocab_16e6.txt.gz"


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with the ids that chunks are made of."""

    tokenizer: CLIPTokenizer
    bos: int
    eos: int
    comma: int | None

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without those that begin and end it."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]] if texts else []

    def chunks(self, text: str) -> list[list[int]]:
        """Rows of 77 ids, each BOS … EOS and filled up with EOS; at least one row."""
        ids = self.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return [[self.bos, *part, *[self.eos] * (CHUNK - len(part)), self.eos] for part in split(ids, self.comma)]

    def rows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """The chunks of every text, all as many as the longest needs: shorter ones end with empty chunks."""
        found = [self.chunks(text) for text in texts]
        longest = max(len(chunks) for chunks in found)
        empty = [self.bos, *[self.eos] * (CHUNK + 1)]
        return [chunks + [empty] * (longest - len(chunks)) for chunks in found]


def split(ids: Sequence[int], comma: int | None) -> list[list[int]]:
    """Cut ids into parts of at most 75; a full part ends at its last comma if that is at most 20 back."""
    parts: list[list[int]] = []
    part: list[int] = []
    last_comma = -1
    for token in ids:
        if comma is not None and token == comma:
            last_comma = len(part)
        elif len(part) == CHUNK and last_comma != -1 and CHUNK - last_comma <= BACKTRACK:
            parts.append(part[: last_comma + 1])
            part, last_comma = part[last_comma + 1 :], -1
        if len(part) == CHUNK:
            parts.append(part)
            part, last_comma = [], -1
        part.append(token)
    return [*parts, part] if part or not parts else parts


def padded_with(rows: Sequence[Sequence[int]], eos: int, pad: int) -> list[list[int]]:
    """The same rows with `pad` after the first EOS, as OpenCLIP was trained."""
    return [[*row[: row.index(eos) + 1], *[pad] * (len(row) - row.index(eos) - 1)] for row in map(list, rows)]


def folder_of(checkpoint: Checkpoint, rows: int) -> Path | None:
    """The folder beside a checkpoint that holds its tokenizer: the one its yaml names, or `clip/`. None: CLIP's own.

    A folder whose vocabulary has another size belongs to another checkpoint.
    """
    named = checkpoint.clip_version
    beside = checkpoint.path.parent
    for folder in ([beside / named] if named else []) + [beside / "clip"]:
        vocabulary = folder / "vocab.json"
        if vocabulary.is_file() and len(json.loads(vocabulary.read_text(encoding="utf-8"))) == rows:
            return folder
    return None


def heads_of(folder: Path | None) -> int | None:
    """The attention heads that a text encoder's config names, or None."""
    config = folder / "config.json" if folder else None
    return json.loads(config.read_text(encoding="utf-8")).get("num_attention_heads") if config and config.is_file() else None


def load(checkpoint: Checkpoint, rows: int, state: Path) -> Tokens:
    """The tokenizer of a checkpoint whose token embedding has that many rows; HostError says where to get the files."""
    from transformers import CLIPTokenizer

    folder = folder_of(checkpoint, rows) or _clip_folder(checkpoint, rows, state)
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return Tokens(tokenizer, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.get_vocab().get(",</w>"))


def _clip_folder(checkpoint: Checkpoint, rows: int, state: Path) -> Path:
    """CLIP's own vocabulary, written once from the list that the package open_clip carries."""
    folder = state / "clip"
    if (folder / "vocab.json").is_file() and rows == CLIP_ROWS:
        return folder
    found = util.find_spec("open_clip")
    source = Path(found.submodule_search_locations[0]) / BPE_FILE if found and found.submodule_search_locations else None
    if rows != CLIP_ROWS or source is None or not source.is_file():
        raise HostError(
            say(
                "{file}: its tokenizer is missing. Put vocab.json and merges.txt of its text encoder into {folder}, or install open_clip_torch for CLIP's own.",
                file=checkpoint.path.name,
                folder=str(checkpoint.path.parent / "clip"),
            )
        )
    # CLIP's vocabulary: 256 bytes, the same at a word's end, merges, two special tokens.
    merges = gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")[1 : CLIP_ROWS - 512 - 2 + 1]
    write_vocabulary(folder, merges)
    return folder
