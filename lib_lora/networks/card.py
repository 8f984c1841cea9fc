"""What lies beside a network: the card's json and pictures; and what becomes of a file that is replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lib_lora.core.files import write_text
from lib_lora.model import Family

SD_VERSION = {Family.SD1: "SD1", Family.SD2: "SD2", Family.SDXL: "SDXL"}
PICTURES = ("png", "jpg", "jpeg", "webp", "gif")


@dataclass(frozen=True)
class Card:
    """What the WebUI shows of a network and puts into the prompt when its card is clicked."""

    activation_text: str
    family: Family
    notes: str = ""
    preferred_weight: float = 1.0


def path_of(network: Path) -> Path:
    """`name.json`, where the WebUI keeps what a user wrote of a network."""
    return network.with_suffix(".json")


def write(network: Path, card: Card, replaced: Mapping[str, str] | None = None) -> Path:
    """Write the card's json. What a user wrote there stays; the version is the file's, so ours.

    `replaced` is the metadata of the file that was replaced: words on the card that came from it were not the user's.
    """
    path = path_of(network)
    before = replaced or {}
    ours = {"activation text": card.activation_text, "preferred weight": card.preferred_weight, "notes": card.notes}
    stale = {"activation text": before.get("modelspec.trigger_phrase"), "notes": before.get("modelspec.description")}
    kept = {name: value for name, value in _read(path).items() if name not in ours or value not in ("", 0, None, stale.get(name))}
    merged = {"description": "", **ours, **kept, "sd version": SD_VERSION[card.family]}
    write_text(path, json.dumps(merged, indent=4, ensure_ascii=False) + "\n")
    return path


def pictures(network: Path) -> list[Path]:
    """The preview images that belong to a network file."""
    names = [f"{network.stem}{infix}.{ending}" for infix in ("", ".preview") for ending in PICTURES]
    return [network.parent / name for name in names if (network.parent / name).is_file()]


def set_aside(network: Path, trash: Path, now: datetime) -> Path | None:
    """Put a network that is about to be replaced, with its json and pictures, into a folder of its own in `trash`.

    Returns that folder, None where there was nothing. The file itself also stays until the new one takes its place, so that
    the name is never empty, and the json for the user's words in it; the pictures go, they show the old one.
    """
    if not network.exists():
        return None
    folder = _fresh(trash / f"{network.stem} {now:%Y-%m-%d %H-%M-%S}")
    _keep(network, folder / network.name)
    if path_of(network).is_file():
        shutil.copy2(path_of(network), folder / path_of(network).name)
    for path in pictures(network):
        _keep(path, folder / path.name)
        path.unlink()
    return folder


def _fresh(folder: Path) -> Path:
    number = 1
    while True:
        candidate = folder if number == 1 else folder.with_name(f"{folder.name} ({number})")
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return candidate


def _keep(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # no second copy on the disk: the new file comes by a rename and leaves this one alone
    except OSError:
        shutil.copy2(source, target)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    # What cannot be read is not overwritten: it may hold a user's work.
    path.replace(path.with_name(f"{path.name}.broken"))
    return {}
