"""The regularisation set beside the training set: as many pictures, none shared, no trigger word, the same tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lib_lora.core.messages import count, say
from lib_lora.dataset import captions
from lib_lora.doctor.problem import Problem
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.spelling import comparable

COVERED, HALF = 0.9, 0.5
NAMED = 8


@dataclass(frozen=True)
class Audit:
    """What the two sets have in common. `missing` are tags of the training set alone, with in how many captions, most first.

    `coverage` is the part of the training set's different tags that the other set has, too; None where there are no tags.
    """

    wanted: int
    count: int
    shared: tuple[tuple[str, str], ...]
    leaks: tuple[str, ...]
    coverage: float | None
    missing: tuple[tuple[str, int], ...]


def audit(training: Iterable[Picture], other: Iterable[Picture], pixels: Mapping[str, str], other_pixels: Mapping[str, str], trigger: str) -> Audit:
    """Compare them. `pixels` are hashes of what the pictures show, by key."""
    training, other = list(training), list(other)
    front = {comparable(tag) for tag in captions.tags(trigger)}
    ours, theirs = _tags(training, front), _tags(other, set())
    shown = {pixels[one.key]: one.key for one in training if pixels.get(one.key)}
    shared = tuple((one.key, shown[other_pixels[one.key]]) for one in other if other_pixels.get(one.key) in shown)
    leaks = tuple(one.key for one in other if front & {comparable(tag) for tag in captions.tags(one.caption)})
    missing = tuple(sorted(((tag, n) for tag, n in ours.items() if tag not in theirs), key=lambda one: (-one[1], one[0])))
    coverage = (len(ours) - len(missing)) / len(ours) if ours else None
    return Audit(len(training), len(other), shared, leaks, coverage, missing)


def problems(found: Audit, name: str, trigger: str) -> list[Problem]:
    """What is wrong with the regularisation set; `name` is how its files are called."""
    told = [Problem("reg_shared", "error", f"{name}{key}", say("shows what {other} of the training set shows", other=other)) for key, other in found.shared]
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
