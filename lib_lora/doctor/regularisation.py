"""The regularisation set beside the training set: as many pictures, none shared, no trigger word, the same tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lib_lora.core.messages import count, say
from lib_lora.dataset import captions
from lib_lora.doctor.problem import Problem
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.spelling import comparable

if TYPE_CHECKING:
    from lib_lora.pictures.seen import Seen

COVERED, HALF = 0.9, 0.5
OF_BARS = {"letterboxed", "pillarboxed"}  # of how pictures were padded, not of what they show
NAMED = 8
EMPTY: Mapping[str, Any] = MappingProxyType({})
OURS, SOURCES, THEIRS = "0:", "1:", "2:"  # what stands before keys while all sets are compared


@dataclass(frozen=True)
class Audit:
    """What the two sets have in common: `shared` are the same to the pixel, `alike` by the eye.

    `missing` are tags of the training set alone, with in how many captions, most first.

    `coverage` is the part of the training set's different tags that the other set has, too; None where there are no tags.
    """

    wanted: int
    count: int
    shared: tuple[tuple[str, str], ...]
    leaks: tuple[str, ...]
    coverage: float | None
    missing: tuple[tuple[str, int], ...]
    alike: tuple[tuple[str, str], ...] = ()


def audit(training: Iterable[Picture], other: Iterable[Picture], pixels: Mapping[str, str], other_pixels: Mapping[str, str], trigger: str) -> Audit:
    """Compare them. `pixels` are hashes of what the pictures show, by key."""
    training, other = list(training), list(other)
    front = {comparable(tag) for tag in captions.tags(trigger)}
    ours, theirs = _tags(training, front | OF_BARS), _tags(other, set())
    shown = {pixels[one.key]: one.key for one in training if pixels.get(one.key)}
    shared = tuple((one.key, shown[other_pixels[one.key]]) for one in other if other_pixels.get(one.key) in shown)
    leaks = tuple(one.key for one in other if front & {comparable(tag) for tag in captions.tags(one.caption)})
    missing = tuple(sorted(((tag, n) for tag, n in ours.items() if tag not in theirs), key=lambda one: (-one[1], one[0])))
    coverage = (len(ours) - len(missing)) / len(ours) if ours else None
    return Audit(len(training), len(other), shared, leaks, coverage, missing)


def alike(
    found: Audit, ours: Mapping[str, Seen], theirs: Mapping[str, Seen], sources: Mapping[str, Seen] = EMPTY, made_of: Mapping[str, str] = EMPTY
) -> tuple[tuple[str, str], ...]:
    """Pictures of the other set that look like one of the training set, or like one that it was made of, and are not `shared`.

    `sources` are the pictures that `made_of` names: what was padded or cut looks like nothing else any more.
    """
    from lib_lora.pictures import similar

    made = {source: key for key, source in sorted(made_of.items(), reverse=True)}
    names = {f"{OURS}{key}": key for key in ours} | {f"{SOURCES}{key}": made[key] for key in sources if key in made}
    all_of_it = {f"{OURS}{key}": one for key, one in ours.items()} | {f"{SOURCES}{key}": one for key, one in sources.items() if key in made}
    sets = similar.find({**all_of_it, **{f"{THEIRS}{key}": one for key, one in theirs.items()}})
    told = {key for key, _ in found.shared}
    looks: dict[str, str] = {}
    for group in (*sets.exact, *sets.near, *sets.flips):
        first = next((names[one] for one in group if one in names), None)
        for one in group:
            key = one[len(THEIRS) :]
            if first is not None and one.startswith(THEIRS) and key not in told:
                looks.setdefault(key, first)
    return tuple(sorted(looks.items()))


def problems(found: Audit, name: str, trigger: str) -> list[Problem]:
    """What is wrong with the regularisation set; `name` is how its files are called."""
    told = [Problem("reg_shared", "error", f"{name}{key}", say("shows what {other} of the training set shows", other=other)) for key, other in found.shared]
    told += [Problem("reg_alike", "warning", f"{name}{key}", say("looks like {other} of the training set", other=other)) for key, other in found.alike]
    told += [Problem("reg_leak", "error", f"{name}{key}", say("its caption has the trigger word {trigger}", trigger=trigger)) for key in found.leaks]
    if found.count != found.wanted:
        what = count(
            found.count,
            "the regularisation set has 1 picture, the training set {wanted}",
            "the regularisation set has {n} pictures, the training set {wanted}",
            wanted=found.wanted,
        )
        told.append(Problem("reg_count", "warning" if found.count < found.wanted else "hint", name, what))
    if found.coverage is not None and found.coverage < COVERED:
        names = [f"{tag} ({n})" for tag, n in found.missing[:NAMED]]
        what = say(
            "it has {part} % of the training set's tags; missing are {tags}",
            part=round(100 * found.coverage),
            tags=names if len(found.missing) <= NAMED else [*names, "…"],
        )
        told.append(Problem("reg_coverage", "warning" if found.coverage < HALF else "hint", name, what))
    return told


def _tags(pictures: Iterable[Picture], without: set[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in pictures:
        found.update({comparable(tag) for tag in captions.tags(one.caption)} - without)
    return found
