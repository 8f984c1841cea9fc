"""Captions in chunks of 75, through the encoders of each family."""

from __future__ import annotations

import json
from importlib import util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_lora.core.errors import HostError
from lib_lora.demo import words
from lib_lora.demo.checkpoint import write_clip
from lib_lora.hosts.diffusers import tokens
from lib_lora.hosts.diffusers.checkpoint import Checkpoint
from lib_lora.hosts.diffusers.tokens import BACKTRACK, CHUNK, padded_with, split
from lib_lora.model import Family, Prediction

COMMA = 7
ids = st.lists(st.sampled_from([COMMA, *range(100, 140)]), max_size=400)


@given(ids)
def test_nothing_is_lost_between_chunks(text: list[int]) -> None:
    parts = split(text, COMMA)
    assert [token for part in parts for token in part] == text
    assert all(len(part) <= CHUNK for part in parts)
    assert len(parts) >= 1


@given(ids)
def test_a_chunk_is_cut_short_only_at_a_near_comma(text: list[int]) -> None:
    for part in split(text, COMMA)[:-1]:
        if len(part) < CHUNK:
            assert part[-1] == COMMA
            assert CHUNK - (len(part) - 1) <= BACKTRACK


@pytest.mark.parametrize(("place", "cut"), [(60, 61), (55, 56), (54, 75), (74, 75)])
def test_the_comma_may_lie_twenty_back(place: int, cut: int) -> None:
    """The distance counts as the WebUI counts it: from the comma to the end of a full chunk."""
    text = [100] * place + [COMMA] + [101] * 100
    assert len(split(text, COMMA)[0]) == cut


def test_a_comma_after_a_full_chunk_begins_the_next() -> None:
    assert [len(part) for part in split([100] * 75 + [COMMA, 101], COMMA)] == [75, 2]


def test_openclip_pads_after_the_first_end() -> None:
    assert padded_with([[1, 5, 2, 2, 2], [1, 2, 2, 2, 2]], eos=2, pad=0) == [[1, 5, 2, 0, 0], [1, 2, 0, 0, 0]]


def checkpoint_in(folder: Path, version: str | None = None) -> Checkpoint:
    params = {"cond_stage_config": {"params": {"version": version}}} if version else {}
    return Checkpoint(folder / "a.safetensors", Family.SD1, {}, Prediction.EPSILON, False, {"model": {"params": params}})


def test_the_tokenizer_is_the_yamls_then_the_one_beside(tmp_path: Path) -> None:
    rows = write_clip(tmp_path / "clip", 64, 12)
    write_clip(tmp_path / "elsewhere" / "text", 64, 12)
    (tmp_path / "beside").mkdir()
    assert tokens.folder_of(checkpoint_in(tmp_path), rows) == tmp_path / "clip"
    assert tokens.folder_of(checkpoint_in(tmp_path, str(tmp_path / "elsewhere" / "text")), rows) == tmp_path / "elsewhere" / "text"
    # A folder that was moved away, and a name on a hub.
    assert tokens.folder_of(checkpoint_in(tmp_path, str(tmp_path / "gone")), rows) == tmp_path / "clip"
    assert tokens.folder_of(checkpoint_in(tmp_path, "openai/clip-vit-large-patch14"), rows) == tmp_path / "clip"
    assert tokens.folder_of(checkpoint_in(tmp_path / "beside"), rows) is None


def test_a_vocabulary_of_another_checkpoint_is_not_taken(tmp_path: Path) -> None:
    rows = write_clip(tmp_path / "clip", 64, 12)
    assert tokens.folder_of(checkpoint_in(tmp_path), rows + 1) is None


def test_a_missing_tokenizer_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"vocab\.json.*clip"):
        tokens.load(checkpoint_in(tmp_path), 1234, tmp_path / "state")


def test_clips_own_vocabulary_comes_from_open_clip(tmp_path: Path) -> None:
    """The ids of the published tokenizer for these tags."""
    if util.find_spec("open_clip") is None:
        pytest.skip("open_clip_torch carries CLIP's list of merges")
    found = tokens.load(checkpoint_in(tmp_path), tokens.CLIP_ROWS, tmp_path / "state")
    row = found.chunks("1girl, solo, blue hair")[0]
    assert row[:10] == [49406, 272, 1611, 267, 5797, 267, 1746, 2225, 49407, 49407]
    assert len(row) == 77
    assert found.comma == 267


def test_every_word_of_the_demo_is_one_token(tmp_path: Path) -> None:
    rows = write_clip(tmp_path / "clip", 64, 12)
    found = tokens.load(checkpoint_in(tmp_path), rows, tmp_path)
    assert len(json.loads((tmp_path / "clip" / "vocab.json").read_text(encoding="utf-8"))) == rows
    # CLIP splits digits from letters before it joins anything.
    for word in set(words.WORDS) - {"1girl", "1boy"}:
        assert len(found.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1, word
    assert found.tokenizer.decode(found.tokenizer("strange things", add_special_tokens=False)["input_ids"]).strip() == "strange things"


def test_all_texts_of_a_batch_have_as_many_chunks(tmp_path: Path) -> None:
    rows = write_clip(tmp_path / "clip", 64, 12)
    found = tokens.load(checkpoint_in(tmp_path), rows, tmp_path)
    batch = found.rows(["tree", "tree " * 100, ""])
    assert [len(chunks) for chunks in batch] == [2, 2, 2]
    assert all(len(row) == 77 and row[0] == found.bos and row[-1] == found.eos for chunks in batch for row in chunks)
    assert batch[0][1] == batch[2][0] == [found.bos] + [found.eos] * 76
