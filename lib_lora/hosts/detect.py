"""Which host this process has."""

from __future__ import annotations

from pathlib import Path

from lib_lora.core.registry import Entry
from lib_lora.hosts.base import Host
from lib_lora.hosts.registry import Build, hosts


def around() -> Entry[Build] | None:
    """The card of the program we run inside of, None where there is none that we know."""
    return next((entry for entry in hosts.entries().values() if entry.traits["around"] and entry.traits["matches"]()), None)


def detect(checkpoint: Path | None, folder: Path) -> Host | None:
    """A stand-alone host for a checkpoint, or the program around us; None when there is neither."""
    if checkpoint is None:
        entry = around()
    else:
        entry = next((entry for entry in hosts.entries().values() if not entry.traits["around"] and entry.traits["matches"]()), None)
    return entry.build(checkpoint, folder) if entry else None
