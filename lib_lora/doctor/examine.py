"""A folder → everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lib_lora.core.messages import Message, say
from lib_lora.dataset.config import BucketConfig
from lib_lora.doctor import layout, pixels, regularisation, sets
from lib_lora.doctor.layout import Layout
from lib_lora.doctor.pixels import Body, Memory
from lib_lora.doctor.problem import Problem, ordered
from lib_lora.pictures import lint
from lib_lora.pictures.picture import Catalog, Picture

if TYPE_CHECKING:
    from lib_lora.pictures.seen import Seen

# Said by the look into the files, which sees more.
OF_FILES = ("unreadable", "animated")


class Teller(Protocol):
    """Where to say how far the work is, and whether to go on."""

    @property
    def cancelled(self) -> bool:
        """Whether to end."""
        ...

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        ...


@dataclass(frozen=True)
class Wish:
    """What the training is going to be like. An empty trigger: nothing is asked of it."""

    trigger: str = ""
    resolution: tuple[int, int] = (512, 512)
    batch: int = 1
    bucket: BucketConfig = field(default_factory=BucketConfig)


@dataclass(frozen=True)
class Origins:
    """The pictures that a project was made of: `of` gives the key of the original by the key of the project's picture.

    `trigger` is the word that was put in front of the project's captions.
    """

    catalog: Catalog | None
    of: Mapping[str, str]
    trigger: str = ""


@dataclass(frozen=True)
class Subject:
    """A folder and how its pixels are seen: `see` looks into the pictures of a catalogue, all of them.

    `copies` are pictures that were made of others on purpose (flipped, or to make groups even); `memory` makes the next
    look at the same files quick. `origins` tells what a prepared project was made of.
    """

    catalog: Catalog
    see: Callable[[Catalog, Teller], Mapping[str, Seen]]
    reg: Catalog | None = None
    count_tokens: lint.Count | None = None
    copies: Collection[str] = ()
    memory: Memory = field(default_factory=Memory)
    origins: Origins | None = None


@dataclass(frozen=True)
class Examination:
    """All that was found. `images` and `captions` are all that were looked at, `trained` how many of them training reads."""

    images: int
    captions: int
    problems: tuple[Problem, ...]
    trained: int = 0
    audit: regularisation.Audit | None = None
    renames: Mapping[str, str] = field(default_factory=dict)


def examine(subject: Subject, wish: Wish, teller: Teller) -> Examination:
    """Look at everything: names, files, captions, pixels, the set as a whole, and the regularisation set where there is one."""
    catalog = subject.catalog
    found = layout.look(catalog.root)
    nowhere = {one.file for one in found.problems if one.kind == "broken_link"}
    pictures = [one for one in catalog.pictures if one.key not in found.masks and one.key not in nowhere]
    by_key = {one.key: one for one in pictures}
    left = {one.key for one in pictures if one.key not in found.trained} if found.trained else set()
    teller.tell(0, len(pictures), say("Reading the files"))
    bodies = pixels.read_all(pictures, _told(teller), subject.memory)
    problems = [*found.problems, *layout.left_out(pictures, left), *_files(pictures, bodies, wish), *_captions(pictures, found, wish, subject.count_tokens)]
    teller.tell(0, len(pictures), say("Comparing the pictures"))
    good = {key for key, body in bodies.items() if body.flaw is None}
    seen = {key: one for key, one in subject.see(catalog, teller).items() if key in good}
    problems += _sets(by_key, seen, found, bodies, wish, subject.copies)
    audit = None
    if subject.reg is not None and not teller.cancelled:
        audit, told = _regularisation(subject, subject.reg, pictures, seen, wish, teller)
        problems += told
    # What training does not come to cannot stop it.
    problems = [replace(one, severity="warning") if one.severity == "error" and one.file in left else one for one in problems]
    captions = sum(one.text is not None for one in pictures)
    return Examination(len(pictures), captions, ordered(problems), len(pictures) - len(left) if found.trained else 0, audit, found.renames)


def _told(teller: Teller) -> pixels.Tell:
    def tell(done: int, total: int) -> bool:
        teller.tell(done, total)
        return not teller.cancelled

    return tell


def _files(pictures: Iterable[Picture], bodies: Mapping[str, Body], wish: Wish) -> list[Problem]:
    return [told for one in pictures if one.key in bodies for told in pixels.problems(one, bodies[one.key], wish.resolution, wish.bucket)]


def _captions(pictures: Iterable[Picture], found: Layout, wish: Wish, count_tokens: lint.Count | None) -> list[Problem]:
    told: list[Problem] = []
    for one in pictures:
        findings = [finding for finding in lint.findings(one, wish.trigger, count_tokens) if finding.kind not in OF_FILES]
        if one.key in found.renames:
            findings = [finding for finding in findings if finding.kind != "no_caption"]
            told.append(
                Problem("misnamed_caption", "warning", one.key, say("its caption lies in {file}, where training does not look", file=found.renames[one.key]))
            )
        told += [Problem(finding.kind, finding.severity, one.key, finding.what) for finding in findings]
    return told


def _sets(
    pictures: Mapping[str, Picture], seen: Mapping[str, Seen], found: Layout, bodies: Mapping[str, Body], wish: Wish, copies: Collection[str]
) -> list[Problem]:
    of_set = {key: one for key, one in seen.items() if key in pictures}
    originals = {key: one for key, one in of_set.items() if key not in copies}
    sizes = {key: body.size for key, body in bodies.items() if key in pictures and body.flaw is None}
    return [
        *(_twins(originals, pictures) if originals else []),
        *sets.tones(of_set, found.repeats),
        *sets.bars(of_set, pictures.values()),
        *sets.tiny_buckets(sizes, found.repeats, wish.resolution, wish.batch, wish.bucket),
        *sets.few(sum(key not in copies for key in pictures)),
    ]


def _twins(seen: Mapping[str, Seen], pictures: Mapping[str, Picture]) -> list[Problem]:
    from lib_lora.pictures import similar

    return sets.twins(similar.find(seen), pictures)


def _regularisation(
    subject: Subject, reg: Catalog, pictures: list[Picture], seen: Mapping[str, Seen], wish: Wish, teller: Teller
) -> tuple[regularisation.Audit | None, list[Problem]]:
    name = f"{reg.root.as_posix()}/"
    if _overlap(subject.catalog.root, reg.root):
        return None, [Problem("reg_same", "error", name, say("is, holds or lies in the folder that is trained"))]
    found = layout.look(reg.root)
    told = [Problem("reg_layout", one.severity, name, one.what) for one in found.problems if one.kind in ("layout", "inner_folder")]
    others = [one for one in reg.pictures if one.key not in found.masks]
    bodies = pixels.read_all(others, _told(teller), subject.memory)
    told += [Problem("reg_flaw", one.severity, f"{name}{one.file}", one.what) for one in _files(others, bodies, wish) if one.severity == "error"]
    told += [Problem("reg_flaw", one.severity, f"{name}{one.file}", one.what) for one in _captions(others, found, Wish(), None) if one.severity == "error"]
    keys = {one.key for one in others}
    theirs = {key: one for key, one in subject.see(reg, teller).items() if key in keys}
    origins = subject.origins
    sources = subject.see(origins.catalog, teller) if origins is not None and origins.catalog is not None else {}
    ours_of, theirs_of = ({key: one.pixels for key, one in there.items()} for there in (seen, theirs))
    trigger = wish.trigger or (origins.trigger if origins is not None else "")
    audit = regularisation.audit(pictures, others, ours_of, theirs_of, trigger)
    audit = replace(audit, alike=regularisation.alike(audit, seen, theirs, sources, origins.of if origins is not None else {}))
    return audit, told + regularisation.problems(audit, name, trigger)


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents
