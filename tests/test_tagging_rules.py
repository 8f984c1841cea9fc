"""Probabilities → captions: each rule in its place, the trigger first and never in the regularisation set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.dataset.captions import tags
from lib_lora.tagging.compose import APPEND, OVERWRITE, PREPEND, SKIP, Composer, Wish
from lib_lora.tagging.labels import Labels
from lib_lora.tagging.rules import Rules, ready, spelled, unique
from lib_lora.tagging.select import Thresholds
from lib_lora.tagging.table import Table, quantised

# name, category, probability
ROW = (
    ("general", "rating", 0.9),
    ("explicit", "rating", 0.1),
    ("long_hair", "general", 0.95),
    ("miku_(gothic)_(vocaloid)", "character", 0.9),
    ("smile", "general", 0.5),
    ("^_^", "general", 0.6),
    ("censored", "general", 0.1),
    ("open_mouth", "general", 0.4),
    ("vocaloid", "copyright", 0.99),
    ("hat_(red)", "general", 0.7),
    ("never", "general", 0.03),
)
LABELS = Labels(tuple(row[0] for row in ROW), tuple(row[1] for row in ROW))
TABLE = Table.of(LABELS).with_rows(["it"], quantised(np.array([row[2] for row in ROW], dtype=np.float32))[None])


def caption(rules: Rules = Rules(), regularisation: bool = False, before: str = "", policy: str = OVERWRITE, **wish: Thresholds) -> str:
    return Composer(TABLE, Wish(rules, policy=policy, **wish)).merged(before, "it", regularisation)


class TestCaption:
    def test_characters_first_then_by_probability(self) -> None:
        assert caption() == "miku (gothic) (vocaloid), long hair, hat (red), ^_^"

    def test_the_regularisation_set_has_its_own_threshold(self) -> None:
        assert caption(regularisation=True) == "miku (gothic) (vocaloid), long hair, hat (red), ^_^, smile, open mouth"

    def test_what_equals_the_threshold_does_not_count(self) -> None:
        assert "smile" not in tags(caption(target=Thresholds(0.5, 0.85)))
        assert "smile" in tags(caption(target=Thresholds(0.4999, 0.85)))

    def test_characters_have_their_own_threshold(self) -> None:
        assert caption(target=Thresholds(0.5, 0.95)) == "long hair, hat (red), ^_^"

    def test_the_trigger_is_first_and_not_in_the_regularisation_set(self) -> None:
        rules = Rules(trigger="sks", first=("solo",), last=("masterpiece",))
        assert caption(rules) == "sks, solo, miku (gothic) (vocaloid), long hair, hat (red), ^_^, masterpiece"
        assert caption(rules, True) == "solo, miku (gothic) (vocaloid), long hair, hat (red), ^_^, smile, open mouth, masterpiece"

    def test_a_trigger_that_is_a_tag_is_written_once(self) -> None:
        assert caption(Rules(trigger="Long Hair")) == "Long Hair, miku (gothic) (vocaloid), hat (red), ^_^"
        assert "long hair" not in tags(caption(Rules(trigger="Long Hair"), True))

    @pytest.mark.parametrize("entry", ["long_hair", "long hair", "Long Hair", "/long_.*/"])
    def test_excluded_however_it_is_spelt(self, entry: str) -> None:
        assert caption(Rules(exclude=(entry,))) == "miku (gothic) (vocaloid), hat (red), ^_^"

    def test_an_expression_fits_the_whole_name(self) -> None:
        assert "long hair" in tags(caption(Rules(exclude=("/long/",))))

    def test_parentheses_in_a_plain_name_are_no_expression(self) -> None:
        assert caption(Rules(exclude=("hat_(red)", "hat \\(red\\)"))) == "miku (gothic) (vocaloid), long hair, ^_^"

    def test_what_is_to_be_kept_needs_no_threshold_but_has_to_be_seen(self) -> None:
        assert tags(caption(Rules(keep=("censored", "never")))) == [*tags(caption()), "censored"]

    def test_what_is_kept_and_excluded_is_excluded(self) -> None:
        assert "censored" not in tags(caption(Rules(keep=("censored",), exclude=("censored",))))

    @pytest.mark.parametrize(
        ("entry", "wanted"),
        [
            ("long_hair -> very long hair", "very long hair"),
            ("long hair→ a, b", "a, b"),
            ("/long_(.*)/ -> \\1", "hair"),
            ("long_hair ->", ""),
        ],
    )
    def test_replaced(self, entry: str, wanted: str) -> None:
        expected = ["miku (gothic) (vocaloid)", *tags(wanted), "hat (red)", "^_^"]
        assert tags(caption(Rules(replace=(entry,)))) == expected

    def test_the_first_replacement_that_fits_holds(self) -> None:
        found = caption(Rules(replace=("long_hair -> a", "/.*hair/ -> b", "/hair/ -> c")))
        assert "a" in tags(found) and "b" not in tags(found)

    def test_exclusion_sees_raw_names_and_not_replacements(self) -> None:
        assert "very long hair" in tags(caption(Rules(exclude=("very long hair",), replace=("long_hair -> very long hair",))))

    def test_characters_are_expanded(self) -> None:
        assert caption(Rules(expand=True)) == "miku (gothic), vocaloid, long hair, hat (red), ^_^"

    def test_underscores_can_stay(self) -> None:
        assert caption(Rules(underscores=True)) == "miku_(gothic)_(vocaloid), long_hair, hat_(red), ^_^"

    def test_the_rating_is_written_when_asked_for(self) -> None:
        assert tags(caption(Rules(rating=True, last=("end",))))[-2:] == ["general", "end"]

    def test_other_categories_are_written_when_asked_for(self) -> None:
        rules = Rules(categories=("character", "copyright", "general"))
        assert tags(caption(rules))[:3] == ["miku (gothic) (vocaloid)", "vocaloid", "long hair"]

    def test_a_tag_that_comes_twice_is_written_once(self) -> None:
        assert caption(Rules(first=("LONG_hair",), last=("long hair",))) == "LONG_hair, miku (gothic) (vocaloid), hat (red), ^_^"

    def test_parentheses_are_not_escaped(self) -> None:
        assert "\\" not in caption(Rules(replace=("hat_(red) -> hat \\(blue\\)",)))

    def test_mcut_finds_the_gap(self) -> None:
        # general: .95 .7 .6 .5 .4 .1 .03 → widest between .4 and .1
        found = caption(target=Thresholds(mcut=True))
        assert tags(found) == ["long hair", "hat (red)", "^_^", "smile", "open mouth"]

    @pytest.mark.parametrize(
        ("rules", "why"),
        [
            (Rules(exclude=("/(/",)), "no regular expression"),
            (Rules(keep=("/[/",)), "no regular expression"),
            (Rules(replace=("/(/ -> x",)), "no regular expression"),
            (Rules(replace=("a b",)), "has no arrow"),
            (Rules(replace=("/hair/ -> \\9",)), "no regular expression"),
        ],
    )
    def test_what_cannot_be_understood_is_said(self, rules: Rules, why: str) -> None:
        with pytest.raises(ConfigError, match=why):
            caption(rules)

    def test_an_expression_that_never_ends_is_ended(self) -> None:
        labels = Labels(("a" * 40,), ("general",))
        with pytest.raises(ConfigError, match="longer than"):
            ready(Rules(exclude=("/(a+)+b/",)), labels)


class TestPolicy:
    @pytest.mark.parametrize("policy", [SKIP, OVERWRITE, PREPEND, APPEND])
    def test_where_nothing_is_likely_what_stands_there_stays(self, policy: str) -> None:
        nothing = {"target": Thresholds(1.0, 1.0)}
        assert caption(before="mine", policy=policy, **nothing) == "mine"
        assert caption(policy=policy, **nothing) == ""

    RULES = Rules(trigger="sks")
    NEW = "sks, miku (gothic) (vocaloid), long hair, hat (red), ^_^"

    def test_skip_leaves_what_is_there(self) -> None:
        assert caption(self.RULES, before="mine", policy=SKIP) == "mine"
        assert caption(self.RULES, before=" , ", policy=SKIP) == self.NEW

    def test_overwrite(self) -> None:
        assert caption(self.RULES, before="mine", policy=OVERWRITE) == self.NEW

    def test_prepend_puts_the_new_tags_before_the_old_ones(self) -> None:
        assert caption(self.RULES, before="mine, Long Hair", policy=PREPEND) == f"{self.NEW}, mine"

    def test_append_puts_them_behind_with_the_trigger_still_first(self) -> None:
        found = caption(self.RULES, before="mine, Long Hair, SKS", policy=APPEND)
        assert found == "sks, mine, Long Hair, miku (gothic) (vocaloid), hat (red), ^_^"

    @pytest.mark.parametrize("policy", [PREPEND, APPEND, OVERWRITE])
    def test_the_trigger_leaves_the_regularisation_set(self, policy: str) -> None:
        assert "sks" not in tags(caption(self.RULES, True, "SKS, mine", policy))


LETTERS = st.characters(codec="utf-8", exclude_characters=",\r\n\\", exclude_categories=("Cs", "Cc", "Zl", "Zp"))
words = st.text(LETTERS, min_size=1, max_size=12).filter(str.strip)


@settings(deadline=None)
@given(
    trigger=words,
    old=st.lists(words, max_size=5),
    policy=st.sampled_from([OVERWRITE, PREPEND, APPEND]),
    first=st.lists(words, max_size=2),
    regularisation=st.booleans(),
)
def test_whatever_is_there_the_trigger_is_first_once_or_nowhere(trigger: str, old: list[str], policy: str, first: list[str], regularisation: bool) -> None:
    rules = Rules(trigger=trigger, first=tuple(first))
    found = tags(caption(rules, regularisation, ", ".join(old), policy))
    places = [at for at, tag in enumerate(found) if spelled(tag) == spelled(trigger)]
    assert places == ([] if regularisation else [0])
    assert found == unique(found)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["general", "character"])), min_size=1, max_size=12), st.floats(0.06, 1), st.floats(0.06, 1))
def test_a_tag_is_written_where_its_probability_is_above_its_threshold(rows: list[tuple[float, str]], general: float, character: float) -> None:
    labels = Labels(tuple(f"tag{n}" for n in range(len(rows))), tuple(category for _, category in rows))
    table = Table.of(labels).with_rows(["it"], quantised(np.array([value for value, _ in rows], dtype=np.float32))[None])
    found = tags(Composer(table, Wish(target=Thresholds(general, character))).caption("it"))
    for at, (value, category) in enumerate(rows):
        limit = character if category == "character" else general
        if abs(value - limit) > 1 / 32768:
            assert (f"tag{at}" in found) == (value > limit)


def test_counts_are_those_of_the_captions() -> None:
    composer = Composer(TABLE, Wish(Rules(replace=("long_hair -> a, b",), exclude=("^_^",))))
    assert composer.counts(["it", "it"], False) == {"a": 2, "b": 2, "hat (red)": 2, "miku (gothic) (vocaloid)": 2}


def test_rules_are_compared_by_what_they_say() -> None:
    assert ready(Rules(exclude=("a",)), LABELS) is ready(replace(Rules(), exclude=("a",)), LABELS)
