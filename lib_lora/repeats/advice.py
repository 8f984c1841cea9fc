"""What to do: about an answer, and about a problem that has none. What is advised has been tried: it does give an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from lib_lora.core.messages import Message, count, say
from lib_lora.repeats.problem import BANDS, FACE, IDEAL, MAIN, MOST, RESERVED, Answer, Problem, class_name
from lib_lora.repeats.search import search

TRIES = 60


def advise(answer: Answer) -> tuple[Message, ...]:
    """What an answer asks of the pictures, and what is worth knowing of it."""
    return (*_faces(answer), *_groups(answer))


def infeasible(problem: Problem) -> tuple[Message, ...]:
    """Why no repeats hold the rules, and what to change."""
    if not problem.main:
        return (say("There are no main visuals, and everything is measured by them: sort some pictures into this class, or crop some."),)
    least = sum(problem.counts(1).values())
    if least > problem.high:
        return tuple(_too_many(problem, least))
    if problem.mono and search(replace(problem, mono=frozenset())):
        return tuple(_colourless(problem))
    found = [*_too_many_faces(problem), *_too_many_others(problem)]
    return tuple(found) if found else tuple(_too_few(problem))


def _faces(answer: Answer) -> Iterator[Message]:
    if not answer.problem.face:
        yield say(
            "There are no face close-ups, which decide how much a face looks like the pictures: crop some out of the main visuals. "
            "Until then every other class stays below a quarter of the main visuals."
        )


def _groups(answer: Answer) -> Iterator[Message]:
    problem, size = answer.problem, answer.group_size or 0
    larger = sum(one > size for one in problem.groups)
    smaller = sum(one < size for one in problem.groups)
    if larger:
        yield count(
            larger,
            "Leave pictures out of 1 differential group until it has {size}.",
            "Leave pictures out of {n} differential groups until each has {size}.",
            size=size,
        )
    if smaller:
        yield count(
            smaller,
            "Copy pictures inside 1 differential group until it has {size}, as many as the largest.",
            "Copy pictures inside {n} differential groups until each has {size}, as many as the largest.",
            size=size,
        )
    repeats = answer.repeats or {}
    seen, faces = len(problem.groups) * (repeats.get(MAIN) or 0), problem.face * (repeats.get(FACE) or 0)
    if problem.groups and problem.face and seen >= faces:
        yield say(
            "Differential images are seen {n} times per epoch, face close-ups {faces} times: only a note, for each group counts as one main visual.",
            n=seen,
            faces=faces,
        )


def _too_many(problem: Problem, least: int) -> Iterator[Message]:
    weighted = least * problem.factor
    yield say("Too many pictures: with every repeat at 1 the weighted total is {weighted}, and above 2000 is likely to overfit.", weighted=weighted)
    flipped = replace(problem, flip=True)
    if not problem.flip and least <= flipped.high:
        yield say("Make flipped copies: then a picture counts 2 instead of 4, and {high} fit instead of {now}.", high=flipped.high, now=problem.high)
        if not search(flipped):
            yield from infeasible(flipped)
    yield count(
        least - problem.high,
        "Leave out at least 1 picture, the one that is least like what you want.",
        "Leave out at least {n} pictures, those that are least like what you want.",
    )
    yield say("Or keep every repeat at 1 and train fewer epochs.")


def _colourless(problem: Problem) -> Iterator[Message]:
    names = [class_name(name) for name in problem.counts() if name in problem.mono]
    yield say("Pictures without colour ({names}) would be seen more often than those with colour, whatever the repeats.", names=names)
    for name in problem.filled:
        if name in problem.mono:
            yield from _fewer(problem, name, say("Keep at most {n} of the {count} pictures without colour in {name}."))
    if MAIN in problem.mono:
        yield say("Main visuals should be most of an epoch: bring in main visuals with colour.")
    yield say("If the LoRA is not meant for pictures in colour, take the black-and-white mark away: the rule is then left out.")


def _too_many_faces(problem: Problem) -> Iterator[Message]:
    widest = BANDS[-1][0]
    # At most what passes at the widest ratio, with face close-ups at 1.
    bound = min(problem.face - 1, int(problem.high // (widest + 1)), int(MOST * problem.main // widest))
    tried = [(replace(problem, face=faces), faces) for faces in range(bound, max(0, bound - TRIES), -1)]
    most = next((faces for easier, faces in tried if _comfortable(easier)), None)
    if most:
        yield count(
            problem.main,
            "There are too many face close-ups ({faces}) for 1 main visual: use at most {most} of them, or crop more main visuals.",
            "There are too many face close-ups ({faces}) for {n} main visuals: use at most {most} of them, or crop more main visuals.",
            faces=problem.face,
            most=most,
        )


def _too_many_others(problem: Problem) -> Iterator[Message]:
    told = say("{name} has too many pictures ({count}), it should be seen less often than face close-ups: use at most {n} of them.")
    fewer = [one for name in problem.filled if search(replace(problem, others={**problem.others, name: 0})) for one in _fewer(problem, name, told)]
    yield from fewer
    if not fewer and problem.filled and search(replace(problem, others={}, mono=problem.mono & set(RESERVED))):
        names = [class_name(name) for name in problem.filled]
        yield say("Together the other classes ({names}) are too many: use fewer pictures of them, or leave one class out.", names=names)


def _fewer(problem: Problem, name: str, told: Message) -> Iterator[Message]:
    """The largest number of pictures of a class that works well, looked for by halving what lies between none and too many."""
    most = _largest(lambda n: _comfortable(replace(problem, others={**problem.others, name: n})), problem.others[name] - 1)
    if most:
        yield Message(told.template, {"name": class_name(name), "count": problem.others[name], "n": most})


def _comfortable(problem: Problem) -> bool:
    """Whether there are repeats with main to face in the narrow band."""
    found = search(problem)
    if found is None or found.face is None:
        return found is not None
    return BANDS[0][0] <= Fraction(problem.main * found.main, problem.face * found.face) <= BANDS[0][1]


def _largest(works: Callable[[int], bool], bound: int) -> int:
    low, high = 0, bound
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if works(middle) else (low, middle - 1)
    return low


def _too_few(problem: Problem) -> Iterator[Message]:
    need = -(-problem.low // 10)
    yield say(
        "Too few pictures: even repeats of {most} do not come to a weighted total of 1000. About {need} pictures bring repeats to 10 or less: crop more.",
        most=MOST,
        need=need,
    )
    if problem.flip and search(replace(problem, flip=False)):
        yield say("Without flipped copies a picture counts 4 instead of 2, and there are repeats that hold the rules.")
    if problem.face and problem.main * MOST < problem.face * BANDS[-1][0]:
        yield say("Above all main visuals are missing: they should be seen {ideal} times as often as face close-ups.", ideal=IDEAL)
