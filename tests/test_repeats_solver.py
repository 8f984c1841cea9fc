"""The repeat calculator: the worked examples, an independent brute force, and the rules as properties of every answer."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import words
from lib_lora.repeats import Answer, Problem, check, solve
from lib_lora.repeats.advice import infeasible
from lib_lora.repeats.explain import document, lines, sentences, summary

# pictures → (repeats, total, ratio)
WORKED = {
    "1": (Problem(60, 20, {"full": 10}), {"main": 6, "face": 5, "full": 4}, 500, 3.6),
    "2": (Problem(60, 20, {"full": 10}, flip=False), {"main": 3, "face": 2, "full": 3}, 250, 4.5),
    "5": (Problem(40, 10, {"full": 30}), {"main": 9, "face": 9, "full": 2}, 510, 4.0),
    "6": (Problem(100, 25, {"full": 15, "bw": 10}, mono=frozenset({"bw"})), {"main": 4, "face": 4, "full": 1, "bw": 1}, 525, 4.0),
    "7": (Problem(10, 10), {"main": 39, "face": 11}, 500, 390 / 110),
    "10": (Problem(30, 0, {"full": 10}), {"main": 14, "face": None, "full": 8}, 500, None),
}


@pytest.mark.parametrize("name", WORKED)
def test_worked_examples(name: str) -> None:
    problem, repeats, total, ratio = WORKED[name]
    found = document(solve(problem))
    assert found["feasible"] is True
    assert found["repeats"] == {**repeats, "differential": None}
    assert (found["total"], found["weighted_total"]) == (total, total * (2 if problem.flip else 4))
    assert found["ratio"] == (pytest.approx(ratio) if ratio else None)
    assert (found["trimmed"], found["group_size"]) == (False, None)


def test_the_other_reading_keeps_others_at_one() -> None:
    found = document(solve(WORKED["1"][0]))["alternative"]
    assert found["repeats"] == {"main": 7, "face": 5, "full": 1, "differential": None}
    assert (found["total"], found["weighted_total"], found["ratio"]) == (530, 1060, 4.2)
    assert document(solve(Problem(60, 20)))["alternative"] is None


def test_levels_of_the_worked_examples() -> None:
    assert [one.level for one in solve(WORKED["7"][0]).warnings] == ["red", "amber"]
    assert "Too few pictures" in str(solve(WORKED["7"][0]).warnings[0].text)
    assert [one.level for one in solve(WORKED["10"][0]).warnings] == ["amber"]
    assert [solve(WORKED[name][0]).warnings for name in ("1", "2", "5", "6")] == [()] * 4


# ---- the rules, written a second time


def rules(problem: Problem, repeats: Mapping[str, int | None], size: int) -> dict[str, bool]:
    """Each rule by name: does it hold? `size` is what groups are brought to."""
    k = 2 if problem.flip else 4
    main, face = problem.main * (repeats["main"] or 0), problem.face * (repeats["face"] or 0)
    others = {name: count * (repeats[name] or 0) for name, count in problem.others.items()}
    differential = len(problem.groups) * size * (repeats["differential"] or 0)
    total = main + face + sum(others.values()) + differential
    seen = {"main": main, "face": face, "differential": differential, **others}
    grey = sum(seen[name] for name in problem.mono)
    ceiling = Fraction(face) if face else Fraction(main, 4)
    return {
        "total": 1000 <= k * total <= 2000,
        "ratio": not face or 3 * face <= main <= 5 * face,
        "other": all(count < ceiling for count in others.values() if count),
        "differential": not problem.groups or (repeats["differential"] or 0) * size == repeats["main"],
        "colour": 2 * grey <= total or not grey,
        "total is told": True,
    }


def objective(problem: Problem, answer: Answer) -> tuple[Any, ...]:
    """What is minimised, as numbers to compare."""
    assert answer.repeats is not None
    chosen = [value for name, value in answer.repeats.items() if value and name != "differential"]
    ratio = None if answer.ratio is None else float(answer.ratio)
    band = ratio is not None and not 3.5 <= ratio <= 4.5
    distance = 0.0 if ratio is None else max(ratio / 4, 4 / ratio)
    return (answer.trimmed, band, max(chosen), round(distance, 9), answer.total, sum(chosen), tuple(chosen))


def brute(problem: Problem, most: int) -> tuple[Any, ...] | None:
    """The best objective over all repeats up to `most`, by trying every one."""
    names = [name for name, count in {"main": problem.main, "face": problem.face, **problem.others}.items() if count]
    counts = {"main": problem.main, "face": problem.face, **problem.others}
    if not problem.main:
        return None
    grid = np.meshgrid(*[np.arange(1, most + 1)] * len(names), indexing="ij")
    r = {name: one.ravel() for name, one in zip(names, grid, strict=True)}
    seen = {name: counts[name] * r[name] for name in names}
    largest, summed = np.max([*r.values()], axis=0), np.sum([*r.values()], axis=0)
    low, high = (500, 1000) if problem.flip else (250, 500)
    tries = []
    size = max(problem.groups, default=0)
    for trimmed, g in [(False, size), *((True, n) for n in range(size - 1, 0, -1))]:
        differential = len(problem.groups) * r["main"]  # g · r / g of every group
        total = np.sum([*seen.values()], axis=0) + differential
        grey = np.sum([seen[name] for name in names if name in problem.mono] or [np.zeros_like(total)], axis=0)
        grey = grey + (differential if "differential" in problem.mono else 0)
        good = (low <= total) & (total <= high) & (2 * grey <= total)
        if g:
            good &= r["main"] % g == 0
        if "face" in r:
            good &= (seen["main"] >= 3 * seen["face"]) & (seen["main"] <= 5 * seen["face"])
            outside = (2 * seen["main"] < 7 * seen["face"]) | (2 * seen["main"] > 9 * seen["face"])
            ratio = seen["main"] / (4 * seen["face"])
            distance = np.maximum(ratio, 1 / ratio)
        else:
            outside, distance = np.zeros_like(total, dtype=bool), np.zeros(total.shape)
        for name in names[1:] if "face" not in r else names[2:]:
            good &= seen[name] < seen["face"] if "face" in r else 4 * seen[name] < seen["main"]
        for key in (outside, largest, distance, total, summed):  # keeps the least of each, in this order
            if not good.any():
                break
            good &= key <= key[good].min() + 1e-9
        if good.any():
            at = min(zip(*(r[name][good].tolist() for name in names), strict=True))
            first = int(np.flatnonzero(good)[0])
            tries.append((trimmed, bool(outside[first]), int(largest[first]), round(float(distance[first]), 9), int(total[first]), sum(at), at, -g))
    return min(tries, default=None)


GROUPS = st.lists(st.integers(1, 6), max_size=3).map(tuple)
THREE = st.builds(
    Problem,
    main=st.integers(0, 120),
    face=st.integers(0, 60),
    others=st.builds(lambda full: {"full": full}, st.integers(0, 60)),
    groups=GROUPS,
    flip=st.booleans(),
    mono=st.frozensets(st.sampled_from(["main", "face", "full", "differential"]), max_size=2),
)


@given(THREE)
@settings(max_examples=60, deadline=None)
def test_agrees_with_brute_force_on_three_classes(problem: Problem) -> None:
    answer, best = solve(problem), brute(problem, 100)
    assert answer.feasible == (best is not None)
    if best is not None:
        assert objective(problem, answer) == best[:-1]
        assert answer.group_size == (-best[-1] or None)


FOUR = st.builds(
    Problem,
    main=st.integers(1, 90),
    face=st.integers(1, 30),
    others=st.builds(lambda full, bw: {"full": full, "bw": bw}, st.integers(1, 40), st.integers(1, 40)),
    groups=GROUPS,
    flip=st.booleans(),
    mono=st.sampled_from([frozenset(), frozenset({"bw"}), frozenset({"full", "bw"}), frozenset({"main"})]),
)


@given(FOUR)
@settings(max_examples=30, deadline=None)
def test_agrees_with_brute_force_on_four_classes(problem: Problem) -> None:
    """Up to 24: whatever is found below is the best there is, for the largest repeat is minimised before all that differs above."""
    answer, best = solve(problem), brute(problem, 24)
    if best is None:
        assert not answer.feasible or answer.largest > 24
    elif answer.largest <= 24:
        assert objective(problem, answer) == best[:-1]
    else:
        # Beyond the brute force's reach only what is preferred before the largest repeat: groups untouched, the narrow band.
        assert (answer.trimmed, objective(problem, answer)[1]) < best[:2]


MANY = st.builds(
    Problem,
    main=st.integers(0, 1200),
    face=st.integers(0, 300),
    others=st.dictionaries(st.sampled_from([f"class {n}" for n in range(12)]), st.integers(0, 80), max_size=8),
    groups=st.lists(st.integers(1, 12), max_size=6).map(tuple),
    flip=st.booleans(),
).flatmap(
    lambda problem: st.frozensets(st.sampled_from(["main", "face", *problem.others]), max_size=4).map(
        lambda mono: Problem(problem.main, problem.face, problem.others, problem.groups, problem.flip, mono)
    )
)


@given(MANY)
@settings(max_examples=150, deadline=None)
def test_every_answer_holds_the_rules(problem: Problem) -> None:
    answer = solve(problem)
    found = document(answer)
    if not answer.feasible:
        assert found["repeats"] is None
        assert found["advice"]
        return
    for one in [answer, *([answer.alternative] if answer.alternative else [])]:
        assert one.repeats is not None
        assert all(rules(problem, one.repeats, one.group_size or 0).values())
        counts = {"main": problem.main, "face": problem.face, **problem.others, "differential": len(problem.groups)}
        assert set(one.repeats) == set(counts)
        assert all(isinstance(one.repeats[name], int) and 1 <= one.repeats[name] <= 100 for name, count in counts.items() if count)
        assert all(one.repeats[name] is None for name, count in counts.items() if not count)
        assert (one.group_size is None) == (not problem.groups)
        assert one.trimmed == (one.group_size is not None and one.group_size < max(problem.groups))
        assert check(problem, one.repeats, one.group_size).holds
    assert found["total"] == sum(line.seen for line in lines(answer))
    assert found["weighted_total"] == found["total"] * (2 if problem.flip else 4)
    if answer.alternative:
        others = [name for name, count in problem.others.items() if count]
        assert all((answer.alternative.repeats or {})[name] == 1 for name in others)


@given(THREE, st.tuples(*[st.integers(1, 40)] * 4))
@settings(max_examples=150, deadline=None)
def test_repeats_by_hand_are_judged_by_the_same_rules(problem: Problem, by_hand: tuple[int, int, int, int]) -> None:
    repeats = dict(zip(("main", "face", "full", "differential"), by_hand, strict=True))
    size = max(problem.groups, default=0)
    if not problem.main:
        return
    judged = check(problem, repeats)
    expected = rules(problem, {**repeats, "face": repeats["face"] if problem.face else None}, size)
    told = {name: all(rule.held for rule in judged.rules if rule.name == name) for name in ("total", "ratio", "other", "differential", "colour")}
    assert told == {name: expected[name] for name in told}
    assert judged.holds == all(expected.values())


# ---- trimming, black and white, what to do


def test_groups_bind_the_repeats_of_main() -> None:
    answer = solve(Problem(60, 20, {"full": 10}, groups=(2, 4)))
    assert answer.repeats == {"main": 8, "face": 6, "full": 1, "differential": 2}
    assert (answer.trimmed, answer.group_size, answer.total) == (False, 4, 480 + 120 + 10 + 2 * 4 * 2)
    assert "until it has 4" in str(answer.advice[0])


def test_groups_are_trimmed_only_when_nothing_else_works() -> None:
    # Main visuals at 4 alone would be 1,200 of at most 1,000.
    answer = solve(Problem(300, 70, {"full": 10}, groups=(2, 4)))
    assert (answer.trimmed, answer.group_size) == (True, 2)
    assert answer.repeats == {"main": 2, "face": 2, "full": 1, "differential": 1}
    assert any("trimmed to 2" in str(one.text) for one in answer.warnings)


def test_the_largest_group_size_that_fits_is_kept() -> None:
    # Only multiples of 7 fit untrimmed; 6 repeats of main want groups of 6.
    answer = solve(Problem(150, 36, groups=(7, 3)))
    assert answer.trimmed
    assert answer.repeats is not None
    assert answer.repeats["main"] % answer.group_size == 0
    assert all(answer.repeats["main"] % n for n in range(answer.group_size + 1, 7))


def test_black_and_white_does_not_outnumber_colour() -> None:
    """Main visuals without colour are most of an epoch; other classes with it are raised until they are as many."""
    others = {"a": 17, "b": 8, "c": 32}
    free, bound = solve(Problem(54, 9, others)), solve(Problem(54, 9, others, mono=frozenset({"main"})))
    assert free.repeats is not None
    assert bound.repeats is not None
    assert 2 * 54 * free.repeats["main"] > (free.total or 0)
    assert 2 * 54 * bound.repeats["main"] <= (bound.total or 0)


def test_main_visuals_without_colour_want_colour_or_no_rule() -> None:
    found = document(solve(Problem(60, 20, {"full": 10}, mono=frozenset({"main"}))))
    assert (found["feasible"], found["repeats"]) == (False, None)
    assert "would be seen more often than those with colour" in found["advice"][0]


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (Problem(0, 20), ["no main visuals"]),
        (Problem(1500, 20), ["Too many pictures", "at least 520 pictures", "every repeat at 1"]),
        (Problem(500, 125, flip=False), ["Too many pictures", "Make flipped copies", "1000 fit instead of 500"]),
        (Problem(5, 300), ["too many face close-ups (300)", "at most 142"]),
        (Problem(2, 1), ["Too few pictures", "About 50 pictures"]),
        (Problem(1, 1, flip=False), ["Too few pictures", "About 25 pictures"]),
        (Problem(60, 20, {"full": 200}), ["full body has too many pictures (200)", "at most 160"]),
    ],
)
def test_what_cannot_be_solved_says_what_to_change(problem: Problem, told: list[str]) -> None:
    answer = solve(problem)
    assert not answer.feasible
    text = " ".join(map(str, answer.advice))
    assert all(part in text for part in told), text


@given(st.builds(Problem, main=st.integers(1, 60), face=st.integers(1, 400), others=st.just({"full": 30}), flip=st.booleans()))
@settings(max_examples=40, deadline=None)
def test_numbers_that_are_advised_work(problem: Problem) -> None:
    if solve(problem).feasible:
        return
    for told in infeasible(problem):
        if "use at most {most}" in told.template:
            assert solve(Problem(problem.main, told.params["most"], problem.others, flip=problem.flip)).feasible
        if "use at most {n} of them" in told.template:
            assert solve(Problem(problem.main, problem.face, {"full": told.params["n"]}, flip=problem.flip)).feasible


def test_many_classes_are_a_knapsack_and_not_a_product() -> None:
    """A hundred classes have more repeats than could be tried one by one."""
    others = {f"class {n}": 1 + n % 4 for n in range(100)}
    problem = Problem(30, 8, others, mono=frozenset(list(others)[:50]))
    answer = solve(problem)
    assert answer.feasible
    assert all(rules(problem, answer.repeats or {}, 0).values())


# ---- words


@pytest.mark.parametrize(
    "raw",
    [
        {"main": -1},
        {"main": True},
        {"main": 10, "others": {"face": 3}},
        {"main": 10, "others": {" ": 3}},
        {"main": 10, "groups": (0,)},
        {"main": 10, "mono": frozenset({"nobody"})},
    ],
)
def test_bad_problems_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Problem(**raw)


@pytest.mark.parametrize("value", [0, -1, None, 1.5, True, 1001])
def test_overrides_are_whole_numbers(value: Any) -> None:
    with pytest.raises(ConfigError, match="main"):
        check(Problem(60, 20), {"main": value, "face": 5})


def test_every_number_has_its_sentence() -> None:
    answer = solve(Problem(60, 20, {"full": 10}))
    told = {line.name: str(line.why) for line in lines(answer)}
    assert set(told) == {"main", "face", "full"}
    assert told["main"].startswith("60 × 6 = 360 per epoch: 3.60 times")
    assert told["face"].endswith("a quarter of the main visuals would be 90.")
    assert any("none above 5" in str(one) for one in sentences(answer))
    assert str(summary(answer)) == "Repeats: main visuals 6, face close-ups 5, full body 4; 500 per epoch, weighted 1000."


def test_sentences_read_chinese() -> None:
    found = document(solve(Problem(10, 10, {"full": 2}, groups=(2, 3))), words("zh_CN"))
    assert found["warnings"]
    for text in found["warnings"] + found["advice"]:
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text)


def test_overrides_name_what_breaks() -> None:
    judged = check(Problem(60, 20, {"full": 10}, groups=(4,), mono=frozenset({"main"})), {"main": 9, "face": 2, "full": 9, "differential": 2})
    red = {rule.name: str(rule.text) for rule in judged.rules if rule.level == "red"}
    assert set(red) == {"ratio", "other", "differential", "colour"}
    assert "13.50 : 1, above 5" in red["ratio"]
    assert "use 2 here and 8 for the main visuals" in red["differential"]
    assert judged.total == 540 + 40 + 90 + 8
    assert not judged.holds


@pytest.mark.parametrize(("main", "size", "use", "near"), [(6, 4, 2, 8), (9, 4, 2, 8), (1, 3, 1, 3), (7, 2, 4, 8)])
def test_what_is_advised_for_groups_can_be_typed_and_holds(main: int, size: int, use: int, near: int) -> None:
    problem = Problem(20, 0, {}, (size,), flip=True)

    def rule(**repeats: int) -> Any:
        return next(one for one in check(problem, repeats).rules if one.name == "differential")

    told = rule(main=main, differential=size * main + 1)
    assert told.level == "red"
    assert f"use {use} here and {near} for the main visuals" in told.text.text()
    assert rule(main=near, differential=use).level == "good"
    assert rule(main=size * 3, differential=1).text.text().endswith("Use 3.") and rule(main=size * 3, differential=3).level == "good"
