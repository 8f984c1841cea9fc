"""Of pictures that are the same: which copy is worth keeping, and which ones are too many."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from lib_lora.pictures.picture import Picture

Captioned = Callable[[str], bool]


def best(keys: Collection[str], pictures: Mapping[str, Picture], captioned: Captioned, decided: Collection[str]) -> str:
    """The copy with the work in it: one with a caption, one that was sorted by hand, the larger one, the larger file, the first name."""

    def worth(key: str) -> tuple[bool, bool, int, int]:
        picture = pictures[key]
        return captioned(key), key in decided, picture.size[0] * picture.size[1], picture.mark[0]

    return min(keys, key=lambda key: (*(-int(one) for one in worth(key)), key))


def sets(others: Mapping[str, Sequence[str]], there: Collection[str]) -> list[tuple[str, ...]]:
    """What is the same, each set once: a copy of a copy is a copy."""
    left, found = {key for key in others if key in there}, []
    while left:
        members, open_ends = set(), [min(left)]
        while open_ends:
            key = open_ends.pop()
            if key not in members:
                members.add(key)
                open_ends += [other for other in others.get(key, ()) if other in there]
        left -= members
        if len(members) > 1:
            found.append(tuple(sorted(members)))
    return found
