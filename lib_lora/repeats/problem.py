"""What the repeat calculator is asked, and what it answers. Counts are of originals: flipped copies and discarded ones are not in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say

MAIN, FACE, DIFFERENTIAL = "main", "face", "differential"
RESERVED = (MAIN, FACE, DIFFERENTIAL)
# What an epoch should come to, counted with the factor of the flips.
LOW, HIGH = 1000, 2000
# Main visuals to face close-ups: wanted, and the widest that still passes.
IDEAL = 4
BANDS = ((Fraction(7, 2), Fraction(9, 2)), (Fraction(3), Fraction(5)))
MOST = 100  # no repeat above this is looked for
MANY = 1_000_000


@dataclass(frozen=True)
class Problem:
    """Pictures by class. `groups` are the sizes of the differential groups, `mono` names the classes without colour."""

    main: int
    face: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    flip: bool = True
    mono: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "others", MappingProxyType(dict(self.others)))
        problems = [*_counts(self), *_names(self)]
        if problems:
            raise ConfigError(*problems)

    @property
    def factor(self) -> int:
        """What a picture counts for in the rule of 1,000 to 2,000: 2 where flipped copies are made, else 4."""
        return 2 if self.flip else 4

    @property
    def low(self) -> int:
        """The least total of an epoch, before the factor."""
        return -(-LOW // self.factor)

    @property
    def high(self) -> int:
        """The greatest total of an epoch, before the factor."""
        return HIGH // self.factor

    @property
    def group_size(self) -> int:
        """Pictures of the largest differential group; 0 without groups."""
        return max(self.groups, default=0)

    @property
    def images(self) -> int:
        """All originals."""
        return self.main + self.face + sum(self.others.values()) + sum(self.groups)

    @property
    def filled(self) -> dict[str, int]:
        """The other classes that have pictures."""
        return {name: count for name, count in self.others.items() if count}

    def counts(self, group_size: int | None = None) -> dict[str, int]:
        """Pictures of every class that has some; groups are brought to one size, so each has as many as the largest."""
        size = self.group_size if group_size is None else group_size
        found = {MAIN: self.main, FACE: self.face, **self.others, DIFFERENTIAL: len(self.groups) * size}
        return {name: count for name, count in found.items() if count}


@dataclass(frozen=True)
class Warned:
    """Something to think about: "amber" outside of what the guides advise, "red" far outside."""

    level: Literal["amber", "red"]
    text: Message


@dataclass(frozen=True)
class Answer:
    """The repeats by class (None where a class has no pictures), or why there are none.

    `group_size` is what every differential group is brought to, by copying or, where `trimmed`, by leaving some out.
    `alternative` is the same problem with the other classes at 1.
    """

    problem: Problem
    feasible: bool
    trimmed: bool = False
    group_size: int | None = None
    repeats: Mapping[str, int | None] | None = None
    total: int | None = None
    ratio: Fraction | None = None
    warnings: tuple[Warned, ...] = ()
    advice: tuple[Message, ...] = ()
    alternative: Answer | None = None

    @property
    def weighted_total(self) -> int | None:
        """The total with the factor of the flips."""
        return None if self.total is None else self.total * self.problem.factor

    @property
    def largest(self) -> int:
        """The largest repeat; 0 without an answer."""
        return max((value for value in (self.repeats or {}).values() if value), default=0)


def class_name(name: str) -> Message | str:
    """A class as sentences call it; a name the user gave stays as it is."""
    known = {
        MAIN: say("main visuals"),
        FACE: say("face close-ups"),
        DIFFERENTIAL: say("differential images"),
        "full": say("full body"),
    }
    return known.get(name, name)


def _counts(problem: Problem) -> list[Message]:
    counts = {MAIN: problem.main, FACE: problem.face, **problem.others}
    wrong = [
        say("{name}: {value} is no number of pictures from 0 to {most}", name=name, value=repr(value), most=MANY)
        for name, value in counts.items()
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MANY
    ]
    return wrong + [
        say("groups: {value} is no number of pictures of a group, which has at least 1", value=repr(size))
        for size in problem.groups
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MANY
    ]


def _names(problem: Problem) -> list[Message]:
    wrong = [say("{name}: choose another name for this class; main, face and differential are taken", name=name) for name in problem.others if name in RESERVED]
    wrong += [say("A class of pictures needs a name.") for name in problem.others if not name.strip()]
    known = [*RESERVED, *problem.others]
    return wrong + [
        say("mono: there is no class {name}; there are {known}", name=name, known=[MAIN, FACE, *problem.others, DIFFERENTIAL])
        for name in sorted(problem.mono)
        if name not in known
    ]
