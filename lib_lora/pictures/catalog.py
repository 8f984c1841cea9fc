"""Folder → catalogue: every picture below it with its size and caption, read fast and never raising on what lies there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from lib_lora.core.files import is_special, is_within
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import folders, images
from lib_lora.dataset.findings import Report
from lib_lora.dataset.folders import CAPTION_SUFFIX
from lib_lora.pictures.headers import peek
from lib_lora.pictures.picture import Catalog, Picture, Shelf

MOST, MOST_FOLDERS = 50_000, 20_000
LONGEST_TEXT = 1 << 20
MASK = "-masklabel"
# What trainers and tools keep beside pictures and what is no picture of the set.
CONDITIONING = "conditioning"
MASKS = ("mask", "masks")
SYSTEM = ("__macosx", "$recycle.bin", "system volume information", "@eadir", "#recycle", "node_modules", "__pycache__")
# The folder a host keeps our caches in, known by what lies in it.
OURS, OUR_ROOMS = "lora_studio", ("cache", "sets", "trash", "pictures")
HIDDEN = 2  # Windows' attribute
# Told after each folder: how many pictures and folders were found so far.
Watch = Callable[[int, int], None]


@dataclass
class _Folder:
    """A folder while it is read. `texts` are its caption files by stem as the system compares names."""

    path: Path
    key: str
    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    texts: dict[str, Path] = field(default_factory=dict)
    inner: list[Path] = field(default_factory=list)


def read(root: Path, roots: Sequence[Path] | None = None, watch: Watch | None = None) -> Catalog:
    """All pictures below `root`, in folders of any name and depth, ordered by key.

    Hidden, system and our own folders, masks and conditioning pictures are no part of it. Links are followed, but no
    folder is read twice and none outside of `roots` (None: anywhere). What is wrong with something is told in
    `problems` and, where it is a picture's, in that picture. `watch` may raise to give up.
    """
    report = Report(root)
    found = list(_walk(root, roots, report, watch))
    paths = [path for folder in found for path in folder.pictures]
    with ThreadPoolExecutor(max_workers=min(8, 2 * (os.cpu_count() or 1))) as pool:
        pictures = list(pool.map(lambda one: _picture(*one, roots, report), ((folder, path) for folder in found for path in folder.pictures)))
    pictures = _with_shares(pictures)
    _tell(pictures, dict(zip((one.key for one in pictures), paths, strict=True)), report)
    for folder in found:
        _tell_others(folder, report)
    shelves = tuple(sorted((_shelf(folder) for folder in found if folder.pictures), key=lambda shelf: shelf.key))
    problems = report.problems.capped() + report.warnings.capped()
    return Catalog(root, tuple(sorted(pictures, key=lambda one: one.key)), shelves, problems, None if roots is None else tuple(roots))


def _walk(root: Path, roots: Sequence[Path] | None, report: Report, watch: Watch | None) -> Iterator[_Folder]:
    base = root.resolve()
    seen, waiting, pictures = {base}, [root], 0
    while waiting:
        folder = _list(waiting.pop(), root, report)
        folder.pictures = [path for path in folder.pictures if not _leads_out(path, roots, report)]
        if pictures + len(folder.pictures) > MOST or len(seen) > MOST_FOLDERS:
            report.problems.add(
                "most", say("{folder}: too many pictures or folders; the first {n} pictures are shown. Open a folder inside it.", folder=root.name, n=pictures)
            )
            return
        pictures += len(folder.pictures)
        if watch is not None:
            watch(pictures, len(seen))
        below: list[Path] = []
        # Links last: what can be reached without one is called by its own name.
        for path in sorted(folder.inner, key=lambda one: (one.is_symlink(), one.name)):
            real = _real(path, report)
            if real is None or _is_left_out(path, folder, report):
                continue
            if path.is_symlink() and (base == real or base in real.parents):
                report.warnings.add("loop", say("{folder}: this link leads to what is read already; it is not followed", folder=report.name(path)))
            elif not _leads_out(path, roots, report) and real not in seen:
                seen.add(real)
                below.append(path)
        waiting += reversed(below)
        yield folder


def _list(path: Path, root: Path, report: Report) -> _Folder:
    folder = _Folder(path, "" if path == root else path.relative_to(root).as_posix())
    try:
        with os.scandir(path) as entries:
            listed = sorted((entry for entry in entries if not _is_hidden(entry)), key=lambda entry: entry.name)
    except OSError as error:
        report.problems.add("closed", say("{folder}: this folder cannot be read ({why})", folder=report.name(path), why=error.strerror or str(error)))
        return folder
    for entry in listed:
        if not _is_text(entry.name):
            report.problems.add("name", say("{file}: this name is no valid text on this system; rename it", file=report.name(path / entry.name)))
        elif _is_dir(entry):
            folder.inner.append(path / entry.name)
        else:
            _sort_in(folder, path / entry.name)
    return folder


def _sort_in(folder: _Folder, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == CAPTION_SUFFIX:
        # The usual spelling wins where a system that knows case has both.
        if path.suffix == CAPTION_SUFFIX or _stem(path) not in folder.texts:
            folder.texts[_stem(path)] = path
    elif suffix in images.SUFFIXES and not path.stem.endswith(MASK):
        folder.pictures.append(path)
    elif suffix in images.OTHER_SUFFIXES:
        folder.others.append(path)


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return True
    try:
        return bool(getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0) & HIDDEN) if os.name == "nt" else False
    except OSError:
        return False


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_left_out(path: Path, folder: _Folder, report: Report) -> bool:
    name = path.name.lower()
    if name in SYSTEM or (name == OURS and any((path / room).is_dir() for room in OUR_ROOMS)):
        return True
    if name.startswith(CONDITIONING) or (name in MASKS and _is_mirror(path, folder)):
        report.warnings.add("mask", say("{folder}: left out, it holds masks or conditioning pictures and not pictures of the set", folder=report.name(path)))
        return True
    return False


def _leads_out(path: Path, roots: Sequence[Path] | None, report: Report) -> bool:
    if not _is_led_out(path, roots):
        return False
    report.warnings.add("outside", say("{folder}: this link leads out of the folders this server has opened; it is not followed", folder=report.name(path)))
    return True


def _is_led_out(path: Path, roots: Sequence[Path] | None) -> bool:
    try:
        return roots is not None and path.is_symlink() and not is_within(path, list(roots))
    except (OSError, RuntimeError):  # a link in a circle leads nowhere
        return False


def _is_mirror(path: Path, folder: _Folder) -> bool:
    """Whether all pictures of a folder have a picture of the same stem beside the folder."""
    stems = {_stem(one) for one in folder.pictures}
    try:
        names = list(path.iterdir())
    except OSError:
        return False
    return all(_stem(one) in stems for one in names if one.suffix.lower() in images.SUFFIXES)


def _real(path: Path, report: Report) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # Python 3.10 raises RuntimeError for links in a circle
        report.problems.add("loop", say("{folder}: this link leads in a circle; it is not followed", folder=report.name(path)))
        return None


def _stem(path: Path) -> str:
    return os.path.normcase(path.stem)


def _picture(folder: _Folder, path: Path, roots: Sequence[Path] | None, report: Report) -> Picture:
    key = f"{folder.key}/{path.name}" if folder.key else path.name
    try:
        stat = path.stat()
    except OSError as error:
        flaw = say("the file cannot be opened ({why})", why=error.strerror or str(error))
        return Picture(key, path, (0, 0), folder.key, None, (0, 0), flaw)
    text, text_flaw = _text(folder.texts.get(_stem(path)), roots, report)
    if is_special(stat.st_mode):
        return Picture(key, path, (0, 0), folder.key, text, (0, 0), say("it is no ordinary file"), text_flaw)
    seen = peek(path)
    mark = (stat.st_size, stat.st_mtime_ns)
    return Picture(key, path, seen.size, folder.key, text, mark, seen.flaw, text_flaw, seen.animated, seen.notes)


def _text(path: Path | None, roots: Sequence[Path] | None, report: Report) -> tuple[str | None, Message | None]:
    if path is None:
        return None, None
    if _is_led_out(path, roots):
        return None, say("{folder}: this link leads out of the folders this server has opened; it is not followed", folder=report.name(path))
    try:
        if is_special(path.stat().st_mode):
            return None, say("{file}: this caption cannot be opened ({why})", file=report.name(path), why=say("it is no ordinary file"))
        with path.open("rb") as file:
            content = file.read(LONGEST_TEXT + 1)
    except OSError as error:
        return None, say("{file}: this caption cannot be opened ({why})", file=report.name(path), why=error.strerror or str(error))
    if len(content) > LONGEST_TEXT:
        return None, say("{file}: this file is far too long for a caption", file=report.name(path))
    try:
        # utf-8-sig: Windows' editors put a mark before the text, which is none of it.
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return None, say("{file}: this caption is not UTF-8 text; save it as UTF-8", file=report.name(path))


def _with_shares(pictures: Iterable[Picture]) -> list[Picture]:
    """Pictures of one folder that differ in their suffix only read the same caption file."""
    first: dict[str, str] = {}
    shared: list[Picture] = []
    for one in pictures:
        text = os.path.normcase(str(one.text_path))
        other = first.setdefault(text, one.key)
        shared.append(one if other == one.key else replace(one, shares=other))
    back = {one.shares: one.key for one in shared if one.shares}
    return [replace(one, shares=back[one.key]) if one.key in back else one for one in shared]


def _tell(pictures: Sequence[Picture], paths: Mapping[str, Path], report: Report) -> None:
    for one in pictures:
        if one.flaw is not None:
            report.problems.add("unreadable", images.unreadable(report.name(paths[one.key]), one.flaw))
        if one.text_flaw is not None:
            report.problems.add("caption", one.text_flaw)
        if one.shares and one.shares < one.key:
            name = one.text_path.name
            report.problems.add(
                "stem", say("{first} and {second} share one caption file, {text}; rename one of them", first=one.shares, second=one.key, text=name)
            )
    report.animated([paths[one.key] for one in pictures if one.animated])
    odd: dict[str, tuple[Message, list[Path]]] = {}
    for one in pictures:
        for note in one.notes[1:] if one.animated else one.notes:
            odd.setdefault(note.template, (note, []))[1].append(paths[one.key])
    for note, noted in odd.values():
        report.warnings.add("odd", say("{names}: {note}", names=report.names(noted), note=note))


def _tell_others(folder: _Folder, report: Report) -> None:
    if folder.others:
        message = count(
            len(folder.others),
            "1 picture of a kind that is not read: {names}. Convert it to PNG.",
            "{n} pictures of kinds that are not read: {names}. Convert them to PNG.",
            names=report.names(folder.others),
        )
        report.warnings.add("other", message)


def _shelf(folder: _Folder) -> Shelf:
    name = folder.path.name
    found = folders.params(name)
    if found is None or found[0] < 1:
        return Shelf(folder.key, folder.path, None, name, len(folder.pictures))
    return Shelf(folder.key, folder.path, found[0], found[1], len(folder.pictures))
