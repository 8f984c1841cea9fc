"""Tags of which a picture can have one but not the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lib_lora.pictures.spelling import comparable

# The first of a row cannot be true beside any other of it.
ALWAYS = (
    ("day", "night"),
    ("indoors", "outdoors"),
    ("solo", "2girls", "2boys", "3girls", "3boys", "multiple girls", "multiple boys"),
    ("1girl", "2girls", "3girls", "multiple girls"),
    ("1boy", "2boys", "3boys", "multiple boys"),
    ("2girls", "3girls"),
    ("2boys", "3boys"),
    ("no humans", "solo", "1girl", "1boy", "2girls", "2boys"),
    ("greyscale", "colorful"),
)
# These are of one person in one view; with more of them, each tag may be somebody's.
OF_ONE = (
    ("short hair", "long hair", "very long hair"),
    ("bald", "short hair", "long hair", "very long hair"),
    ("closed eyes", "open eyes", "one eye closed", "half-closed eyes"),
    ("closed mouth", "open mouth"),
    ("standing", "sitting", "lying"),
    ("sitting", "lying"),
    ("full body", "upper body", "portrait", "close-up"),
    ("portrait", "cowboy shot"),
    ("from above", "from below"),
    ("white background", "black background"),
)
PEOPLE = frozenset(
    ("couple", "group", *(f"{n}{who}" for n in (2, 3, 4, 5, "6+") for who in ("girls", "boys")), *(f"multiple {who}" for who in ("girls", "boys", "others")))
)
SEVERAL = PEOPLE | {"multiple views", "reference sheet", "comic", "4koma", "split screen", "collage"}


def contradictions(tags: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of tags that cannot both be true of the picture, as the caption spells them."""
    spelt = {comparable(tag): tag for tag in reversed(list(tags))}
    rows = ALWAYS if _several(set(spelt)) else ALWAYS + OF_ONE
    return tuple((spelt[first], spelt[second]) for first, second in dict.fromkeys(_pairs(set(spelt), rows)))


def _pairs(there: set[str], rows: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for first, *others in rows:
        if first in there:
            yield from ((first, other) for other in others if other in there)


def _several(tags: set[str]) -> bool:
    return bool(SEVERAL & tags) or (len(tags & {"1girl", "1boy", "1other"}) > 1 and "solo" not in tags)
