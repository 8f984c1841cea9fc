"""Every number of an answer in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib_lora.core.messages import ENGLISH, Message, say
from lib_lora.repeats.problem import BANDS, DIFFERENTIAL, FACE, IDEAL, MAIN, Answer, class_name


@dataclass(frozen=True)
class Line:
    """A class: its pictures, how often each is repeated, how often that shows them per epoch, and why."""

    name: str
    count: int
    repeats: int
    seen: int
    why: Message


def lines(answer: Answer) -> tuple[Line, ...]:
    """A line for every class that has pictures."""
    if not answer.feasible or answer.repeats is None:
        return ()
    counts = answer.problem.counts(answer.group_size or 0)
    chosen = {name: answer.repeats[name] or 0 for name in counts}
    seen = {name: counts[name] * chosen[name] for name in counts}
    return tuple(Line(name, counts[name], chosen[name], seen[name], _why(answer, name, counts[name], seen)) for name in counts)


def sentences(answer: Answer) -> tuple[Message, ...]:
    """The total, the ratio and the largest repeat, each with what it means."""
    return tuple(_sentences(answer)) if answer.feasible else ()


def summary(answer: Answer) -> Message:
    """The answer in one sentence."""
    if not answer.feasible or answer.repeats is None:
        return say("No repeats hold the rules yet.")
    told = [say("{name} {repeats}", name=class_name(name), repeats=value) for name, value in answer.repeats.items() if value]
    return say("Repeats: {told}; {total} per epoch, weighted {weighted}.", told=told, total=answer.total, weighted=answer.weighted_total)


def document(answer: Answer, words: Mapping[str, str] = ENGLISH) -> dict[str, Any]:
    """An answer as plain data, with its sentences in that language."""
    return {
        "feasible": answer.feasible,
        **_numbers(answer),
        "warnings": [one.text.text(words) for one in answer.warnings],
        "advice": [one.text(words) for one in answer.advice],
        "alternative": _numbers(answer.alternative) if answer.alternative else None,
    }


def _numbers(answer: Answer) -> dict[str, Any]:
    return {
        "trimmed": answer.trimmed,
        "group_size": answer.group_size,
        "repeats": dict(answer.repeats) if answer.repeats is not None else None,
        "total": answer.total,
        "weighted_total": answer.weighted_total,
        "ratio": None if answer.ratio is None else float(answer.ratio),
    }


def _why(answer: Answer, name: str, count: int, seen: Mapping[str, int]) -> Message:
    repeats = (answer.repeats or {}).get(name)
    values: dict[str, Any] = {"count": count, "repeats": repeats, "seen": seen[name]}
    if name == MAIN and FACE in seen:
        ratio = f"{seen[MAIN] / seen[FACE]:.2f}"
        return say("{count} × {repeats} = {seen} per epoch: {ratio} times the face close-ups, where about 4 is wanted.", ratio=ratio, **values)
    if name == MAIN:
        return say("{count} × {repeats} = {seen} per epoch: the largest part, for they decide composition and look.", **values)
    if name == FACE:
        quarter = f"{seen[MAIN] / IDEAL:g}"
        return say("{count} × {repeats} = {seen} per epoch; a quarter of the main visuals would be {quarter}.", quarter=quarter, **values)
    if name == DIFFERENTIAL:
        size, main = answer.group_size, (answer.repeats or {}).get(MAIN)
        return say("Each group of {size} counts as one main visual: {main} ÷ {size} = {repeats}, {seen} per epoch.", size=size, main=main, **values)
    if FACE in seen:
        return say("{count} × {repeats} = {seen} per epoch: fewer than the face close-ups ({faces}).", faces=seen[FACE], **values)
    quarter = f"{seen[MAIN] / IDEAL:g}"
    return say("{count} × {repeats} = {seen} per epoch: less than a quarter of the main visuals ({quarter}).", quarter=quarter, **values)


def _sentences(answer: Answer) -> Iterator[Message]:
    problem = answer.problem
    values = {"total": answer.total, "weighted": answer.weighted_total}
    if problem.flip:
        yield say("Together {total} per epoch. With flipped copies each counts 2: {weighted}, and 1000 to 2000 is wanted.", **values)
        yield say("With their flipped copies an epoch shows {n} pictures.", n=2 * (answer.total or 0))
    else:
        yield say("Together {total} per epoch. Without flipped copies each counts 4: {weighted}, and 1000 to 2000 is wanted.", **values)
    largest = answer.largest
    if largest == 1:
        yield say("Nothing needs to be repeated.")
    elif answer.ratio is None:
        yield say("The largest repeat is {largest}: with none above {less} the rules cannot be held.", largest=largest, less=largest - 1)
    else:
        low, high = next(band for band in BANDS if band[0] <= answer.ratio <= band[1])
        yield say(
            "The largest repeat is {largest}: with none above {less} the rules cannot be held at {low} to {high} main visuals for a face close-up.",
            largest=largest,
            less=largest - 1,
            low=f"{float(low):g}",
            high=f"{float(high):g}",
        )
