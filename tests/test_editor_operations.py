"""What each operation does to a caption, and what holds for all of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.dataset import captions
from lib_lora.editor import operations, patterns
from lib_lora.editor.session import Session
from lib_lora.pictures.picture import Catalog, Picture

ROOT = Path("/nowhere")


def catalog(texts: dict[str, str | None]) -> Catalog:
    pictures = (Picture(key, ROOT / key, (8, 8), key.rpartition("/")[0], text, (1, 1)) for key, text in texts.items())
    return Catalog(ROOT, tuple(pictures), ())


def session(*texts: str | None) -> Session:
    return Session(catalog({f"{i:04}.png": text for i, text in enumerate(texts)}), ROOT)


def done(op: dict[str, Any], *texts: str) -> list[str]:
    return operations.read(op).run(list(texts), Counter(tag for text in texts for tag in captions.tags(text)))


@pytest.mark.parametrize(
    ("op", "text", "expected"),
    [
        ({"kind": "add", "tags": ["trig"]}, "1girl, solo", "trig, 1girl, solo"),
        ({"kind": "add", "tags": ["a, b"], "place": "back"}, "1girl", "1girl, a, b"),
        ({"kind": "add", "tags": ["x"], "place": "position", "position": 2}, "a,b", "a, x, b"),
        ({"kind": "add", "tags": ["x"], "place": "position", "position": 9}, "a", "a, x"),
        ({"kind": "add", "tags": ["Solo"]}, "1girl,solo", "1girl,solo"),
        ({"kind": "add", "tags": ["x"]}, "", "x"),
        ({"kind": "add", "tags": ["photo of trig"], "whole": True}, "A girl, in the rain.", "photo of trig, A girl, in the rain."),
        ({"kind": "remove", "tags": ["solo"]}, "1girl, solo, hat", "1girl, hat"),
        ({"kind": "remove", "tags": ["sol"]}, "1girl,solo", "1girl,solo"),
        ({"kind": "remove", "tags": ["1girl", "solo"]}, "1girl, solo", ""),
        ({"kind": "remove", "tags": ["in the rain"], "whole": True}, "A girl, in the rain, smiles.", "A girl, smiles."),
        ({"kind": "move", "tags": ["bg"], "place": "back"}, "bg, a, b", "a, b, bg"),
        ({"kind": "move", "tags": ["b"], "place": "position", "position": 2}, "a, c, b", "a, b, c"),
        ({"kind": "move", "tags": ["x"]}, "a,b", "a,b"),
        ({"kind": "dedupe"}, "a, B, b, a, c", "a, B, c"),
        ({"kind": "dedupe"}, "a,b", "a,b"),
        ({"kind": "set", "text": "x\ny"}, "a", "x, y"),
        ({"kind": "set", "text": "One.\nTwo.", "whole": True}, "a", "One. Two."),
        ({"kind": "replace", "find": "hat", "replacement": "red hat"}, "hat, hatband", "red hat, hatband"),
        ({"kind": "replace", "find": "hat", "replacement": ""}, "a, hat, b", "a, b"),
        ({"kind": "replace", "find": "hat", "replacement": "cap, red"}, "hat, b", "cap, red, b"),
        ({"kind": "replace", "find": "hat", "replacement": "b"}, "hat, b", "b"),
        ({"kind": "replace", "find": "hat", "replacement": "cap", "mode": "text"}, "red hat, hatband", "red cap, capband"),
        ({"kind": "replace", "find": "HAT", "replacement": r"\1", "mode": "text", "ignore_case": True}, "red hat", r"red \1"),
        ({"kind": "replace", "find": "a", "replacement": "x", "mode": "text", "within": "selected", "tags": ["b a"]}, "a, b a", "a, b x"),
        ({"kind": "replace", "find": r"(\w+) (hair|eyes)", "replacement": r"\2 of \1", "mode": "regex"}, "blue hair, red eyes", "hair of blue, eyes of red"),
        ({"kind": "replace", "find": r"a, b", "replacement": "ab", "mode": "regex", "within": "caption"}, "a, b, c", "ab, c"),
        ({"kind": "replace", "find": r",", "replacement": ";", "mode": "regex", "whole": True}, "A girl, sad.", "A girl; sad."),
        ({"kind": "replace", "find": "z", "replacement": "y", "mode": "text", "within": "caption"}, "a,b", "a,b"),
        ({"kind": "sort"}, "c, a, B", "a, B, c"),
        ({"kind": "sort", "keep": 1}, "trig, c, a", "trig, a, c"),
        ({"kind": "sort", "by": "length", "descending": True}, "a, ccc, bb", "ccc, bb, a"),
        ({"kind": "truncate", "most": 3}, "a, b, c", "a, b"),
        ({"kind": "truncate", "most": 5}, "a,b,c", "a,b,c"),
        ({"kind": "truncate", "most": 2, "whole": True}, "one two three", "one two"),
        ({"kind": "truncate", "most": 0}, "one", ""),
        ({"kind": "normalise"}, r"long_hair,, name_\(series\) ,  o_o， x", "long hair, name (series), o_o, x"),
        ({"kind": "normalise", "keep": ["uiharu_kazari"]}, "uiharu_kazari, long_hair", "uiharu_kazari, long hair"),
        ({"kind": "normalise", "lower": True}, "Long Hair", "long hair"),
        ({"kind": "normalise", "whole": True}, r"A  girl \(sad\), alone", "A girl (sad), alone"),
        ({"kind": "trigger", "trigger": "trig"}, "solo, TRIG, hat", "trig, solo, hat"),
        ({"kind": "trigger", "trigger": "trig"}, "trig,solo", "trig,solo"),
        ({"kind": "trigger", "trigger": "trig", "remove": ["blue hair"]}, "blue hair, solo", "trig, solo"),
        ({"kind": "trigger", "trigger": "trig", "whole": True}, "A girl, sad.", "trig, A girl, sad."),
        ({"kind": "untrigger", "trigger": "trig"}, "trig, solo, Trig", "solo"),
    ],
)
def test_one_caption(op: dict[str, Any], text: str, expected: str) -> None:
    assert done(op, text) == [expected]


def test_sorted_by_frequency_of_the_whole_set() -> None:
    assert done({"kind": "sort", "by": "frequency", "descending": True}, "a, b, c", "c, b", "c")[0] == "c, b, a"


def test_truncated_by_the_counter_that_is_given() -> None:
    asked: list[str] = []

    def letters(texts: Any) -> list[int]:
        asked.extend(texts)
        return [len(text) for text in texts]

    op = operations.read({"kind": "truncate", "most": 7}, letters)
    assert op.run(["aaa, bbb, c", "dddd"], {}) == ["aaa", "dddd"]
    assert "aaa, bbb, c" in asked


@pytest.mark.parametrize(
    "op",
    [
        None,
        {},
        {"kind": "burn"},
        {"kind": ["set"]},
        {"kind": "set"},
        {"kind": "set", "text": 3},
        {"kind": "add", "tags": "a"},
        {"kind": "add", "tags": [1]},
        {"kind": "add", "tags": ["a"], "place": "above"},
        {"kind": "add", "tags": ["a"], "position": 1.5},
        {"kind": "add", "tags": ["a"], "position": True},
        {"kind": "dedupe", "most": 3},
        {"kind": "truncate", "most": -1},
        {"kind": "truncate", "tokens": 3},
    ],
)
def test_what_is_no_operation_is_refused(op: Any) -> None:
    with pytest.raises(ConfigError):
        operations.read(op)


@pytest.mark.parametrize("find", ["(", "a" * 501, "(?P<x", "[z-a]"])
def test_a_pattern_that_is_none_is_refused(find: str) -> None:
    with pytest.raises(ConfigError):
        done({"kind": "replace", "find": find, "mode": "regex"}, "a")


def test_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="invalid group"):
        done({"kind": "replace", "find": "a", "replacement": r"\7", "mode": "regex"}, "a")


def test_a_pattern_that_would_run_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.5)
    with pytest.raises(ConfigError, match=r"takes longer than 0\.5 seconds"):
        done({"kind": "replace", "find": "(a+)+$", "replacement": "", "mode": "regex"}, "a" * 60 + "!")
    with pytest.raises(ConfigError, match="takes longer"):
        patterns.search("(a|aa)+$", ["a" * 80 + "!"])


def test_a_replacement_that_grows_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than"):
        done({"kind": "replace", "find": "(?s)(.*)", "replacement": r"\1" * 200, "mode": "regex", "within": "caption"}, "a" * 900)


tag = st.text(st.sampled_from("abB _1\\()山é"), min_size=1, max_size=6).map(str.strip).filter(lambda text: bool(text) and "," not in text)
caption = st.one_of(st.none(), st.lists(tag, max_size=6).map(", ".join), st.lists(tag, max_size=4).map(",".join), st.text("ab, ", max_size=12))
some_tags = st.lists(tag, min_size=1, max_size=3)
places = st.sampled_from(["front", "back", "position"])
ops = st.one_of(
    st.fixed_dictionaries({"kind": st.just("set"), "text": st.text("ab,\n ", max_size=9), "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("add"), "tags": some_tags, "place": places, "position": st.integers(0, 5), "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("remove"), "tags": some_tags, "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("move"), "tags": some_tags, "place": places, "position": st.integers(0, 5)}),
    st.just({"kind": "dedupe"}),
    st.fixed_dictionaries(
        {
            "kind": st.just("replace"),
            "find": st.text("abB", min_size=1, max_size=2),
            "replacement": st.text("xb, ", max_size=4),
            "mode": st.sampled_from(["tag", "text"]),
            "within": st.sampled_from(["selected", "each", "caption"]),
            "tags": some_tags,
            "ignore_case": st.booleans(),
            "whole": st.booleans(),
        }
    ),
    st.fixed_dictionaries(
        {"kind": st.just("sort"), "by": st.sampled_from(["alphabet", "frequency", "length", "tokens"]), "descending": st.booleans(), "keep": st.integers(0, 2)}
    ),
    st.fixed_dictionaries({"kind": st.just("truncate"), "most": st.integers(0, 8), "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("normalise"), "lower": st.booleans(), "keep": some_tags, "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("trigger"), "trigger": tag, "remove": some_tags, "whole": st.booleans()}),
    st.fixed_dictionaries({"kind": st.just("untrigger"), "trigger": tag}),
)


def texts_of(one: Session) -> dict[str, tuple[str, bool]]:
    return {key: (one.text(key), one.has_caption(key)) for key in one.keys}


def recount(one: Session) -> Counter[str]:
    return Counter(tag for key in one.keys for tag in dict.fromkeys(captions.tags(one.text(key))))


@settings(deadline=None, max_examples=150)
@given(st.lists(caption, min_size=1, max_size=5), st.lists(st.tuples(ops, st.sets(st.integers(0, 5))), min_size=1, max_size=5))
def test_undo_takes_back_and_counts_hold(texts: list[str | None], steps: list[tuple[dict[str, Any], set[int]]]) -> None:
    one = session(*texts)
    states = [texts_of(one)]
    for raw, chosen in steps:
        op, keys = operations.read(raw), [f"{i:04}.png" for i in chosen]
        told = one.preview(op, keys)
        assert texts_of(one) == states[-1], "a look ahead changes nothing"
        change = one.apply(op, keys)
        assert change == told
        assert {edit.file for edit in change.edits} <= {f"{i:04}.txt" for i in chosen}, "only what was asked for"
        assert one.counts() == one.counts(one.keys) == recount(one)
        assert one.unsaved() == sum(one.changed(key) for key in one.keys)
        if change.edits:
            states.append(texts_of(one))
        assert texts_of(one) == states[-1]
    for state in reversed(states[:-1]):
        assert one.undo() is not None
        assert texts_of(one) == state
        assert one.counts() == recount(one)
    assert one.undo() is None
    assert one.unsaved() == 0
    for state in states[1:]:
        assert one.redo() is not None
        assert texts_of(one) == state
    assert one.redo() is None


@settings(deadline=None, max_examples=100)
@given(ops, st.lists(caption.filter(lambda text: text is not None), min_size=1, max_size=3))
def test_a_second_time_changes_no_more(raw: dict[str, Any], texts: list[str]) -> None:
    """But for replacing, which may make anew what it looks for, and adding, which places by what is there."""
    if raw["kind"] in ("replace",):
        return
    one = session(*texts)
    op = operations.read(raw)
    one.apply(op, one.keys)
    if raw["kind"] == "remove" and raw["whole"]:
        return
    assert one.preview(op, one.keys).edits == ()
