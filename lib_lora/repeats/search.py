"""Problem → the best repeats, by integer search over all of them up to 100.

Best means, in this order: no differential group is trimmed; main to face lies in the narrow band, else in the wide one; the
largest repeat is small; main to face is near 4 : 1; the total is small; the sum of repeats is small; the repeats themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from lib_lora.repeats.fill import Base, Fill
from lib_lora.repeats.problem import BANDS, DIFFERENTIAL, FACE, IDEAL, MAIN, MOST, Problem

Band = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Solution:
    """Repeats that hold all rules. `face` and `group_size` are None where there are none."""

    main: int
    face: int | None
    others: tuple[int, ...]
    total: int
    group_size: int | None
    trimmed: bool


@dataclass(frozen=True)
class _Pair:
    """Repeats of main and face, with what follows from them for the other classes."""

    main: int
    face: int | None
    distance: Fraction
    ceiling: int
    base: Base


class _Search:
    def __init__(self, problem: Problem, ones: bool) -> None:
        self.problem = problem
        sizes = problem.filled
        self.fill = Fill(tuple(sizes.values()), [name in problem.mono for name in sizes], ones)
        self.least = sum(sizes.values())
        self.least_mono = sum(count for name, count in sizes.items() if name in problem.mono)

    def best(self) -> Solution | None:
        problem = self.problem
        if not problem.main or problem.images - sum(problem.groups) + len(problem.groups) > problem.high:
            return None
        trims = (False, True) if problem.group_size > 1 else (False,)
        bands: tuple[Band | None, ...] = BANDS if problem.face else (None,)
        return next((found for trim in trims for band in bands if (found := self.least_within(trim, band))), None)

    def least_within(self, trim: bool, band: Band | None) -> Solution | None:
        """The best in the band, with the largest repeat as small as it can be: what fits under a bound fits under a wider one."""
        below, most = 0, 1
        while (found := self.within(trim, band, most)) is None:
            if most == MOST:
                return None
            below, most = most, min(2 * most, MOST)
        while most - below > 1:
            middle = (below + most) // 2
            closer = self.within(trim, band, middle)
            below, most, found = (middle, most, found) if closer is None else (below, middle, closer)
        return found

    def within(self, trim: bool, band: Band | None, most: int) -> Solution | None:
        """The best with no repeat above `most`; where nothing holds below `most`, one of the repeats is `most`."""
        low, high = self.problem.low, self.problem.high
        pairs = self.pairs(trim, band, most)
        met = [(pair, total) for pair in pairs if (total := self.fill.lowest(most, pair.ceiling, pair.base, low, high)) is not None]
        if not met:
            return None
        nearest = min((pair.distance, total) for pair, total in met)
        ties = [(pair, self.fill.fewest(most, pair.ceiling, pair.base, total)) for pair, total in met if (pair.distance, total) == nearest]
        pair, others = min(ties, key=lambda tie: _order(*tie))
        return Solution(pair.main, pair.face, others, nearest[1], self.group_size(pair.main, trim), trim)

    def pairs(self, trim: bool, band: Band | None, most: int) -> Iterator[_Pair]:
        """Repeats of main and face up to `most` in the band, as long as the total can stay under its limit."""
        problem = self.problem
        step = 1 if trim or not problem.groups else problem.group_size
        for main in range(step, most + 1, step):
            if (problem.main + len(problem.groups)) * main + self.least + problem.face > problem.high:
                return
            if band is None:
                yield self.pair(main, None)
                continue
            seen = Fraction(problem.main * main, problem.face)
            for face in range(max(1, ceil(seen / band[1])), min(most, floor(seen / band[0])) + 1):
                yield self.pair(main, face)

    def pair(self, main: int, face: int | None) -> _Pair:
        problem = self.problem
        seen = {MAIN: problem.main * main, FACE: problem.face * (face or 0), DIFFERENTIAL: len(problem.groups) * main}
        if face is None:
            # Without face close-ups the other classes stay below what those would be: a quarter of the main visuals.
            distance, ceiling = Fraction(0), (seen[MAIN] - 1) // IDEAL
        else:
            ratio = Fraction(seen[MAIN], IDEAL * seen[FACE])
            # As |ln(ratio/4)| orders, but exact.
            distance, ceiling = max(ratio, 1 / ratio), seen[FACE] - 1
        mono = sum(count for name, count in seen.items() if name in problem.mono)
        return _Pair(main, face, distance, ceiling, Base(sum(seen.values()) + self.least, mono + self.least_mono))

    def group_size(self, main: int, trim: bool) -> int | None:
        """The size of groups that goes into the repeats of main; where they are trimmed, the largest below their own."""
        if not self.problem.groups:
            return None
        size = self.problem.group_size
        return next(n for n in range(size - 1, 0, -1) if main % n == 0) if trim else size


def search(problem: Problem, ones: bool = False) -> Solution | None:
    """The best repeats, or None where no repeats up to 100 hold the rules. `ones` keeps the other classes at 1."""
    return _Search(problem, ones).best()


def _order(pair: _Pair, others: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    chosen = (pair.main, *([] if pair.face is None else [pair.face]), *others)
    return sum(chosen), chosen
