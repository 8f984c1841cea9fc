"""Folder → items: which pictures there are, what their captions say, and everything that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lib_lora.core.errors import DataError
from lib_lora.core.files import typed_path
from lib_lora.core.messages import Message, say
from lib_lora.dataset import buckets, folders, images, texts
from lib_lora.dataset.config import BucketConfig, CaptionConfig, DataConfig
from lib_lora.dataset.findings import Report
from lib_lora.dataset.folders import Folder

Look = Callable[[Path], images.Look]


@dataclass(frozen=True)
class Item:
    """A picture to train on. `size` is (width, height) as seen (EXIF applied); `stamp` hashes the file's bytes.

    `caption` is the first line of its text file, or the folder's concept where there is none.
    """

    path: Path
    size: tuple[int, int]
    repeats: int
    caption: str
    concept: str
    stamp: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds. Nothing may start while there are problems; warnings are for reading."""

    items: tuple[Item, ...]
    problems: tuple[Message, ...]
    warnings: tuple[Message, ...]


class Looks:
    """Remembers what was seen in files, so that a form that asks again and again is answered at once.

    A file counts as seen while its size and both its times are the same; a training scans without it and trusts nothing.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int, int], images.Look]] = {}

    def look(self, path: Path) -> images.Look:
        """`images.look`, from memory where the file has not been touched since."""
        try:
            stat = path.stat()
        except OSError:
            return images.look(path)
        mark = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if path not in self._seen or self._seen[path][0] != mark:
            self._seen[path] = (mark, images.look(path))
        return self._seen[path][1]


def scan(data: DataConfig, caption: CaptionConfig, bucket: BucketConfig | None = None, look: Look = images.look) -> Scan:
    """Read the picture folder: all items in a fixed order, all problems at once.

    Pictures lie in folders named N_concept (N = repeats, as sd-scripts reads the name), directly in the folder
    (`data.repeats`), or both. With `bucket`, pictures too small for it are among the problems. `look` may be
    `Looks().look` where the same folder is asked for often.
    """
    if not data.folder.strip():
        return _nothing(say("data.folder: choose the folder that holds the pictures"))
    try:
        root = typed_path(data.folder)
    except ValueError as error:
        return _nothing(say("{folder}: this is not a path ({why})", folder=data.folder, why=str(error)))
    if root.is_file():
        return _nothing(say("{folder}: this is a file; choose the folder it lies in", folder=str(root)))
    if not root.is_dir():
        return _nothing(say("{folder}: there is no such folder", folder=str(root)))
    report = Report(root)
    try:
        found = folders.find(root, data.repeats, report)
    except OSError as error:
        return _nothing(say("{folder}: this folder cannot be read ({why})", folder=str(error.filename or root), why=error.strerror or str(error)))
    items = _items(found, data, caption, report, look)
    if bucket is not None:
        for item, flaw in buckets.flaws(items, data.resolution, bucket):
            report.problems.add("small", say("{file}: {problem}", file=report.name(item.path), problem=flaw))
    return Scan(tuple(items), report.problems.capped(), report.warnings.capped())


def require(scan: Scan) -> tuple[Item, ...]:
    """The items, or one DataError with everything that is wrong."""
    if scan.problems:
        raise DataError(*scan.problems)
    return scan.items


def _nothing(problem: Message) -> Scan:
    return Scan((), (problem,), ())


def _items(found: list[Folder], data: DataConfig, caption: CaptionConfig, report: Report, look: Look) -> list[Item]:
    paths = [path for folder in found for path in folder.pictures]
    # Pillow, zlib and hashlib let go of the interpreter while they work, so that threads use all cores.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        looks = dict(zip(paths, pool.map(look, paths), strict=True))
    readable = {path for path in paths if _is_readable(path, looks[path], data.skip_unreadable, report)}
    items: list[Item] = []
    for folder in found:
        said = texts.read(folder, caption, report)
        usable = [path for path in folder.pictures if path in readable and path in said]
        items += [Item(path, looks[path].size, folder.repeats, said[path], folder.concept, looks[path].stamp) for path in usable]
    if paths and not readable and data.skip_unreadable:
        report.problems.add("none", say("{folder}: not one picture in it can be read", folder=report.name(report.root)))
    report.animated([path for path, seen in looks.items() if seen.animated])
    return items


def _is_readable(path: Path, seen: images.Look, skip: bool, report: Report) -> bool:
    if seen.flaw is None:
        return True
    if skip:
        report.warnings.add("unreadable", say("{file}: skipped, this picture cannot be read: {reason}", file=report.name(path), reason=seen.flaw))
    else:
        report.problems.add("unreadable", images.unreadable(report.name(path), seen.flaw))
    return False
