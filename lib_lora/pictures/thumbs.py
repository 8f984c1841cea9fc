"""Picture → a small JPEG of it in a cache folder, made once per state of the file."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

from PIL import Image

from lib_lora.pictures import pixels
from lib_lora.pictures.picture import Picture

SIDE, LARGEST = 256, 2048
QUALITY = 85
KEPT = 20_000
LARGE = 6_000_000  # pixels, from which on one is decoded at a time


def thumb(picture: Picture, cache: Path, side: int = SIDE) -> Path:
    """The file of a small copy, its longer side at most `side` pixels. DataError where the picture cannot be read.

    The copy is called by the picture's place and mark, so that a changed picture gets another one.
    """
    side = max(16, min(side, LARGEST))
    name = hashlib.sha256(f"{picture.path.absolute()}\0{picture.mark}\0{side}".encode("utf-8", "surrogatepass")).hexdigest()[:40]
    path = cache / name[:2] / f"{name[2:]}.jpg"
    if not _is_there(path):
        with _turns(picture.size[0] * picture.size[1] > LARGE):
            _write(path, pixels.small(picture.path, side))
    return path


def tidy(cache: Path, keep: int = KEPT) -> int:
    """Remove the oldest copies where there are more than `keep`; returns how many went."""
    found = [(path.stat().st_mtime, path) for path in cache.glob("*/*.jpg")]
    gone = sorted(found)[: max(0, len(found) - keep)]
    for _, path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _write(path: Path, image: Image.Image) -> None:
    # Whole or not at all, but not forced onto the disk: a copy that is lost is made again.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            image.save(file, "JPEG", quality=QUALITY)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        # Windows replaces no file that somebody reads; then another thread was faster, and its copy is as good.
        if not (isinstance(error, PermissionError) and _is_there(path)):
            raise


@lru_cache(maxsize=2)
def _turns(large: bool) -> threading.BoundedSemaphore:
    # A page asks for many at once; as many are decoded as there are cores, so that memory stays that of a few pictures.
    return threading.BoundedSemaphore(1 if large else max(2, min(6, os.cpu_count() or 2)))
