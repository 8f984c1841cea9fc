"""What a user decided about pictures (a class, a group), kept beside our caches and never in the user's folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lib_lora.core.files import write_text

Sections = Mapping[str, Mapping[str, Any]]


class Marks:
    """Decisions by section ("class", "group", …) and picture key, in one JSON file that is replaced whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._sections: Sections = _read(file)

    def section(self, name: str) -> Mapping[str, Any]:
        """All decisions of a section by key; a snapshot."""
        return self._sections.get(name, MappingProxyType({}))

    def change(self, name: str, decisions: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write decisions; None takes one back. Returns what stood there before, to be handed to `change` as the undo."""
        with self._lock:
            now = dict(self.section(name))
            before = {key: now.get(key) for key in decisions}
            now.update(decisions)
            kept = {key: value for key, value in now.items() if value is not None}
            sections = {**self._sections, name: kept}
            write_text(self.file, json.dumps(sections, ensure_ascii=False, indent=1, sort_keys=True))
            self._sections = sections
            return before


def _read(file: Path) -> Sections:
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        # Decisions that cannot be read are made anew; the file stays until then, for whoever wants to look.
        return {}
    return found if isinstance(found, dict) and all(isinstance(section, dict) for section in found.values()) else {}
