"""Edits that are not saved, kept aside: they outlive a restart of the server and a folder that was closed meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from lib_lora.core.files import write_text

DRAFTS = "drafts"
PAUSE = 0.5  # seconds: quick edits one after the other are written once
# By caption file: the text it stands on, and the caption; None where there is no file.
Texts = Mapping[str, tuple[str | None, str | None]]


class Draft:
    """What one browser has not saved of one folder. Written a moment after the last edit, by a thread of its own."""

    def __init__(self, state: Path, client: str) -> None:
        name = hashlib.sha256(client.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.file = state / DRAFTS / f"{name}.json"
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def read(self) -> Texts:
        """What was kept; nothing where there is none, or none that can be read."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            raw = json.loads(self.file.read_text(encoding="utf-8"))
            return {file: (one["read"], one["now"]) for file, one in raw.items()}
        return {}

    def soon(self, texts: Callable[[], Texts]) -> None:
        """Write what `texts` gives then."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(PAUSE, self._write, [texts])
                self._timer.daemon = True
                self._timer.start()

    def now(self, texts: Callable[[], Texts]) -> None:
        """Write it at once, where something waits to be written."""
        with self._lock:
            waiting, self._timer = self._timer, None
        if waiting is not None:
            waiting.cancel()
            self.write(texts())

    def _write(self, texts: Callable[[], Texts]) -> None:
        with self._lock:
            self._timer = None
        self.write(texts())

    def write(self, texts: Texts) -> None:
        """Write it now."""
        # A full disk must not end the work on captions: it is told when they are saved.
        with contextlib.suppress(OSError):
            if texts:
                write_text(self.file, json.dumps({file: {"read": read, "now": now} for file, (read, now) in texts.items()}))
            else:
                self.file.unlink(missing_ok=True)
