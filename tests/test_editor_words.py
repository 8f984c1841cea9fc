"""What the editor knows of words: filters, features of a character, unwanted features, completion, tokens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.editor import trigger, unwanted
from lib_lora.editor.complete import Known, Vocabularies, Vocabulary, complete, read
from lib_lora.editor.features import category
from lib_lora.editor.filters import Facts, Row, Where, select
from lib_lora.editor.table import table
from lib_lora.editor.tokens import Tokens, estimate, pieces

ROWS = [
    Row("a.png", "1girl, Blue hair, solo", ("1girl", "Blue hair", "solo"), True),
    Row("x/b.png", "1girl, hat", ("1girl", "hat")),
    Row("x/y/c.png", "scenery", ("scenery",)),
    Row("z/solo.png", "", ()),
]
FACTS = {"a.png": Facts("", "face", frozenset({"grey"})), "x/b.png": Facts("x", "main"), "x/y/c.png": Facts("x/y", "", frozenset({"grey", "exact"}))}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, "abcz"),
        (None, "abcz"),
        ({"all": ["1girl"]}, "ab"),
        ({"all": ["1girl", "hat"]}, "b"),
        ({"any": ["hat", "scenery"]}, "bc"),
        ({"none": ["1girl"]}, "cz"),
        ({"all": ["1girl"], "any": ["hat", "solo"], "none": ["hat"]}, "a"),
        ({"all": ["1gir"]}, ""),
        ({"search": {"text": "SOLO"}}, "az"),
        ({"search": {"text": "blue", "mode": "prefix"}}, "a"),
        ({"search": {"text": "at", "mode": "suffix"}}, "b"),
        ({"search": {"text": "^(1girl|scen)", "mode": "regex"}}, "abc"),
        ({"search": {"text": "", "mode": "regex"}}, "abcz"),
        ({"folder": "x"}, "bc"),
        ({"folder": "x/y"}, "c"),
        ({"folder": "."}, "a"),
        ({"kind": "main"}, "b"),
        ({"flag": "grey"}, "ac"),
        ({"keys": ["z/solo.png", "gone.png"]}, "z"),
        ({"keys": []}, ""),
        ({"changed": True}, "a"),
    ],
)
def test_filters(where: Any, found: str) -> None:
    keys = {"a": "a.png", "b": "x/b.png", "c": "x/y/c.png", "z": "z/solo.png"}
    assert select(Where.read(where), ROWS, FACTS) == [keys[one] for one in found]


some = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3, unique=True)


@settings(deadline=None)
@given(st.lists(some, max_size=6), some, some, some)
def test_filters_by_tags_are_their_sets(tags: list[list[str]], every: list[str], one_of: list[str], none: list[str]) -> None:
    rows = [Row(str(place), ", ".join(own), own) for place, own in enumerate(tags)]
    expected = [
        str(place)
        for place, own in enumerate(tags)
        if all(tag in own for tag in every) and (not one_of or any(tag in own for tag in one_of)) and not any(tag in own for tag in none)
    ]
    assert select(Where.read({"all": every, "any": one_of, "none": none}), rows, {}) == expected


@pytest.mark.parametrize("raw", [[], {"all": "a"}, {"any": [1]}, {"nothing": 1}, {"search": "a"}, {"search": {"text": 3}}, {"folder": 3}])
def test_a_filter_that_is_none_is_refused(raw: Any) -> None:
    with pytest.raises(ConfigError):
        Where.read(raw)


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        ("hair", "blue hair, very_long_hair, ponytail, low twintails, blunt bangs, ahoge, hair between eyes, hime cut, Two-Tone Hair, hair bun"),
        ("eyes", "red eyes, heterochromia, tsurime, slit pupils, long eyelashes"),
        ("ears", "cat ears, pointy ears, fox tail, demon horns, angel wings, halo, fang, multiple tails"),
        ("body", "mole under eye, freckles, dark skin, large breasts, scar on face, facial mark"),
        ("worn on the head", "hair ornament, hair ribbon, straw hat, glasses, flower on head, star hair ornament, hairclip"),
        ("style", "chibi, watercolor (medium), retro artstyle, flat color"),
        ("clothes", "school uniform, white shirt, pleated skirt, black thighhighs, red bow, sleeveless, detached sleeves, choker, katana"),
    ],
)
def test_features(kind: str, tags: str) -> None:
    assert {tag: getattr(category(tag), "name", None) for tag in tags.split(", ")} == dict.fromkeys(tags.split(", "), kind)


def test_what_is_no_feature() -> None:
    tags = "1girl, solo, smile, closed eyes, open mouth, looking at viewer, indoors, white background, standing, holding sword, wet hair, hand on own hip"
    tags += ", skirt lift, hair flip, adjusting hair, from above, cowboy shot, close-up, floating hair, no shoes, multiple girls, flower, blush"
    assert {tag for tag in tags.split(", ") if category(tag)} == set()


def test_features_that_are_frequent_are_suggested() -> None:
    counts = {"1girl": 20, "blue hair": 18, "red eyes": 8, "green eyes": 3, "school uniform": 13, "white shirt": 11, "blonde hair": 1, "trig": 20, "fang": 2}
    counts["chibi"] = 20
    found = {one.tag: one.chosen for one in trigger.features(counts, 20, "trig")}
    assert found == {"blue hair": True, "red eyes": True, "school uniform": True, "white shirt": False, "chibi": False}
    assert trigger.features({}, 0) == ()


def test_a_trigger_is_judged() -> None:
    tokens = Tokens(lambda texts: [len(text) for text in texts])
    known = {"blue eyes": 5, "miku": 70}

    def told(word: str, tags: tuple[str, ...] = ()) -> str:
        return " ".join(str(one) for one in trigger.judge(word, tokens, known, tags))

    assert told("kzr") == ""
    assert "(70 pictures)" in told("Miku")
    assert "(5 pictures)" in told("blue_eyes")
    assert "says something already" in told("silver hair")
    assert "takes 6 tokens" in told("abcdef")
    assert "≈" in " ".join(str(one) for one in trigger.judge("a b c d e f", Tokens(), known))
    assert "keep_tokens 2" in told("ab, cd")
    assert "kzr mask" in told("kzr", ("kzr mask", "hat"))
    assert told(" ") == "Say what the trigger word is."


def test_unwanted_features_are_hinted_at() -> None:
    tags = {"a": ["1girl", "censored"], "b": ["hat", "letterboxed"], "c": []}
    scores = {"a": {"mosaic_censoring": 0.4, "censored": 0.9, "v": 0.1}, "b": {"hand_on_own_hip": 0.3, "standing": 0.25}}
    bars = {"a": (0, 12, 0, 12), "b": (0, 9, 0, 9), "c": (5, 0, 5, 0)}
    found = {(one.tag, one.group): (one.keys, one.sure) for one in unwanted.find(tags, scores, bars)}
    assert found == {
        ("letterboxed", "bars"): (("a",), True),
        ("pillarboxed", "bars"): (("c",), True),
        ("mosaic censoring", "censored"): (("a",), False),
        ("standing", "poses"): (("b",), False),
        ("hand on own hip", "hands"): (("b",), False),
    }


def test_completion_puts_the_set_first() -> None:
    vocabulary = Vocabulary.of([Known("blue eyes", 900), Known("blue hair", 800), Known("light blue hair", 50), Known("azure hair", 800, "blue hair")])
    found = complete("blue", {"blue skirt": 3, "hat": 9, "dark blue": 1}, vocabulary)
    assert [one.tag for one in found] == ["blue skirt", "blue eyes", "blue hair", "dark blue", "light blue hair"]
    assert [(one.tag, one.of) for one in complete("azure", {"blue hair": 2}, vocabulary)] == [("blue hair", "azure hair")]
    assert complete("  ", {"a": 1}, vocabulary) == []
    assert [one.tag for one in complete("BLUE_h", {}, vocabulary)][:1] == ["blue hair"]
    assert len(complete("t", {f"t{i}": 1 for i in range(50)}, vocabulary)) == 20


def test_lists_of_tags_in_their_shapes(tmp_path: Path) -> None:
    tagger = tmp_path / "selected_tags.csv"
    tagger.write_text('tag_id,name,category,count\n1,long_hair,0,40\n2,"don\'t_say_""lazy""",0,3\n3,o_o,0,2\n', encoding="utf-8")
    assert read(tagger) == [Known("long hair", 40), Known('don\'t say "lazy"', 3), Known("o_o", 2)]
    other = tmp_path / "danbooru.csv"
    other.write_text('1girl,0,6008644,"1girls,sole_female"\nhighres,5,5256195,\n,0,1,\nshort\n', encoding="utf-8")
    assert read(other) == [Known("1girl", 6008644), Known("1girls", 6008644, "1girl"), Known("sole female", 6008644, "1girl"), Known("highres", 5256195)]


