"""A folder that is open on the dataset page: its catalogue, its pixels, its decisions, and who edits it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.workbench.marks import Marks

if TYPE_CHECKING:
    from lib_lora.editor.session import Session
    from lib_lora.pictures.analyst import Analyst
    from lib_lora.pictures.picture import Catalog

SESSIONS = 20


def set_id(root: Path) -> str:
    """What a folder is called in addresses: the same after a restart."""
    return hashlib.sha256(str(root).encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Opened:
    """One folder. `state` is a folder of ours for what is remembered about it. Snapshots are swapped, never changed."""

    def __init__(self, root: Path, state: Path) -> None:
        from lib_lora.pictures import catalog
        from lib_lora.pictures.analyst import Analyst

        self.root = root
        self.id = set_id(root)
        self.state = state / "sets" / self.id
        self.marks = Marks(self.state / "marks.json")
        self.catalog: Catalog = catalog.read(root)
        self.analyst: Analyst = Analyst(state / "pictures")
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def refresh(self) -> Catalog:
        """Read the folder anew; edits that are not saved stay in their sessions."""
        from lib_lora.pictures import catalog

        found = catalog.read(self.root)
        with self._lock:
            self.catalog = found
            for session in self._sessions.values():
                session.follow(found)
        return found

    def session(self, client: str) -> Session:
        """What one browser edits; another browser has another."""
        from lib_lora.editor.session import Session

        with self._lock:
            if client not in self._sessions:
                idle = [name for name, session in self._sessions.items() if not session.unsaved()]
                for name in idle[: max(0, len(self._sessions) - SESSIONS + 1)]:
                    del self._sessions[name]
                self._sessions[client] = Session(self.catalog, self.state)
            return self._sessions[client]

    def scores(self, key: str) -> Mapping[str, float]:
        """What a tagger said of a picture (tag → probability), from the cache; empty where none was asked."""
        from lib_lora.tagging import cache

        return cache.scores(self.state, self.catalog.by_key().get(key))
