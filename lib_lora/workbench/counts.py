"""How many originals each class has: what the repeat calculator is asked, read from an open folder or from folder names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import captions
from lib_lora.repeats.problem import DIFFERENTIAL, FACE, MAIN, Problem, class_name

if TYPE_CHECKING:
    from lib_lora.editor.session import Session
    from lib_lora.pictures.picture import Catalog, Picture, Shelf
    from lib_lora.workbench.opened import Opened

DISCARD, FULL = "discard", "full"
# How folders of a class are called; the last words of a folder's name decide.
NAMES: Mapping[str, tuple[str, ...]] = {
    FACE: ("face", "faces", "head", "heads", "headshot", "headshots", "close up", "closeup", "face close up", "面部", "面部特写", "特写", "脸"),
    MAIN: ("main", "main visual", "main visuals", "upper body", "cowboy shot", "主视觉", "主视觉图"),
    FULL: ("full", "full body", "fullbody", "whole body", "全身", "全身图"),
    DISCARD: ("discard", "discarded", "rejected", "舍弃"),
    DIFFERENTIAL: ("differential", "differentials", "diff", "variants", "差分", "差分图"),
}
COLOURLESS = ("bw", "b w", "b&w", "mono", "monochrome", "greyscale", "grayscale", "grey", "gray", "black and white", "lineart", "黑白", "黑白图", "线稿")
COLOURLESS_TAGS = frozenset({"monochrome", "greyscale", "grayscale", "black and white", "lineart"})
COUNTED = re.compile(r"(?:[\s_\-.]*\(?\d+\)?|[\s_\-.][a-z])$", re.IGNORECASE)
LARGEST_GROUP = 12


@dataclass(frozen=True)
class Counts:
    """Originals by class. `notes` say what was left out, what was taken for what, and where that is a guess."""

    main: int
    face: int
    others: Mapping[str, int]
    groups: tuple[int, ...]
    mono: frozenset[str]
    notes: tuple[Message, ...] = ()

    def problem(self, flip: bool, mono: Collection[str] | None = None) -> Problem:
        """What the calculator is asked. `mono` in place of what was found."""
        return Problem(self.main, self.face, self.others, self.groups, flip, self.mono if mono is None else frozenset(mono))


@dataclass(frozen=True)
class _Sorted:
    """Keys by class, differential groups, the keys without colour, and those whose class somebody chose."""

    kinds: Mapping[str, str]
    groups: Sequence[Sequence[str]]
    grey: Collection[str]
    chosen: Collection[str]
    notes: tuple[Message, ...]


def of_opened(opened: Opened, session: Session | None = None) -> Counts:
    """From the sorted pictures of the dataset page, as far as their pixels are known. Copies count once.

    With a browser's session the classes are those of its captions as they are edited.
    """
    from lib_lora.workbench.opened import CLASS

    pictures, notes = _originals(opened.catalog)
    judged, kin = opened.kinds(session), opened.kin(wait=False)
    kinds = {picture.key: judged[picture.key].kind for picture in pictures if picture.key in judged}
    wanted = [key for key, kind in kinds.items() if kind != DISCARD]
    # In two classes they are two originals: each is prepared in its folder, with its own mirrored copy.
    same = mirrored(wanted, _of_class(kin.exact, kinds))
    flipped = mirrored([key for key in wanted if key not in same], _of_class(kin.flip, kinds))
    if same:
        notes.append(count(len(same), "1 exact copy is not counted.", "{n} exact copies are not counted."))
    if flipped:
        notes.append(count(len(flipped), "1 flipped copy is not counted.", "{n} flipped copies are not counted."))
    kinds = {key: kind for key, kind in kinds.items() if key not in same and key not in flipped}
    seen = opened.analyst.seen()
    grey = {key for key in kinds if key in seen and seen[key].tone in ("grey", "tinted")}
    return _counted(_Sorted(kinds, list(opened.groups(wait=False).values()), grey, opened.marks.section(CLASS), tuple(notes)))


def of_folder(catalog: Catalog) -> Counts:
    """From the names of the folders, and where they name no class, from the captions. Nothing but headers is read of pictures."""
    pictures, notes = _originals(catalog)
    shelves = {shelf.key: shelf for shelf in catalog.shelves}
    named = {key: class_of(shelf.concept) for key, shelf in shelves.items()}
    kinds: dict[str, str] = {}
    if any(kind in (MAIN, FACE) for kind in named.values()):
        kinds = {picture.key: _by_folder(shelves[picture.folder], named, catalog.root) for picture in pictures}
        chosen = frozenset(kinds)
    else:
        chosen = frozenset(picture.key for picture in pictures if named[picture.folder])
        kinds = {picture.key: named[picture.folder] or _by_caption(picture) for picture in pictures}
    groups = _groups_by_name([picture for picture in pictures if kinds[picture.key] == DIFFERENTIAL])
    if groups:
        notes.append(say("Differential groups are told apart by folders and file names."))
    grey = {picture.key for picture in pictures if _is_grey(picture, kinds[picture.key])}
    return _counted(_Sorted(kinds, groups, grey, chosen, tuple(notes)))


def class_of(concept: str) -> str:
    """The class that a folder's name ends with; "" where it names none."""
    words = " ".join(re.split(r"[\s_\-.]+", concept.strip().casefold()))
    ends = [(len(name), kind) for kind, names in NAMES.items() for name in names if _ends_with(words, name)]
    return max(ends)[1] if ends else ""