def test_the_list_is_found_beside_taggers_and_in_extensions(tmp_path: Path) -> None:
    state, models = tmp_path / "data" / "lora_studio", tmp_path / "models"
    lists = Vocabularies(state, models)
    assert lists.used().rows == ()
    tagger = models / "taggers" / "wd" / "selected_tags.csv"
    tagger.parent.mkdir(parents=True)
    tagger.write_text("tag_id,name,category,count\n1,from_tagger,0,4\n", encoding="utf-8")
    assert [row.tag for row in lists.used().rows] == ["from tagger"]
    extension = state.parent / "extensions" / "a1111-sd-webui-tagcomplete" / "tags" / "danbooru.csv"
    extension.parent.mkdir(parents=True)
    extension.write_text("".join(f"tag_{i},0,{i},\n" for i in range(50)), encoding="utf-8")
    assert len(lists.used().rows) == 50
    ours = state / "tags" / "mine.csv"
    ours.parent.mkdir(parents=True)
    ours.write_text("own_tag,0,1,\n", encoding="utf-8")
    assert [row.tag for row in lists.used().rows] == ["own tag"]
    ours.write_bytes(b"\xff\xfe\x00")
    assert lists.used().rows == (), "a list that is no text completes nothing, and breaks nothing"


def test_the_table_counts_what_is_shown() -> None:
    shown, counts = Counter({"a": 2, "bb": 3, "ccc": 3}), Counter({"a": 5, "bb": 3, "ccc": 4, "d": 1})
    found = table(shown, counts, Tokens(), top=("d", "gone"))
    assert [(line.tag, line.shown, line.all) for line in found.lines] == [("d", 0, 1), ("bb", 3, 3), ("ccc", 3, 4), ("a", 2, 5)]
    assert (found.total, found.exact) == (4, False)


def test_tokens_by_the_host_word_by_word() -> None:
    asked: list[str] = []

    def count(texts: Any) -> list[int]:
        asked.extend(texts)
        return [2 * len(text) for text in texts]

    tokens = Tokens(count)
    assert tokens.of(["red hat, hat", "Hat", "山猫 hat"]) == ([20, 6, 12], True)
    assert asked == ["red", "hat", ",", "山猫 hat"]
    assert tokens.of(["hat"]) == ([6], True)
    assert Tokens(lambda texts: None).of(["1girl, solo"]) == ([4], False)


def test_a_host_that_has_lost_its_model_is_not_believed() -> None:
    answers: list[Any] = [[7], None]
    tokens = Tokens(lambda texts: answers.pop(0))
    assert tokens.of(["cat"]) == ([7], True)
    assert tokens.of(["cat dog"]) == ([8], False), "what is known stays, the rest is estimated"


@given(st.text(st.sampled_from("ab 1_,.()'é山"), max_size=20))
def test_estimates_are_of_all_letters(text: str) -> None:
    assert (estimate(text) > 0) == bool(text.strip())
    if text.isascii():
        assert "".join(pieces(text)) == "".join(text.split())
