"""The identity of a model file: its SHA-256, computed once and remembered while the file stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from functools import lru_cache
from pathlib import Path

from lib_lora.core.files import write_text

CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def remembered(path: Path, state: Path) -> str:
    """The SHA-256, from memory where size and date are what they were: reading a gigabyte takes seconds."""
    with _reading(path):
        return _remembered(path, state)


@lru_cache(maxsize=64)
def _reading(path: Path) -> threading.Lock:
    """Who asks for the same file meanwhile waits instead of reading it, too."""
    del path
    return threading.Lock()


def _remembered(path: Path, state: Path) -> str:
    stat = path.stat()
    key, mark = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    file = state / "models.json"
    known: dict[str, list[object]] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(file.read_text(encoding="utf-8"))
    entry = known.get(key) if isinstance(known, dict) else None
    if entry and entry[:2] == mark:
        return str(entry[2])
    found = sha256(path)
    kept = dict(list(known.items())[-50:]) if isinstance(known, dict) else {}
    with contextlib.suppress(OSError):
        write_text(file, json.dumps({**kept, key: [*mark, found]}, indent=1))
    return found
