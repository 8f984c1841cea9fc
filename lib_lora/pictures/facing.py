"""Where the faces of pictures are, found in the background where somebody has a detector, and remembered by pixels."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib_lora.core.errors import LoraError
from lib_lora.core.files import write_text
from lib_lora.core.messages import Message
from lib_lora.pictures import faces, pixels
from lib_lora.pictures.faces import Detector, Face
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.seen import Seen

log = logging.getLogger(__name__)
SIDE = 1280  # more pixels a detector does not look at
FLUSH = 200
MOST = 100_000
Known = dict[str, tuple[Face, ...]]


class Finder:
    """Finds faces with the detector in `folder`; `cache` keeps what was found, a file for each detector."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self._cache = cache
        self._lock = threading.Lock()
        self._found: dict[str, tuple[str, tuple[Face, ...]]] = {}
        self.problem: Message | None = None

    def detector(self) -> Path | None:
        """The detector's file, None without one: then nothing below costs anything."""
        return faces.found_in(self.folder)

    def found(self) -> Mapping[str, tuple[Face, ...]]:
        """What was found so far, by key: a snapshot. No faces is something, not being there is not known yet."""
        with self._lock:
            return {key: found for key, (_, found) in self._found.items()}

    def found_in(self, key: str) -> tuple[Face, ...]:
        """The faces of one picture."""
        with self._lock:
            return self._found.get(key, ("", ()))[1]

    def look(self, pictures: Sequence[Picture], seen: Mapping[str, Seen], asked: threading.Event) -> None:
        """Find the faces of all pictures that were seen; ends between two of them when `asked`."""
        path = self.detector()
        if path is None:
            return
        try:
            file = self._cache / f"faces-{_digest(path)}.json"
            known = _read(file)
            self._look(Detector(path) if self._has_work(pictures, seen, known) else None, pictures, seen, known, file, asked)
        except LoraError as error:
            self.problem = error.messages[0]
        except OSError as error:
            log.warning("%s: %s", path, error)

    def _has_work(self, pictures: Sequence[Picture], seen: Mapping[str, Seen], known: Known) -> bool:
        return any(one.key in seen and seen[one.key].pixels not in known for one in pictures)

    def _look(self, detector: Detector | None, pictures: Sequence[Picture], seen: Mapping[str, Seen], known: Known, file: Path, asked: threading.Event) -> None:
        fresh = 0
        for picture in pictures:
            if asked.is_set() or picture.key not in seen:
                continue
            name = seen[picture.key].pixels
            if name not in known and detector is not None:
                known[name] = _faces(detector, picture)
                fresh += 1
                if fresh % FLUSH == 0:
                    _write(file, known)
            with self._lock:
                self._found[picture.key] = (name, known.get(name, ()))
        if fresh:
            _write(file, known)

    def keep(self, seen: Mapping[str, Seen]) -> None:
        """Forget what was found in pictures that are gone or have changed."""
        with self._lock:
            self._found = {key: held for key, held in self._found.items() if key in seen and seen[key].pixels == held[0]}


def _faces(detector: Detector, picture: Picture) -> tuple[Face, ...]:
    try:
        image = pixels.small(picture.path, SIDE)
    except LoraError:
        return ()
    scale = picture.size[0] / image.width
    return tuple(Face(tuple(value * scale for value in face.box), face.score) for face in detector.faces(image))


def _digest(path: Path) -> str:
    stat = path.stat()
    return hashlib.sha256(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _read(file: Path) -> Known:
    try:
        raw = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return {str(name): tuple(_face(one) for one in found) for name, found in raw.items()}
    except (ValueError, TypeError, AttributeError):
        # What cannot be read is found again.
        return {}


def _face(raw: Any) -> Face:
    left, top, right, bottom, score = (float(value) for value in raw)
    return Face((left, top, right, bottom), score)


def _write(file: Path, known: Known) -> None:
    kept = dict(list(known.items())[-MOST:])
    write_text(file, json.dumps({name: [[*face.box, face.score] for face in found] for name, found in kept.items()}))
