"""The lint of one picture: each fault is found, once, and a good caption has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_lora.core.messages import say
from lib_lora.pictures.contradictions import ALWAYS, OF_ONE, contradictions
from lib_lora.pictures.lint import findings, of_caption
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.spelling import FACES, comparable, is_underscored, plain, plain_caption

GOOD = "ohwx, 1girl, solo, long hair, ^_^, score_9, smile (nice), outdoors, day"


def words(text: str) -> int:
    """A token a word and a comma: a count whose truth can be read."""
    return len(text.replace(",", " ,").split())


def picture(text: str | None, folder: str = "set", **more: object) -> Picture:
    path = Path("/root") / folder / "a.png"
    return Picture(f"{folder}/a.png", path, (512, 512), folder, text, (1, 1), **more)  # type: ignore[arg-type]


def kinds(text: str | None, trigger: str = "", folder: str = "set", **more: object) -> list[tuple[str, str, str]]:
    return [(one.kind, one.severity, one.fix) for one in findings(picture(text, folder, **more), trigger, words)]


@pytest.mark.parametrize("text", [GOOD, GOOD + "\n", GOOD + "\r\n\n", "a photo of a cat, sitting on a chair", "ohwx man standing in the rain"])
def test_a_good_caption_has_nothing(text: str) -> None:
    assert kinds(text) == []
    if text.startswith("ohwx"):
        assert kinds(text, "ohwx") == [], "the caption begins with it"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ("no_caption", "error", "")),
        ("", ("empty_caption", "error", "")),
        (" \n\r\n", ("empty_caption", "error", "")),
        ("\ncat, tail", ("first_line", "error", "first_line")),
        ("cat\ntail", ("lines", "warning", "join")),
        ("saber \\(fate\\), smile", ("escaped", "warning", "normalise")),
        ("long_hair, smile", ("underscores", "warning", "normalise")),
        ("猫，smile", ("commas", "warning", "normalise")),
        ("cat, tail, Cat", ("duplicates", "warning", "dedupe")),
        ("1girl, solo, long hair, short hair", ("contradiction", "warning", "")),
        ("cat, day, night", ("contradiction", "warning", "")),
        ("cat, <lora:cat:0.8>", ("syntax", "warning", "")),
        ("cat, (tail:1.2)", ("syntax", "warning", "")),
        (", ".join(f"tag {n}" for n in range(26)), ("long", "hint", "")),
        (", ".join(f"tag {n}" for n in range(76)), ("too_long", "warning", "")),
    ],
)
def test_each_fault_is_found_once_and_alone(text: str | None, found: tuple[str, str, str]) -> None:
    assert kinds(text) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cat, tail", "trigger_missing"),
        ("ohwxy, tail", "trigger_missing"),
        ("cat, OHWX", "trigger_late"),
        (", ".join([*(f"t{n}" for n in range(37)), "ohwx"]), "trigger_late"),
        (", ".join([*(f"t{n}" for n in range(38)), "ohwx"]), "trigger_cut"),
    ],
)
def test_the_trigger_stands_first(text: str, found: str) -> None:
    assert [one for one in kinds(text, "ohwx") if one[0].startswith("trigger")] == [(found, "warning", "trigger")]


def test_a_caption_of_the_trigger_alone_is_told() -> None:
    assert kinds("ohwx", "ohwx") == kinds("ohwx, pillarboxed", "ohwx") == [("trigger_only", "warning", "")]
    assert kinds("ohwx, smile", "ohwx") == kinds("ohwx") == []


def test_a_trigger_of_two_tags_and_with_underscores_is_taken_as_it_is() -> None:
    assert kinds("uiharu_kazari, 1girl", "uiharu_kazari") == []
    assert kinds("ohwx, cat girl, smile", "ohwx, cat girl") == []
    assert kinds("cat girl, ohwx", "ohwx, cat girl") == [("trigger_late", "warning", "trigger")]


def test_the_token_limits_are_exact() -> None:
    def of(n: int) -> list[str]:
        return [one.kind for one in of_caption(" ".join(["w"] * n), "", words)]

    assert (of(75), of(76), of(225), of(226)) == ([], ["long"], ["long"], ["too_long"])
    assert of_caption(" ".join(["w"] * 500)) == (), "without a tokenizer nothing is said of lengths"


def test_what_cannot_be_read_is_said_and_nothing_else() -> None:
    assert kinds("a_b", flaw=say("the file is empty")) == [("unreadable", "error", "")]
    assert kinds(None, text_flaw=say("this is not UTF-8"), animated=True) == [("animated", "warning", ""), ("text_unreadable", "error", "utf8")]


def test_a_folder_with_a_concept_speaks_for_its_pictures() -> None:
    assert kinds(None, folder="5_tabby") == [("no_caption", "warning", "")]
    assert kinds(None, folder="5_") == [("no_caption", "error", "")]
    assert kinds("", folder="5_tabby") == [("empty_caption", "error", "")]


@pytest.mark.parametrize(
    "tags", ["2girls, multiple girls, long hair, short hair", "1girl, 1boy, closed eyes, open eyes", "solo, multiple views, standing, sitting"]
)
def test_several_people_may_have_what_one_cannot(tags: str) -> None:
    assert contradictions(tags.split(", ")) == ()


@pytest.mark.parametrize(
    ("tags", "pair"), [("Long_Hair, short hair", ("short hair", "Long_Hair")), ("2girls, solo", ("solo", "2girls")), ("night, day", ("day", "night"))]
)
def test_contradictions_are_named_as_they_are_spelt(tags: str, pair: tuple[str, str]) -> None:
    assert contradictions(tags.split(", ")) == (pair,)


def test_the_table_is_written_as_tags_are_compared() -> None:
    assert all(comparable(tag) == tag for row in ALWAYS + OF_ONE for tag in row)


def test_faces_and_words_of_models_keep_their_underscores() -> None:
    assert not [tag for tag in (*FACES, "score_9", "score_8_up", "rating_safe", "source_anime") if is_underscored(tag) or plain(tag) != tag]
    assert plain("saber_\\(fate\\)") == "saber (fate)"
    assert plain_caption("uiharu_kazari, long_hair，smile、 , ^_^", frozenset(["uiharu_kazari"])) == "uiharu_kazari, long hair, smile, ^_^"


@given(st.lists(st.text("ab_\\() ^,，", max_size=8), max_size=8))
def test_what_was_made_plain_is_plain(tags: list[str]) -> None:
    caption = plain_caption(", ".join(tags))
    assert plain_caption(caption) == caption
    assert not {one.kind for one in of_caption(caption)} & {"escaped", "underscores", "commas"}
