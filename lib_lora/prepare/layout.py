"""Which picture goes to which folder, with which repeats; differential groups brought to one size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_lora.pictures.picture import Catalog, Picture
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.names import safe
from lib_lora.prepare.plan import DIFFERENTIAL, DISCARD, MAIN, Known

NUMBERED = re.compile(r"\s*[+-]?\d+_")


@dataclass(frozen=True)
class Placed:
    """A picture in a folder (by class or shelf), `times` times."""

    picture: Picture
    kind: str
    times: int = 1


def pictures_of(catalog: Catalog, known: Known, copies: frozenset[str]) -> tuple[Picture, ...]:
    """The pictures that are prepared: readable, wanted, not discarded, and no copies of an earlier preparing."""
    return tuple(
        picture
        for picture in catalog.pictures
        if not picture.flaw and picture.key not in copies and known.classes.get(picture.key) != DISCARD and (known.keys is None or picture.key in known.keys)
    )


def groups_of(pictures: Sequence[Picture], known: Known) -> tuple[tuple[str, ...], ...]:
    """The differential groups among these pictures; what is left of a group by one picture is none."""
    there, found = {picture.key for picture in pictures}, []
    for group in known.groups:
        kept = tuple(sorted(there.intersection(group)))
        there.difference_update(kept)  # a picture belongs to one group
        if len(kept) > 1:
            found.append(kept)
    return tuple(found)


def place(pictures: Sequence[Picture], groups: Sequence[Sequence[str]], known: Known, config: PrepareConfig) -> tuple[Placed, ...]:
    """Each picture with its folder; group members as often as equal groups need, 0 times where a group is trimmed."""
    times = _times(groups, config)
    placed = []
    for picture in pictures:
        # Without folders by class nothing tells groups from others, so that they stay as they are.
        grouped = picture.key in times and config.folders.by == "classes"
        kind = DIFFERENTIAL if grouped else _kind(picture, known, config)
        placed.append(Placed(picture, kind, times[picture.key] if grouped else 1))
    return tuple(placed)


def group_size(groups: Sequence[Sequence[str]], config: PrepareConfig) -> int:
    """How many pictures each group has in the project; 0 where they stay as they are."""
    if not groups or config.copies.groups == "keep":
        return 0
    sizes = [len(group) for group in groups]
    if config.copies.groups == "duplicate":
        return max(sizes)
    return config.copies.group_size or min(sizes)


def _times(groups: Sequence[Sequence[str]], config: PrepareConfig) -> dict[str, int]:
    size = group_size(groups, config)
    if not size:
        return {key: 1 for group in groups for key in group}
    return {key: len(range(place, size, len(group))) for group in groups for place, key in enumerate(group)}


def _kind(picture: Picture, known: Known, config: PrepareConfig) -> str:
    if config.folders.by == "classes":
        return known.classes.get(picture.key) or MAIN
    return picture.folder if config.folders.by == "folders" else ""


def folder_names(kinds: Sequence[str], catalog: Catalog, known: Known, config: PrepareConfig) -> dict[str, tuple[str, int]]:
    """The name N_concept and the repeats of each kind of folder; names that would be one are told apart."""
    found: dict[str, tuple[str, int]] = {}
    taken: set[str] = set()
    for kind in kinds:
        concept, repeats = _concept(kind, catalog, known, config)
        name, number = f"{repeats}_{concept}", 1
        while name.casefold() in taken:
            number += 1
            name = f"{repeats}_{concept}_{number}"
        taken.add(name.casefold())
        found[kind] = (name, repeats)
    return found


def _concept(kind: str, catalog: Catalog, known: Known, config: PrepareConfig) -> tuple[str, int]:
    base = safe(config.folders.concept.strip() or bare(catalog.root.name), "pictures")
    if config.folders.by == "classes":
        return safe(known.names.get(kind, "").strip() or f"{base}_{kind}"), known.repeats.get(kind, config.folders.repeats)
    if config.folders.by == "one":
        return base, known.repeats.get("", config.folders.repeats)
    shelf = {shelf.key: shelf for shelf in catalog.shelves}.get(kind)
    own = shelf.repeats if shelf is not None else None
    # What lies deeper keeps its way in its name: the project has one level of folders, as trainers read it.
    concept = (shelf.concept if shelf is not None and own else "") or bare(kind.replace("/", "_")) or base
    return safe(known.names.get(kind, "").strip() or concept), known.repeats.get(kind, own or config.folders.repeats)


def bare(name: str) -> str:
    """A folder's name without a number of repeats before it."""
    return NUMBERED.sub("", name, count=1) or name


def repeats_problem(repeats: Mapping[str, int]) -> str:
    """The first class whose repeats are no number from 1 to 1000; "" where all are."""
    return next((kind for kind, value in repeats.items() if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000), "")
