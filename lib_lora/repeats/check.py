"""check(problem, repeats): which rules hold for repeats somebody wrote, and what happens where one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.repeats.problem import BANDS, DIFFERENTIAL, FACE, HIGH, IDEAL, LOW, MAIN, Problem, class_name
from lib_lora.repeats.warn import too_few, too_often

LARGEST = 1000


@dataclass(frozen=True)
class Rule:
    """A rule with its verdict. `name`: total, ratio, other, differential, colour, largest or count; `about` is the class it is about.

    `level` is "good" where it holds, "amber" where it holds widely or is only advised, "red" where it is broken.
    """

    name: str
    about: str
    level: Literal["good", "amber", "red"]
    text: Message

    @property
    def held(self) -> bool:
        """Whether it holds."""
        return self.level != "red"


@dataclass(frozen=True)
class Checked:
    """All rules and what the repeats come to."""

    rules: tuple[Rule, ...]
    total: int
    weighted_total: int
    ratio: Fraction | None

    @property
    def holds(self) -> bool:
        """Whether every rule of the search holds; advice on large repeats and few pictures is none."""
        return all(rule.held for rule in self.rules if rule.name not in ("largest", "count"))


def check(problem: Problem, repeats: Mapping[str, int | None], group_size: int | None = None) -> Checked:
    """The rules for these repeats. `group_size` is what groups are brought to, without it as large as the largest is.

    ConfigError where a class with pictures has no whole number of repeats from 1.
    """
    size = group_size or problem.group_size
    counts = problem.counts(size)
    given = _given(counts, repeats)
    seen = {name: counts[name] * given[name] for name in counts}
    total = sum(seen.values())
    ratio = Fraction(seen.get(MAIN, 0), seen[FACE]) if FACE in seen else None
    rules = [*_total(problem, total), *_ratio(ratio), *_others(problem, seen), *_differential(problem, given, size), *_colour(problem, seen)]
    rules += [Rule("largest", "", one.level, one.text) for one in too_often(max(given.values(), default=0), problem)]
    rules += [Rule("count", "", one.level, one.text) for one in too_few(problem)]
    return Checked(tuple(rules), total, total * problem.factor, ratio)


def _given(counts: Mapping[str, int], repeats: Mapping[str, int | None]) -> dict[str, int]:
    given = {name: repeats.get(name) for name in counts}
    wrong = [
        say("{name}: repeats are a whole number from 1 to {most}, not {value}", name=name, value=repr(value), most=LARGEST)
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST
    ]
    if wrong:
        raise ConfigError(*wrong)
    return {name: value for name, value in given.items() if value is not None}


def _total(problem: Problem, total: int) -> Iterator[Rule]:
    values = {"total": total, "weighted": total * problem.factor, "factor": problem.factor}
    if total * problem.factor < LOW:
        told = say("The weighted total is {total} × {factor} = {weighted}, below 1000: it will fit poorly. Raise repeats or add pictures.", **values)
    elif total * problem.factor > HIGH:
        told = say("The weighted total is {total} × {factor} = {weighted}, above 2000: it may overfit. Lower repeats.", **values)
    else:
        told = say("The weighted total is {total} × {factor} = {weighted}, within 1000 to 2000.", **values)
    yield Rule("total", "", "good" if LOW <= total * problem.factor <= HIGH else "red", told)


def _ratio(ratio: Fraction | None) -> Iterator[Rule]:
    if ratio is None:
        return
    values = {"ratio": f"{float(ratio):.2f}"}
    level: Literal["good", "amber", "red"] = "red"
    if ratio < BANDS[1][0]:
        told = say("Main visuals to face close-ups are {ratio} : 1, below 3: faces will fill the pictures. Raise main or lower face.", **values)
    elif ratio > BANDS[1][1]:
        told = say("Main visuals to face close-ups are {ratio} : 1, above 5: faces will be less alike. Raise face or lower main.", **values)
    elif BANDS[0][0] <= ratio <= BANDS[0][1]:
        level, told = "good", say("Main visuals to face close-ups are {ratio} : 1, near the wanted 4 : 1.", **values)
    else:
        level, told = "amber", say("Main visuals to face close-ups are {ratio} : 1, within 3 to 5 but outside of 3.5 to 4.5.", **values)
    yield Rule("ratio", FACE, level, told)


def _others(problem: Problem, seen: Mapping[str, int]) -> Iterator[Rule]:
    for name in problem.filled:
        values = {"name": class_name(name), "n": seen[name]}
        if FACE in seen:
            held = seen[name] < seen[FACE]
            values["faces"] = seen[FACE]
            good = say("{name}: {n} per epoch, fewer than the face close-ups ({faces}).", **values)
            bad = say("{name}: {n} per epoch, not fewer than the face close-ups ({faces}): it pushes the faces back. Lower its repeats.", **values)
        else:
            held = IDEAL * seen[name] < seen.get(MAIN, 0)
            values["main"] = seen.get(MAIN, 0)
            good = say("{name}: {n} per epoch, less than a quarter of the main visuals ({main}).", **values)
            bad = say("{name}: {n} per epoch, not less than a quarter of the main visuals ({main}): it pushes them back. Lower its repeats.", **values)
        yield Rule("other", name, "good" if held else "red", good if held else bad)


def _differential(problem: Problem, given: Mapping[str, int], size: int) -> Iterator[Rule]:
    if not problem.groups:
        return
    values = {"r": given[DIFFERENTIAL], "size": size, "main": given.get(MAIN, 0)}
    held = values["r"] * size == values["main"]
    if held:
        told = say("Differential images: {r} × {size} pictures = {main}, so that a group counts as one main visual.", **values)
    else:
        told = _usable(values["main"], size, values["r"])
    yield Rule("differential", DIFFERENTIAL, "good" if held else "red", told)


def _usable(main: int, size: int, r: int) -> Message:
    """What can be typed instead: repeats are whole numbers."""
    values = {"r": r, "size": size, "main": main}
    if main and main % size == 0:
        values["use"] = main // size
        return say("Differential images: {r} × {size} pictures is not {main}: a group does not count as one main visual. Use {use}.", **values)
    values["use"] = max(1, (2 * main + size) // (2 * size))
    values["near"] = values["use"] * size
    return say(
        "Differential images: {r} × {size} pictures is not {main}: a group does not count as one main visual. "
        "No whole number makes it {main}: use {use} here and {near} for the main visuals.",
        **values,
    )


def _colour(problem: Problem, seen: Mapping[str, int]) -> Iterator[Rule]:
    grey = sum(n for name, n in seen.items() if name in problem.mono)
    if not grey:
        return
    bright = sum(seen.values()) - grey
    values = {"grey": grey, "bright": bright}
    if grey <= bright:
        told = say("Black and white: {grey} per epoch, not more than in colour ({bright}).", **values)
    else:
        told = say("Black and white: {grey} per epoch, more than in colour ({bright}): colour is lost. Lower those repeats, then leave some out.", **values)
    yield Rule("colour", "", "good" if grey <= bright else "red", told)
