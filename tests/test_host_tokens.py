"""Hosts count tokens: with the tokenizer they have, and never with an error."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lib_lora.editor.tokens import Tokens
from lib_lora.hosts.diffusers import DiffusersHost
from lib_lora.hosts.webui import program

if TYPE_CHECKING:
    from lib_lora.demo import DemoSet

CAPTIONS = ["1girl, solo, long hair", "o_o, ^_^, name (series), don't look!!", "uiharu_kazari, 24-hour hair-ornament's ...", "", "(o)_(o) || 2b |_|"]


class Encoder:
    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        if self.fails:
            raise AssertionError("Old emphasis implementation not supported for Open Clip")
        return [[1] * len(text.split()) for text in texts]


@pytest.mark.parametrize(
    ("sd", "expected"),
    [
        (None, None),
        (SimpleNamespace(), None),
        (SimpleNamespace(cond_stage_model=object()), None),
        (SimpleNamespace(cond_stage_model=Encoder()), [2, 0]),
        (SimpleNamespace(cond_stage_model=Encoder(fails=True)), None),
        (SimpleNamespace(conditioner=SimpleNamespace(embedders=[Encoder(), object()])), [2, 0]),
        (SimpleNamespace(conditioner=SimpleNamespace(embedders=None)), None),
    ],
    ids=["none", "bare", "no tokenizer", "SD", "refuses", "SDXL", "no embedders"],
)
def test_the_webuis_model_counts_or_nobody_does(sd: Any, expected: list[int] | None) -> None:
    assert program.tokens(sd, ["a b", ""]) == expected


def test_the_checkpoints_tokenizer_counts_before_and_after_it_is_loaded(demo_set: DemoSet, tmp_path: Path) -> None:
    host = DiffusersHost(demo_set.checkpoint, tmp_path)
    before = host.count_tokens(CAPTIONS)
    assert before is not None
    assert before[3] == 0
    assert all(n > 0 for place, n in enumerate(before) if place != 3)
    assert Tokens(host.count_tokens).of(CAPTIONS) == (before, True), "word by word it is the same"
    assert host.count_tokens([]) == []


@pytest.mark.skipif(util.find_spec("open_clip") is None, reason="CLIP's own vocabulary comes with open_clip")
def test_word_by_word_is_clips_own_count(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    from lib_lora.hosts.diffusers import tokens
    from lib_lora.hosts.diffusers.checkpoint import Checkpoint
    from lib_lora.model import Family, Prediction

    checkpoint = Checkpoint(tmp_path / "a.safetensors", Family.SD1, {}, Prediction.EPSILON, False, {})
    folder = tokens._clip_folder(checkpoint, tokens.CLIP_ROWS, tmp_path)
    clip = CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def count(texts: Any) -> list[int]:
        return [len(clip(text, add_special_tokens=False)["input_ids"]) for text in texts]

    assert Tokens(count).of(CAPTIONS) == (count(CAPTIONS), True)
