"""The project's own record: where each file comes from, so that copies are no originals and an update knows what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lib_lora.core.files import write_text
from lib_lora.prepare.plan import ORIGINAL

NAME = "lora_studio_project.json"
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One picture of the project. `file` is its path in it with "/"; `key` names the original, `role` what it is of it.

    `recipe` and `mark` tell whether it would be made the same way again; `stored` is (bytes, mtime_ns) and `hash` its
    content as we wrote it; `text` the hash of the caption we wrote, "" without one.
    """

    file: str
    key: str
    role: str
    number: int
    recipe: str
    mark: tuple[int, int]
    stored: tuple[int, int]
    hash: str
    text: str = ""

    @property
    def identity(self) -> str:
        """By what it is known again, whatever its folder is called."""
        return f"{self.role}:{self.number}:{self.key}"

    @property
    def caption(self) -> str:
        """Its caption file, as `file` is."""
        return f"{self.file.rpartition('.')[0]}.txt"


@dataclass(frozen=True)
class Manifest:
    """All of a project. `source` is the folder it was made of; `removed` are pictures the user took out of it.

    `before` is the folder beside it in which the project lies as it was before the last update; "" for a new one.
    """

    source: str
    entries: tuple[Entry, ...]
    removed: tuple[str, ...] = ()
    before: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    folders: tuple[Mapping[str, Any], ...] = ()

    def by_identity(self) -> dict[str, Entry]:
        """The entries by what they are known again."""
        return {entry.identity: entry for entry in self.entries}


def read(project: Path) -> Manifest | None:
    """The record of a project; None where the folder is none, or its record cannot be read."""
    try:
        found = json.loads((project / NAME).read_text(encoding="utf-8"))
        if found["lora_studio_project"] > VERSION:
            return None
        entries = tuple(entry_of(one) for one in found["entries"])
        texts = {name: found.get(name, "") for name in ("source", "before")}
        return Manifest(entries=entries, removed=tuple(found["removed"]), settings=found["settings"], folders=tuple(found["folders"]), **texts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(project: Path, found: Manifest) -> None:
    """Write the record, whole."""
    document = {"lora_studio_project": VERSION, **asdict(found)}
    write_text(project / NAME, json.dumps(document, ensure_ascii=False, indent=1))


def entry_of(plain: Mapping[str, Any]) -> Entry:
    """An entry from plain data; a KeyError or TypeError where it is none. Paths that lead out of the project are none."""
    found = Entry(**{**plain, "mark": tuple(plain["mark"]), "stored": tuple(plain["stored"])})
    parts = found.file.split("/")
    if ".." in parts or "" in parts or ":" in found.file or "\\" in found.file:
        raise ValueError(found.file)
    return found


def copies(root: Path) -> frozenset[str]:
    """The pictures below a folder that are copies (mirrored, repeated), by key from it.

    The folder may be a project of ours or one of the folders in it.
    """
    found = read(root)
    if found is not None:
        return frozenset(entry.file for entry in found.entries if entry.role != ORIGINAL)
    found, inside = read(root.parent), f"{root.name}/"
    return frozenset(entry.file[len(inside) :] for entry in found.entries if entry.role != ORIGINAL and entry.file.startswith(inside)) if found else frozenset()


def digest(content: bytes) -> str:
    """The hash that entries hold."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Made:
    """What is known of the pictures below a folder because Prepare made them, by key from it; empty where it did not.

    `source` is the folder of the originals, `of` their keys by ours, `kinds` the classes of folders, `padded` what has our bars.
    """

    source: str = ""
    of: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    padded: frozenset[str] = frozenset()
    trigger: str = ""


def made(root: Path) -> Made:
    """The folder may be a project of ours or one of the folders in it."""
    found, inside = read(root), ""
    if found is None:
        found, inside = read(root.parent), f"{root.name}/"
    if found is None:
        return Made()
    of = {entry.file[len(inside) :]: entry.key for entry in found.entries if entry.file.startswith(inside)}
    if not of:
        return Made()
    shape, files = (found.settings.get(name) or {} for name in ("shape", "files"))
    kinds = {"" if inside else str(one.get("name", "")): str(one.get("kind", "")) for one in found.folders if f"{one.get('name', '')}/".startswith(inside)}
    return Made(found.source, of, kinds, frozenset(of) if shape.get("kind") == "pad" else frozenset(), str(files.get("trigger", "")).strip())
