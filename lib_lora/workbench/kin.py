"""What belongs together in an open folder: copies, near copies, mirrored ones, differential groups, strangers in style."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib_lora.pictures.seen import Seen

Sets = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Kin:
    """Of each picture, by key: which others are the same, alike, mirrored, of its group; how strange its style is."""

    exact: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    near: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    outliers: Mapping[str, float] = field(default_factory=dict)

    def without(self, keys: Iterable[str]) -> Kin:
        """The same, but for pictures that are gone: who is left is no less alike."""
        gone = frozenset(keys)
        groups = tuple(left for group in self.groups if len(left := tuple(key for key in group if key not in gone)) > 1)
        outliers = {key: value for key, value in self.outliers.items() if key not in gone}
        return Kin(_left(self.exact, gone), _left(self.near, gone), _left(self.flip, gone), groups, outliers)


def find(seen: Mapping[str, Seen]) -> Kin:
    """From what the pixels say."""
    from lib_lora.pictures import outliers, similar

    found = similar.find(seen)
    groups = tuple(tuple(sorted(group)) for group in found.groups)
    return Kin(_others(found.exact), _others(found.near), _others(found.flips), groups, outliers.find(seen))


def decided(groups: Sets, decisions: Mapping[str, str], keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The groups by name as somebody wants them: found ones, but for pictures that were put elsewhere or taken out ("").

    A group is called by its first picture; one alone is none.
    """
    there = set(keys)
    names = {key: group[0] for group in groups for key in group}
    names.update(decisions)
    members: dict[str, list[str]] = {}
    for key in sorted(there & set(names)):
        if names[key]:
            members.setdefault(names[key], []).append(key)
    return {name: tuple(group) for name, group in sorted(members.items()) if len(group) > 1}


def _others(sets: Sets) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in sets:
        for key in one:
            found.setdefault(key, []).extend(other for other in one if other != key)
    return {key: tuple(dict.fromkeys(others)) for key, others in found.items()}


def _left(others: Mapping[str, tuple[str, ...]], gone: Collection[str]) -> dict[str, tuple[str, ...]]:
    found = {key: tuple(other for other in many if other not in gone) for key, many in others.items() if key not in gone}
    return {key: many for key, many in found.items() if many}
