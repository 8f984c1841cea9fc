"""Picture folder → the folders whose pictures count, and what lies in each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lib_lora.core.files import typed_path
from lib_lora.core.messages import count, say
from lib_lora.dataset import images
from lib_lora.dataset.findings import Report

CAPTION_SUFFIX = ".txt"


@dataclass(frozen=True)
class Folder:
    """A folder with pictures directly in it. `texts` are its caption files by stem; `concept` may be empty."""

    path: Path
    repeats: int
    concept: str
    pictures: tuple[Path, ...]
    texts: dict[str, Path]


def find(root: Path, repeats: int, report: Report) -> list[Folder]:
    """The root where it has pictures itself, and the N_concept folders directly in it."""
    own = params(root.name)
    direct = any(_is_picture(path) for path in _entries(root))
    wanted = [(root, repeats, own[1] if own else "")] if direct else []
    numbered = [(path, *found) for path in _entries(root) if path.is_dir() and (found := _usable(path, report))]
    if direct and own and own[0] != repeats:
        message = say(
            "The pictures lie directly in {folder}: each is repeated {repeats} times (data.repeats), not {n}. Choose the folder above it to use its number.",
            folder=root.name,
            repeats=repeats,
            n=own[0],
        )
        report.warnings.add("own", message)
    if direct and numbered:
        report.warnings.add("both", say("Pictures lie both in {folder} itself and in its N_concept folders; all of them are used.", folder=root.name))
    if not direct and not numbered:
        message = say(
            "{folder}: no pictures ({kinds}) in it, and no folder named N_concept, such as 10_cat, with pictures in it",
            folder=report.name(root),
            kinds=images.SUFFIXES,
        )
        report.problems.add("empty", message)
    return [_read(path, n, concept, report) for path, n, concept in [*wanted, *numbered]]


def name_repeats(folder: str) -> bool:
    """Whether all pictures of a folder lie in N_concept folders, so that those names say how often each is repeated."""
    try:
        entries = _entries(typed_path(folder)) if folder.strip() else []
        numbered = any(found and found[0] >= 1 for path in entries if (found := params(path.name)) and path.is_dir())
        return numbered and not any(_is_picture(path) for path in entries)
    except (OSError, ValueError):
        return False


def params(name: str) -> tuple[int, str] | None:
    """N_concept → (N, concept) as sd-scripts splits it, or None where the name does not begin with a number."""
    first, _, concept = name.partition("_")
    try:
        return int(first), concept
    except ValueError:
        return None


def _usable(folder: Path, report: Report) -> tuple[int, str] | None:
    found = params(folder.name)
    if found and found[0] >= 1:
        return found
    if any(_is_picture(path) for path in _entries(folder)):
        message = say(
            "{folder}: left out, because its name does not begin with a number of repeats of 1 or more; rename it to N_concept, such as 10_{folder}",
            folder=folder.name,
        )
        report.warnings.add("unnumbered", message)
    return None


def _read(path: Path, repeats: int, concept: str, report: Report) -> Folder:
    entries = _entries(path)
    folder = Folder(path, repeats, concept, tuple(entry for entry in entries if _is_picture(entry)), _texts(entries))
    if not folder.pictures:
        message = say("{folder}: no pictures ({kinds}) in this folder; add some or remove it", folder=report.name(path), kinds=images.SUFFIXES)
        report.problems.add("empty", message)
    _check_stems(folder, report)
    others = [entry for entry in entries if entry.suffix.lower() in images.OTHER_SUFFIXES]
    if others:
        message = count(
            len(others),
            "1 picture of a kind that is not read: {names}. Convert it to PNG.",
            "{n} pictures of kinds that are not read: {names}. Convert them to PNG.",
            names=report.names(others),
        )
        report.warnings.add("other", message)
    # The folders in the root have been judged by their names already.
    deeper = [entry for entry in entries if path != report.root and entry.is_dir() and any(_is_picture(inner) for inner in _entries(entry))]
    if deeper:
        message = say("Pictures in folders inside {folder} are not read: {names}", folder=report.name(path), names=report.names(deeper))
        report.warnings.add("deeper", message)
    return folder


def _check_stems(folder: Folder, report: Report) -> None:
    stems: dict[str, Path] = {}
    for path in folder.pictures:
        first = stems.setdefault(os.path.normcase(path.stem), path)
        if first is not path:
            text = f"{path.stem}{CAPTION_SUFFIX}"
            message = say("{first} and {second} share one caption file, {text}; rename one of them", first=report.name(first), second=path.name, text=text)
            report.problems.add("stem", message)


def _entries(folder: Path) -> list[Path]:
    # By name and not by the system's order, so that a seed means the same on every machine.
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in images.SUFFIXES and path.is_file()


def _texts(entries: list[Path]) -> dict[str, Path]:
    texts = {path.stem: path for path in entries if path.suffix.lower() == CAPTION_SUFFIX}
    # The usual spelling wins where a system that knows case has both.
    texts.update({path.stem: path for path in entries if path.suffix == CAPTION_SUFFIX})
    return texts
