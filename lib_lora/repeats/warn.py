"""What is outside of what the guides advise, in an answer that holds the rules."""

from __future__ import annotations

from collections.abc import Iterator

from lib_lora.core.messages import count, say
from lib_lora.repeats.problem import BANDS, Answer, Problem, Warned

USUAL, MANY_TIMES = 10, 30  # the guides' largest repeats for drawn pictures and for photographs
CHARACTER, STYLE = 20, 40  # pictures the guides want for each


def warn(answer: Answer) -> tuple[Warned, ...]:
    """The warnings of an answer, the worst first."""
    found = [*_trimmed(answer), *_ratio(answer), *too_few(answer.problem), *too_often(answer.largest, answer.problem)]
    return tuple(sorted(found, key=lambda one: one.level != "red"))


def too_often(largest: int, problem: Problem) -> Iterator[Warned]:
    """A repeat that shows the same pictures too often."""
    need = -(-problem.low // USUAL)
    if largest > MANY_TIMES:
        told = say(
            "Too few pictures: a repeat of {largest} makes them learnt by heart. About {need} pictures are needed for repeats of 10 or less: crop more.",
            largest=largest,
            need=need,
        )
        yield Warned("red", told)
    elif largest > USUAL:
        told = say(
            "The largest repeat is {largest}; guides advise 5 to 10 for drawn pictures, 10 to 30 for photographs. More pictures or crops bring it down.",
            largest=largest,
        )
        yield Warned("amber", told)


def too_few(problem: Problem) -> Iterator[Warned]:
    """Fewer originals than the guides want."""
    images = problem.images
    if images < CHARACTER:
        told = count(
            images,
            "1 picture is little: about 20 are advised for a character, 40 or more for a style.",
            "{n} pictures are few: about 20 are advised for a character, 40 or more for a style.",
        )
        yield Warned("amber", told)
    elif images < STYLE:
        yield Warned("amber", say("{n} pictures are enough for a character; for a style 40 or more are advised.", n=images))


def _ratio(answer: Answer) -> Iterator[Warned]:
    if answer.ratio is not None and not BANDS[0][0] <= answer.ratio <= BANDS[0][1]:
        told = say(
            "Main visuals to face close-ups come to {ratio} : 1. 4 : 1 is wanted, and 3.5 to 4.5 cannot be reached here.", ratio=f"{float(answer.ratio):.2f}"
        )
        yield Warned("amber", told)


def _trimmed(answer: Answer) -> Iterator[Warned]:
    if answer.trimmed:
        told = say(
            "No repeats of the main visuals that divide by {size} hold the rules: every differential group is trimmed to {n}.",
            size=answer.problem.group_size,
            n=answer.group_size,
        )
        yield Warned("amber", told)
