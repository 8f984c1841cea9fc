"""What the other classes add to an epoch: which totals can be met with bounded repeats, and by which fewest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """What an epoch holds already, with every other class at 1: pictures, and those of them without colour."""

    total: int
    mono: int


@dataclass(frozen=True)
class _Reach:
    """How many pictures more than at 1 the classes can add: bit n of `colour` is set where n can be; `mono` lists them."""

    extra: tuple[int, ...]
    mono: tuple[int, ...]
    colour: int


class Fill:
    """A bounded knapsack over the other classes, of `sizes` pictures each; `mono` tells which have no colour."""

    def __init__(self, sizes: Sequence[int], mono: Sequence[bool], ones: bool) -> None:
        self.sizes, self.mono, self.ones = tuple(sizes), tuple(mono), ones
        self._known: dict[tuple[int, int], _Reach | None] = {}

    def lowest(self, most: int, ceiling: int, base: Base, low: int, high: int) -> int | None:
        """The least total from `low` to `high` with no repeat above `most` and no class above `ceiling` pictures.

        Pictures without colour may not outnumber those with it. None where no total does.
        """
        reach = self._reach(most, ceiling)
        if reach is None or base.total > high:
            return None
        return min(self._totals(reach, base, low, high), default=None)

    def fewest(self, most: int, ceiling: int, base: Base, total: int) -> tuple[int, ...]:
        """The repeats that meet a total which `lowest` found: the least sum of them, then the smallest in order."""
        reach = self._reach(most, ceiling)
        assert reach is not None, "asked for a total that was not found"
        left = total - base.total
        grey, bright = (self._part(reach, mono, left) for mono in (True, False))
        splits = [n for n in reach.mono if n <= left and 2 * (base.mono + n) <= total and reach.colour >> (left - n) & 1]
        least = min(grey.least(n) + bright.least(left - n) for n in splits)
        wanted = [n for n in splits if grey.least(n) + bright.least(left - n) == least]
        return min(self._merged(grey.choose(n), bright.choose(left - n)) for n in wanted)

    def _totals(self, reach: _Reach, base: Base, low: int, high: int) -> Iterator[int]:
        for grey in reach.mono:
            begin = base.total + grey
            need = max(low, 2 * (base.mono + grey), begin) - begin
            rest = reach.colour >> need
            if rest:
                total = begin + need + (rest & -rest).bit_length() - 1
                if total <= high:
                    yield total

    def _reach(self, most: int, ceiling: int) -> _Reach | None:
        if (most, ceiling) not in self._known:
            self._known[most, ceiling] = self._reached(most, ceiling)
        return self._known[most, ceiling]

    def _reached(self, most: int, ceiling: int) -> _Reach | None:
        extra = tuple(min(most, ceiling // size) - 1 for size in self.sizes)
        if any(cap < 0 for cap in extra):
            return None
        extra = (0,) * len(extra) if self.ones else extra
        bits = {True: 1, False: 1}
        for size, cap, mono in zip(self.sizes, extra, self.mono, strict=True):
            bits[mono] = _copies(bits[mono], size, cap)
        grey = tuple(n for n in range(bits[True].bit_length()) if bits[True] >> n & 1)
        return _Reach(extra, grey, bits[False])

    def _part(self, reach: _Reach, mono: bool, top: int) -> _Part:
        chosen = [(size, cap) for size, cap, is_mono in zip(self.sizes, reach.extra, self.mono, strict=True) if is_mono == mono]
        return _Part(chosen, top)

    def _merged(self, grey: Sequence[int], bright: Sequence[int]) -> tuple[int, ...]:
        parts = {True: iter(grey), False: iter(bright)}
        return tuple(1 + next(parts[mono]) for mono in self.mono)


class _Part:
    """For every number of pictures up to `top`: the fewest repeats that add just those."""

    def __init__(self, classes: Sequence[tuple[int, int]], top: int) -> None:
        self.classes = classes
        self.tables = [[0 if n == 0 else _NEVER for n in range(top + 1)]]
        for size, cap in reversed(classes):
            self.tables.insert(0, _add_class(self.tables[0], size, cap))

    def least(self, n: int) -> int:
        """The least sum of repeats for n pictures."""
        return self.tables[0][n]

    def choose(self, n: int) -> list[int]:
        """The repeats of that sum, the smallest in the order of the classes."""
        chosen = []
        for (size, cap), now, after in zip(self.classes, self.tables, self.tables[1:], strict=False):
            take = next(x for x in range(cap + 1) if x * size <= n and x + after[n - x * size] == now[n])
            chosen.append(take)
            n -= take * size
        return chosen


_NEVER = 10**9


def _copies(bits: int, size: int, cap: int) -> int:
    """The sums after adding 0 to `cap` times `size`: doubling steps reach each number in between."""
    step = 1
    while cap > 0:
        take = min(step, cap)
        bits |= bits << (size * take)
        cap -= take
        step *= 2
    return bits


def _add_class(after: Sequence[int], size: int, cap: int) -> list[int]:
    """One class more: along n, n+size, n+2·size … the least of the last `cap`+1, each with what it costs to get from there."""
    now = [_NEVER] * len(after)
    for first in range(min(size, len(after))):
        window: deque[tuple[int, int]] = deque()
        for at, n in enumerate(range(first, len(after), size)):
            cost = after[n] - at
            while window and window[-1][1] >= cost:
                window.pop()
            window.append((at, cost))
            if window[0][0] < at - cap:
                window.popleft()
            now[n] = min(_NEVER, window[0][1] + at)
    return now
