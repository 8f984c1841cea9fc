"""solve(problem): the fewest repeats, the other reading beside them, and what to know about both."""

from __future__ import annotations

from fractions import Fraction

from lib_lora.repeats.advice import advise, infeasible
from lib_lora.repeats.problem import DIFFERENTIAL, FACE, MAIN, Answer, Problem
from lib_lora.repeats.search import Solution, search
from lib_lora.repeats.warn import warn


def solve(problem: Problem) -> Answer:
    """The repeats a problem wants. Where there are none, `advice` says what to change."""
    found = search(problem)
    if found is None:
        return Answer(problem, False, advice=infeasible(problem))
    ones = search(problem, ones=True) if problem.filled else None
    return _answer(problem, found, _answer(problem, ones, None) if ones else None)


def _answer(problem: Problem, found: Solution, alternative: Answer | None) -> Answer:
    others = dict(zip(problem.filled, found.others, strict=True))
    repeats = {
        MAIN: found.main,
        FACE: found.face,
        **{name: others.get(name) for name in problem.others},
        DIFFERENTIAL: found.main // found.group_size if found.group_size else None,
    }
    ratio = Fraction(problem.main * found.main, problem.face * found.face) if found.face else None
    plain = Answer(problem, True, found.trimmed, found.group_size, repeats, found.total, ratio)
    return Answer(
        problem, True, found.trimmed, found.group_size, repeats, found.total, ratio, warnings=warn(plain), advice=advise(plain), alternative=alternative
    )
