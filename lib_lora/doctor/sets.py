"""The pictures beside each other: what is there twice, what there is too much or too little of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lib_lora.core.errors import DataError
from lib_lora.core.messages import count, say
from lib_lora.dataset import buckets, captions
from lib_lora.dataset.config import BucketConfig
from lib_lora.doctor.problem import Problem
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.spelling import comparable

if TYPE_CHECKING:
    from lib_lora.pictures.seen import Seen
    from lib_lora.pictures.similar import Similar

FEW_OF_A_CHARACTER, FEW_OF_A_STYLE = 20, 40
Size = tuple[int, int]


def twins(similar: Similar, pictures: Mapping[str, Picture]) -> list[Problem]:
    """The same picture, nearly the same and mirrored ones; one problem for each that is not the first of its kind."""
    exact = [[key for key in group if key in pictures] for group in similar.exact]
    doubled = {key for group in exact for key in _best_first(group, pictures)[1:]}
    found = [
        Problem("exact", "warning", key, say("shows exactly what {other} shows", other=_best_first(group, pictures)[0]))
        for group in exact
        for key in _best_first(group, pictures)[1:]
    ]
    for kind, severity, groups in (("near", "warning", similar.near), ("flips", "hint", similar.flips)):
        for group in groups:
            left = _best_first([key for key in group if key in pictures and key not in doubled], pictures)
            for key in left[1:]:
                if kind == "near":
                    found.append(Problem(kind, severity, key, say("shows nearly what {other} shows", other=left[0])))
                else:
                    found.append(Problem(kind, severity, key, say("is {other} mirrored", other=left[0])))
    return found


def _best_first(group: Sequence[str], pictures: Mapping[str, Picture]) -> list[str]:
    """The one to keep first: with a caption, then the larger, then by name."""
    return sorted(group, key=lambda key: (not pictures[key].caption, -pictures[key].size[0] * pictures[key].size[1], key))


def tones(seen: Mapping[str, Seen], repeats: Mapping[str, int]) -> list[Problem]:
    """Whether black and white is the majority."""
    grey = sum(repeats.get(key, 1) for key, one in seen.items() if one.tone in ("grey", "tinted"))
    total = sum(repeats.get(key, 1) for key in seen)
    if 2 * grey <= total:
        return []
    what = say("{part} of {total} pictures (with repeats) have no colour: the LoRA will tend to draw without", part=grey, total=total)
    return [Problem("grey", "warning", "", what)]


def bar_tags(seen: Seen) -> tuple[str, ...]:
    """The tags that name the bars of a picture."""
    left, top, right, bottom = seen.bars
    return (("letterboxed",) if top or bottom else ()) + (("pillarboxed",) if left or right else ())


def bars(seen: Mapping[str, Seen], pictures: Iterable[Picture]) -> list[Problem]:
    """Pictures with bars whose captions do not say so."""
    found = []
    for one in pictures:
        if one.key not in seen or not one.caption:
            continue
        said = {comparable(tag) for tag in captions.tags(one.caption)}
        missing = [tag for tag in bar_tags(seen[one.key]) if tag not in said]
        if missing:
            found.append(Problem("bars", "warning", one.key, say("has bars at its edges, but not the tag {tags}", tags=missing)))
    return found


def tiny_buckets(sizes: Mapping[str, Size], repeats: Mapping[str, int], resolution: Size, batch: int, config: BucketConfig) -> list[Problem]:
    """Buckets that never fill a batch."""
    full: Counter[Size] = Counter()
    for key, size in sizes.items():
        try:
            full[buckets.place(size, resolution, config).bucket] += repeats.get(key, 1)
        except DataError:
            continue
    tiny = {size: n for size, n in full.items() if n < batch}
    if not tiny:
        return []
    names = [f"{size[0]}×{size[1]} ({n})" for size, n in sorted(tiny.items())]
    what = count(
        len(tiny),
        "1 bucket holds fewer pictures (with repeats) than a batch of {batch}: {names}",
        "{n} buckets hold fewer pictures (with repeats) than a batch of {batch}: {names}",
        batch=batch,
        names=names if len(names) <= 6 else [*names[:6], "…"],
    )
    return [Problem("tiny_buckets", "hint", "", what)]


def few(pictures: int) -> list[Problem]:
    """Fewer pictures than those who write guides use."""
    if not 0 < pictures < FEW_OF_A_STYLE:
        return []
    if pictures < FEW_OF_A_CHARACTER:
        what = say("{n} pictures are few: about {character} are usual for a character, {style} or more for a style", n=pictures, character=20, style=40)
    else:
        what = say("{n} pictures are enough for a character; {style} or more are usual for a style", n=pictures, style=40)
    return [Problem("few", "hint", "", what)]
