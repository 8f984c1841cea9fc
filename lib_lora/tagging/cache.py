"""What taggers said, kept: a row of probabilities per picture and model, by the pixels, so that thresholds can move freely.

Below a set's state folder: tags/last.json names the model asked last; tags/pictures.json which pixels a picture's file
holds; tags/<model>/ its list of tags and rows in files that are written once. A row is 16 bit numbers of 1/32768.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib_lora.core.files import write_atomic, write_text
from lib_lora.tagging.labels import RATING, Labels
from lib_lora.tagging.table import Table, quantised

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Picture

FOLDER, SENTENCES = "tags", "sentences.json"
PARTS = 24  # files of rows before they are made one
Stamp = tuple[int, ...]
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Entry:
    """A picture, the hash of its pixels, and its row (None where that is there already); a sentence where one was written."""

    picture: Picture
    pixels: str
    row: np.ndarray | None
    sentence: str = ""


def scores(state: Path, picture: Picture | None) -> Mapping[str, float]:
    """Tag → probability of a picture by the tagger asked last, raw names, the likely ones; empty where none was asked."""
    if picture is None:
        return {}
    stamp = _stamp(state / FOLDER)
    digest = _last(state / FOLDER, stamp)[1] if stamp else ""
    if not digest:
        return {}
    cache = at(state, digest)
    cache.look()
    pixels = cache.pixels(picture)
    return cache.table.scores(pixels, RATING) if pixels else {}


def last(state: Path) -> tuple[str, str]:
    """The tagger asked last and its model's identity; ("", "") where none was."""
    return _last(state / FOLDER, _stamp(state / FOLDER))


def version(state: Path) -> Stamp:
    """Changes whenever something was added for a set, by whomever."""
    return _stamp(state / FOLDER)


@lru_cache(maxsize=4)
def at(state: Path, digest: str) -> Cache:
    """What is kept for a set of what a model said."""
    return Cache(state, digest)


class Cache:
    """The rows of one model for one set. Several threads may ask; one at a time adds. What others write is seen by `look`."""

    def __init__(self, state: Path, digest: str) -> None:
        self._folder = state / FOLDER
        self._rows = self._folder / digest[:16]
        self._lock = threading.RLock()
        self._digest = digest
        self._seen: Stamp | None = None
        self._pixels: dict[str, Any] = {}
        self.table = Table.of(Labels((), ()))
        self.look()

    def look(self) -> None:
        """Read what is on the disk, where that has changed."""
        if _stamp(self._folder) == self._seen:
            return
        with self._lock:
            self._seen = _stamp(self._folder)
            self._pixels = _pixels(self._folder)
            self.table = _table(self._rows)

    def begin(self, labels: Labels, tagger: str) -> None:
        """A tagger is asked now: its list of tags is what the rows are of, and it is the one asked last."""
        with self._lock:
            self.look()
            if self.table.labels != labels:
                # Another list beside the same graph: the rows mean something else now.
                for path in _parts(self._rows):
                    path.unlink(missing_ok=True)
                self.table = Table.of(labels)
                content = json.dumps({"names": labels.names, "categories": labels.categories}, ensure_ascii=False)
                write_text(self._rows / "labels.json", content)
            self._say(tagger)

    def pixels(self, picture: Picture) -> str | None:
        """The pixels of a picture whose row is there, by its file alone: nobody has to open it. None where it is not."""
        entry = self._pixels.get(picture.key)
        if entry is None or tuple(entry[:2]) != tuple(picture.mark) or str(entry[2]) not in self.table:
            return None
        return str(entry[2])

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep these. What is written is whole, whatever happens next."""
        with self._lock:
            self.look()
            new = {entry.pixels: entry.row for entry in entries if entry.row is not None}
            if new:
                self._write(new, {entry.pixels: entry.sentence for entry in entries if entry.sentence})
            self._pixels = {**self._pixels, **{entry.picture.key: [*entry.picture.mark, entry.pixels] for entry in entries}}
            write_text(self._folder / "pictures.json", json.dumps(self._pixels, ensure_ascii=False))
            self._say(_last(self._folder, _stamp(self._folder))[0])

    def _write(self, rows: Mapping[str, np.ndarray], sentences: Mapping[str, str]) -> None:
        new = np.stack([quantised(row) for row in rows.values()])
        grown = self.table.with_rows(list(rows), new, sentences)
        if sentences:
            write_text(self._rows / SENTENCES, json.dumps(dict(grown.sentences), ensure_ascii=False))
        parts = _parts(self._rows)
        if len(parts) >= PARTS:
            _write_part(self._rows, parts, grown.names, grown.dense())
            for path in parts:
                path.unlink(missing_ok=True)
        else:
            _write_part(self._rows, parts, list(rows), new)
        self.table = grown

    def _say(self, tagger: str) -> None:
        model = self._digest
        if not self.table.labels.names:
            # What writes sentences leaves the word on classes and features to the one that gave probabilities.
            before = _last(self._folder, _stamp(self._folder))
            tagger, model = before if all(before) else (tagger, model)
        about = {"tagger": tagger, "model": model, "rows": len(self.table), "pictures": len(self._pixels)}
        write_text(self._folder / "last.json", json.dumps(about))
        self._seen = _stamp(self._folder)


@lru_cache(maxsize=16)
def _last(folder: Path, stamp: Stamp) -> tuple[str, str]:
    del stamp
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads((folder / "last.json").read_text(encoding="utf-8"))
        return str(found.get("tagger", "")), str(found.get("model", ""))
    return "", ""


def _stamp(folder: Path) -> Stamp:
    """Changes whenever something was added, by whomever."""
    try:
        stat = (folder / "last.json").stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _table(folder: Path) -> Table:
    labels = _labels(folder)
    names: list[str] = []
    rows = [np.zeros((0, len(labels.names)), np.uint16)]
    for path in _parts(folder):
        # A file that cannot be read costs its rows, which can be made again.
        with contextlib.suppress(*DAMAGE), path.open("rb") as file, np.load(file, allow_pickle=False) as part:
            found = part["rows"]
            pixels = [bytes(one).hex() for one in part["pixels"]]
            if found.dtype == np.uint16 and found.shape == (len(pixels), len(labels.names)):
                names += pixels
                rows.append(found)
    return Table.of(labels).with_rows(names, np.concatenate(rows), _sentences(folder))


def _sentences(folder: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / SENTENCES).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {str(name): str(text) for name, text in found.items()}
    return {}


def _labels(folder: Path) -> Labels:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        return Labels(tuple(found["names"]), tuple(found["categories"]))
    return Labels((), ())


def _write_part(folder: Path, parts: list[Path], pixels: list[str], rows: np.ndarray) -> None:
    number = 1 + max((int(path.stem.partition("-")[2]) for path in parts), default=0)
    content = io.BytesIO()
    np.savez(content, pixels=np.array([list(bytes.fromhex(one)) for one in pixels], dtype=np.uint8), rows=rows)
    write_atomic(folder / f"rows-{number}.npz", lambda file: file.write(content.getbuffer()) and None)


def _parts(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("rows-*.npz") if path.stem.partition("-")[2].isdecimal()] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.stem.partition("-")[2]))


def _pixels(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / "pictures.json").read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {key: entry for key, entry in found.items() if isinstance(entry, list) and len(entry) == 3}
    return {}