def mirrored(keys: Iterable[str], flips: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The keys that are a copy of another, as `flips` pairs them: of each pair the later one."""
    kept: set[str] = set()
    copies: set[str] = set()
    for key in sorted(keys):
        (copies if kept.intersection(flips.get(key, ())) else kept).add(key)
    return frozenset(copies)


def _of_class(others: Mapping[str, Sequence[str]], kinds: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Only those of the same class."""
    return {key: [one for one in many if (kinds.get(one) or MAIN) == (kinds.get(key) or MAIN)] for key, many in others.items()}


def _originals(catalog: Catalog) -> tuple[list[Picture], list[Message]]:
    from lib_lora.prepare import manifest

    copies = manifest.copies(catalog.root)
    pictures = [picture for picture in catalog.pictures if picture.flaw is None and picture.key not in copies]
    broken = sum(picture.flaw is not None for picture in catalog.pictures)
    left = len(catalog.pictures) - broken - len(pictures)
    notes = []
    if left:
        notes.append(count(left, "1 copy made by preparing is not counted.", "{n} copies made by preparing are not counted."))
    if broken:
        notes.append(count(broken, "1 picture cannot be read and is not counted.", "{n} pictures cannot be read and are not counted."))
    return pictures, notes


def _counted(found: _Sorted) -> Counts:
    kinds, notes = dict(found.kinds), list(found.notes)
    groups = []
    for group in found.groups:
        kept = [key for key in group if kinds.get(key, DISCARD) != DISCARD]
        if len(kept) > 1 or (kept and kinds[kept[0]] == DIFFERENTIAL):
            groups.append(len(kept))
            kinds.update(dict.fromkeys(kept, DIFFERENTIAL))
    unsorted = [key for key, kind in kinds.items() if not kind]
    if unsorted:
        kinds.update(dict.fromkeys(unsorted, MAIN))
        told = count(len(unsorted), "1 picture has no class yet and counts as a main visual.", "{n} pictures have no class yet and count as main visuals.")
        notes.append(told)
    totals = Counter(kinds.values())
    grey = Counter(kinds[key] for key in found.grey)
    mono = frozenset(kind for kind, n in grey.items() if 2 * n > totals[kind] and kind != DISCARD)
    if mono:
        notes.append(say("Most pictures of these classes are black and white: {names}.", names=[class_name(name) for name in sorted(mono)]))
    notes += _discarded([key for key, kind in kinds.items() if kind == DISCARD], found.chosen)
    others = {kind: totals[kind] for kind in sorted(totals) if kind not in (MAIN, FACE, DIFFERENTIAL, DISCARD)}
    return Counts(totals[MAIN], totals[FACE], others, tuple(sorted(groups)), mono, tuple(notes))


def _discarded(keys: Sequence[str], chosen: Collection[str]) -> Iterable[Message]:
    from lib_lora.prepare.sentences import named

    guessed = sorted(key for key in keys if key not in chosen)
    if len(keys) > len(guessed):
        yield count(len(keys) - len(guessed), "1 discarded picture is not counted.", "{n} discarded pictures are not counted.")
    if guessed:
        yield count(
            len(guessed),
            "1 picture is not counted because its tags look like one to discard; give it a class in the step Pictures to count it: {names}",
            "{n} pictures are not counted because their tags look like ones to discard; give them a class in the step Pictures to count them: {names}",
            names=named(guessed),
        )


def _by_folder(shelf: Shelf, named: Mapping[str, str], root: Path) -> str:
    """A folder below one of a class belongs to it; one that names none is a class of its own, but for the root itself."""
    parts = shelf.key.split("/") if shelf.key else []
    for n in range(len(parts), 0, -1):
        kind = named.get("/".join(parts[:n])) or class_of(_bare(parts[n - 1]))
        if kind:
            return kind
    return "" if not parts else shelf.concept.strip() or _bare(parts[-1]) or root.name


def _by_caption(picture: Picture) -> str:
    from lib_lora.pictures.classes import judge

    return judge(captions.tags(picture.caption), None).kind


def _is_grey(picture: Picture, kind: str) -> bool:
    words = " ".join(re.split(r"[\s_\-.]+", kind.casefold()))
    return any(_ends_with(words, name) for name in COLOURLESS) or bool(COLOURLESS_TAGS.intersection(_plain(picture)))


def _plain(picture: Picture) -> set[str]:
    return {tag.replace("_", " ").casefold().strip() for tag in captions.tags(picture.caption)}


def _groups_by_name(pictures: Sequence[Picture]) -> list[list[str]]:
    """A folder inside the folder of the class is a group; else names that differ only in what counts them. Others stand alone."""
    found: dict[tuple[str, str], list[str]] = {}
    for picture in pictures:
        own = class_of(_bare(picture.folder.rsplit("/", 1)[-1])) != DIFFERENTIAL
        found.setdefault((picture.folder, "" if own else COUNTED.sub("", picture.path.stem) or picture.path.stem), []).append(picture.key)
    groups: list[list[str]] = []
    for (_, stem), keys in found.items():
        # So many of one name are a numbered set.
        groups += [keys] if not stem or len(keys) <= LARGEST_GROUP else [[key] for key in keys]
    return groups


def _bare(name: str) -> str:
    return re.sub(r"^\s*\d+_", "", name)


def _ends_with(words: str, name: str) -> bool:
    return words == name or words.endswith(f" {name}") or (not name.isascii() and words.endswith(name))
