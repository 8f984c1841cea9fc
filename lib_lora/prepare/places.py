"""Where a project lies, and the folders beside it in which it is built and set aside: each known by what lies in it."""

from __future__ import annotations

import datetime
import shutil
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from lib_lora.core.files import is_within, write_text
from lib_lora.core.messages import Message, say
from lib_lora.prepare import manifest
from lib_lora.prepare.layout import bare
from lib_lora.prepare.names import safe

MARKER = ".lora-studio-building"
TRASH = ".lora-studio-trash"
KEPT = 3  # earlier states of a project that stay
SPARE = 1.1


def proposed(root: Path) -> Path:
    """A name beside the opened folder."""
    return root.parent / f"{safe(bare(root.name), 'pictures')}-project"


def problems(root: Path, target: Path) -> Iterable[Message]:
    """Why a project cannot be written there."""
    name = unicodedata.normalize("NFC", target.name)  # as some systems hand names out in parts
    if not name or safe(name) != name:
        yield say("{folder}: not every system takes this name; choose another, such as {other}", folder=target.name, other=safe(target.name, "project"))
    elif is_within(target, [root]):
        yield say("{folder}: the project cannot lie inside the folder it is made of; choose a place beside it", folder=str(target))
    elif is_within(root, [target]):
        yield say("{folder}: the folder that is prepared lies in it; choose another place", folder=str(target))
    elif target.is_symlink() or (target.exists() and not target.is_dir()):
        yield say("{folder}: this is a file or a link; choose the name of a new folder", folder=str(target))
    elif target.is_dir() and any(target.iterdir()):
        yield from _others(root, target)


def _others(root: Path, target: Path) -> Iterable[Message]:
    found = manifest.read(target)
    if found is None:
        yield say("{folder}: this folder holds something else already; choose a new one, nothing in it is touched", folder=str(target))
    elif Path(found.source) != root:
        yield say("{folder}: this is the project of another folder ({source}); choose another name", folder=str(target), source=found.source)


def room(target: Path, needed: int) -> Iterable[Message]:
    """The sentence where the disk has too little room."""
    there = next((folder for folder in (target, *target.parents) if folder.is_dir()), None)
    try:
        free = shutil.disk_usage(there).free if there else needed * 2
    except OSError:
        return
    if free < needed * SPARE:
        yield say(
            "The disk has {free} MB free, and about {needed} MB are needed: make room or choose another disk.", free=free // 10**6, needed=needed // 10**6
        )


def building(target: Path) -> Path:
    """Where it is built."""
    return target.parent / f".{target.name}.lora-studio-part"


def abandoned(target: Path) -> Path:
    """Where a half-made one of an earlier run waits to be used up."""
    return target.parent / f".{target.name}.lora-studio-left"


def is_ours(folder: Path) -> bool:
    """Whether we began that folder: our marker lies in it, or it is empty."""
    return folder.is_dir() and not folder.is_symlink() and ((folder / MARKER).is_file() or not any(folder.iterdir()))


def begin(folder: Path) -> None:
    """A new folder with our marker. OSError where it cannot be made."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    write_text(folder / MARKER, "LoRA Studio builds a project here. If nothing runs, this folder can be deleted.\n")


def remove(folder: Path) -> None:
    """Take a folder of ours away, as far as that goes; a stranger's is never touched.

    The record goes first and the marker last: what is left after a crash is neither taken for whole nor for a stranger's.
    """
    if not is_ours(folder):
        return
    (folder / manifest.NAME).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != MARKER:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def aside(target: Path, word: str) -> Path:
    """A free name in the trash beside a project, which is made where it is missing."""
    trash = target.parent / TRASH
    trash.mkdir(exist_ok=True)
    stamp = datetime.datetime.now(datetime.timezone.utc).astimezone().strftime("%Y%m%d-%H%M%S-%f")
    found, number = trash / f"{target.name}-{word}-{stamp}", 1
    while found.exists():
        number += 1
        found = trash / f"{target.name}-{word}-{stamp}-{number}"
    return found


def thin(target: Path, word: str) -> None:
    """Keep the last few earlier states of a project; older ones, which are ours, go."""
    found = [folder for folder in (target.parent / TRASH).glob("*") if folder.name.startswith(f"{target.name}-{word}-2") and manifest.read(folder)]
    for folder in sorted(found, key=lambda one: one.name)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
