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
from lib_lora.tagging.table import SCALE, Table

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Picture

FOLDER = "tags"
PARTS = 24  # files of rows before they are made one
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Entry:
    """A picture, the hash of its pixels, and its row; None where the row is there already."""

    picture: Picture
    pixels: str
    row: np.ndarray | None


def scores(state: Path, picture: Picture | None) -> Mapping[str, float]:
    """Tag → probability of a picture by the tagger asked last, raw names, the likely ones; empty where none was asked."""
    if picture is None:
        return {}
    folder = state / FOLDER
    try:
        stat = (folder / "last.json").stat()
    except OSError:
        return {}
    table, pixels = _last(folder, (stat.st_mtime_ns, stat.st_size))
    known = pixels.get(picture.key)
    if known is None or tuple(known[:2]) != tuple(picture.mark):
        return {}
    return table.scores(str(known[2]), RATING)


class Cache:
    """The rows of one model for one set. Several threads may ask; one at a time adds."""

    def __init__(self, state: Path, digest: str, labels: Labels, tagger: str) -> None:
        self._folder = state / FOLDER
        self._rows = self._folder / digest[:16]
        self._lock = threading.Lock()
        self._digest, self._tagger = digest, tagger
        self._pixels = _pixels(self._folder)
        self.table = _table(self._rows)
        if self.table.labels != labels:
            # Another list of tags beside the same graph: what the rows mean has changed.
            self._discard()
            self.table = Table.of(labels)
            _write_labels(self._rows, labels)
        self._said()

    def pixels(self, picture: Picture) -> str | None:
        """The pixels of a picture whose row is there, by its file alone: nobody has to open it. None where it is not."""
        entry = self._pixels.get(picture.key)
        if entry is None or tuple(entry[:2]) != tuple(picture.mark) or str(entry[2]) not in self.table:
            return None
        return str(entry[2])

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep these. What is written is whole, whatever happens next."""
        with self._lock:
            new = {entry.pixels: entry.row for entry in entries if entry.row is not None}
            if new:
                self._write(new)
            # Another run may have written meanwhile.
            seen = {entry.picture.key: [*entry.picture.mark, entry.pixels] for entry in entries}
            self._pixels = {**_pixels(self._folder), **self._pixels, **seen}
            write_text(self._folder / "pictures.json", json.dumps(self._pixels, ensure_ascii=False))
            self._said()

    def _write(self, rows: Mapping[str, np.ndarray]) -> None:
        new = np.stack([quantised(row) for row in rows.values()])
        grown = self.table.with_rows(list(rows), new)
        parts = _parts(self._rows)
        if len(parts) >= PARTS:
            _write_part(self._rows, parts, grown.names, grown.dense())
            for path in parts:
                path.unlink(missing_ok=True)
        else:
            _write_part(self._rows, parts, list(rows), new)
        self.table = grown

    def _said(self) -> None:
        content = json.dumps({"tagger": self._tagger, "model": self._digest, "rows": len(self.table), "pictures": len(self._pixels)})
        file = self._folder / "last.json"
        with contextlib.suppress(OSError):
            if file.is_file() and file.read_text(encoding="utf-8") == content:
                return
        write_text(file, content)

    def _discard(self) -> None:
        for path in _parts(self._rows):
            path.unlink(missing_ok=True)


def opened(state: Path, digest: str, tagger: str) -> Cache | None:
    """What is kept of a model, without the model; None where nothing is."""
    table = _table(state / FOLDER / digest[:16])
    return Cache(state, digest, table.labels, tagger) if len(table) else None


def last(state: Path) -> tuple[str, str]:
    """The tagger asked last and its model's identity; ("", "") where none was."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads((state / FOLDER / "last.json").read_text(encoding="utf-8"))
        return str(found.get("tagger", "")), str(found.get("model", ""))
    return "", ""


def quantised(row: np.ndarray) -> np.ndarray:
    """Probabilities as whole numbers of 1/32768; what is no number counts as 0."""
    return np.rint(np.clip(np.nan_to_num(row, nan=0.0), 0, 1) * SCALE).astype(np.uint16)


@lru_cache(maxsize=4)
def _last(folder: Path, stamp: tuple[int, int]) -> tuple[Table, Mapping[str, Any]]:
    del stamp
    return _table(folder / last(folder.parent)[1][:16]), _pixels(folder)


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
    return Table.of(labels).with_rows(names, np.concatenate(rows))


def _labels(folder: Path) -> Labels:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        return Labels(tuple(found["names"]), tuple(found["categories"]))
    return Labels((), ())


def _write_labels(folder: Path, labels: Labels) -> None:
    write_text(folder / "labels.json", json.dumps({"names": labels.names, "categories": labels.categories}, ensure_ascii=False))


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
