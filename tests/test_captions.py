"""From a caption to the text of one step."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.dataset import captions, statistics
from lib_lora.dataset.config import CaptionConfig
from lib_lora.dataset.scan import Item

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "buckets.json").read_text(encoding="utf-8"))["captions"]
tag = st.text(st.sampled_from("abcXYZ 0_(山猫"), min_size=1, max_size=8).map(str.strip).filter(bool)
tag_lists = st.lists(tag, min_size=0, max_size=8)
seeds = st.integers(0, 10**6)


def draw(text: str, seed: int = 0, **settings: Any) -> str:
    return captions.draw(text, CaptionConfig(**settings), random.Random(seed))


@pytest.mark.parametrize("golden", GOLDEN, ids=[f"{one['caption'][:6]!r}-{one['keep']}-{one['shuffle']}-{one['seed']}" for one in GOLDEN])
def test_the_order_is_sd_scripts(golden: dict[str, Any]) -> None:
    assert draw(golden["caption"], golden["seed"], shuffle=golden["shuffle"], keep_tokens=golden["keep"]) == golden["text"]


@settings(deadline=None)
@given(tag_lists, st.integers(0, 10), seeds)
def test_shuffling_keeps_the_first_tags_and_loses_none(tags: list[str], keep: int, seed: int) -> None:
    drawn = captions.tags(draw(", ".join(tags), seed, keep_tokens=keep))
    assert drawn[:keep] == tags[:keep]
    assert sorted(drawn) == sorted(tags)


@settings(deadline=None)
@given(tag_lists, tag, st.integers(0, 4), st.booleans(), seeds)
def test_the_trigger_stands_first_and_once(tags: list[str], trigger: str, keep: int, shuffle: bool, seed: int) -> None:
    text = draw(", ".join(tags), seed, trigger=trigger, keep_tokens=keep, shuffle=shuffle)
    assert text.casefold().startswith(trigger.casefold())
    drawn = [one.casefold() for one in captions.tags(text)]
    assert drawn.count(trigger.casefold()) <= 1
    mine = {one.casefold() for one in tags}
    assert mine - {trigger.casefold()} <= set(drawn) <= mine | {trigger.casefold()}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("solo, hat", "ohwx, solo, hat"),
        ("ohwx, solo, hat", "ohwx, solo, hat"),
        ("solo, OHWX, hat", "ohwx, solo, hat"),
        ("ohwx, solo, ohwx", "ohwx, solo"),
        ("Ohwx man in a hat, smiling", "Ohwx man in a hat, smiling"),
        ("ohwxy, solo", "ohwx, ohwxy, solo"),
        ("a photo of ohwx man", "ohwx, a photo of ohwx man"),
        ("", "ohwx"),
    ],
)
def test_the_trigger_is_moved_and_not_doubled(caption: str, expected: str) -> None:
    assert draw(caption, trigger="ohwx", shuffle=False) == expected


def test_a_trigger_of_several_tags_stays_whole_whatever_is_kept() -> None:
    drawn = {draw("hat, solo, smile, red hair", seed, trigger="ohwx, red hair", keep_tokens=0) for seed in range(40)}
    assert len(drawn) == 6
    assert all(one.startswith("ohwx, red hair, ") for one in drawn)


def test_without_shuffle_and_trigger_a_caption_stays_letter_for_letter() -> None:
    assert draw("A cat,on a  mat;, (so it is)", shuffle=False) == "A cat,on a  mat;, (so it is)"
    assert draw("A cat,on a  mat", shuffle=False, trigger="x") == "x, A cat,on a  mat"


def test_only_the_first_line_counts() -> None:
    for ends in ("\n", "\r\n", "\r"):
        assert draw(f" one, two {ends}three", shuffle=False) == "one, two"
    assert captions.lines("a\u2028b\x0bc") == ["a\u2028b\x0bc"]


def test_empty_tags_are_none() -> None:
    assert captions.tags(" a, ,b,, c ,") == ["a", "b", "c"]
    assert captions.tags("  ") == []


def test_the_same_draw_comes_again_and_others_differ() -> None:
    text = ", ".join("abcdefgh")
    assert draw(text, 5) == draw(text, 5)
    assert len({draw(text, seed) for seed in range(20)}) == 20


def test_tag_counts_per_folder() -> None:
    def item(folder: str, name: str, caption: str) -> Item:
        return Item(Path("set") / folder / name, (512, 512), 3, caption, "", "0")

    items = [item("3_cat", "a.png", "Cat, hat"), item("3_cat", "b.png", "cat, "), item("3_dog", "a.png", "dog")]
    assert statistics.tag_frequency(items, CaptionConfig()) == {"3_cat": {"cat": 2, "hat": 1}, "3_dog": {"dog": 1}}
    assert statistics.tag_frequency(items[2:], CaptionConfig(trigger="Ohwx")) == {"3_dog": {"ohwx": 1, "dog": 1}}
    assert statistics.dataset_dirs(items) == {"3_cat": {"n_repeats": 3, "img_count": 2}, "3_dog": {"n_repeats": 3, "img_count": 1}}
    assert captions.first_text(items[0], CaptionConfig(trigger="hat")) == "hat, Cat"
