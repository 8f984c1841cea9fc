"""Pictures out of a folder into our trash and back: never deleted, each with its caption, listed before it moves."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lib_lora.core.errors import DataError, NotFound
from lib_lora.core.files import write_text
from lib_lora.core.messages import Message, say
from lib_lora.pictures.picture import Picture

LIST = "list.json"
NAME = r"\d{8}-\d{6}-[0-9a-f]{6}"


@dataclass(frozen=True)
class Moved:
    """What came of it: the trash's name for it, which pictures moved, and why others did not."""

    trash: str
    keys: tuple[str, ...]
    problems: tuple[Message, ...] = ()


class Trash:
    """The trash of one opened folder: a folder of ours with one folder per act in it, and a list of what came from where."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root

    def take(self, pictures: Sequence[Picture], others: Iterable[Picture]) -> Moved:
        """Move pictures here. A caption that one of `others` reads too stays where it is; the trash gets a copy of it."""
        name = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        place = self.folder / name
        read = {os.path.normcase(str(other.text_path)) for other in others}
        place.mkdir(parents=True)
        # The list comes first: whatever happens after it, it says where everything in this folder belongs.
        entries = [{"key": one.key, "caption": _caption(one)} for one in pictures]
        write_text(place / LIST, json.dumps({"root": str(self.root), "pictures": entries}, ensure_ascii=False, indent=1))
        moved: list[str] = []
        problems: list[Message] = []
        left = Counter(os.path.normcase(str(one.text_path)) for one in pictures)
        for one in pictures:
            text = os.path.normcase(str(one.text_path))
            left[text] -= 1
            try:
                _take(one, place, copy_caption=text in read or left[text] > 0)
                moved.append(one.key)
            except OSError as error:
                problems.append(say("{file}: it could not be moved to the trash ({why}); it stays where it is", file=one.key, why=error.strerror or str(error)))
        if not moved:
            shutil.rmtree(place, ignore_errors=True)
        return Moved(name if moved else "", tuple(moved), tuple(problems))

    def listed(self) -> list[tuple[str, tuple[str, ...]]]:
        """What was thrown away and still lies here, the latest first: the act's name and its pictures."""
        found = []
        for place in sorted(self.folder.glob("*"), reverse=True) if self.folder.is_dir() else ():
            if re.fullmatch(NAME, place.name) and (place / LIST).is_file():
                keys = tuple(entry["key"] for entry in _entries(place) if (place / entry["key"]).is_file())
                found += [(place.name, keys)] if keys else []
        return found

    def give_back(self, name: str) -> Moved:
        """Move what one act took back to where it was. What lies there meanwhile stays, and so does ours in the trash."""
        place = self.folder / name
        if not re.fullmatch(NAME, name) or not (place / LIST).is_file():
            raise NotFound(say("There is nothing of that name in the trash."))
        moved: list[str] = []
        problems: list[Message] = []
        for entry in _entries(place):
            if not (place / entry["key"]).is_file():
                continue
            try:
                _give_back(place, self.root, entry)
                moved.append(entry["key"])
            except FileExistsError:
                problems.append(say("{file}: another file of this name lies there now; ours stays in the trash", file=entry["key"]))
            except OSError as error:
                problems.append(say("{file}: it could not be brought back ({why}); it stays in the trash", file=entry["key"], why=error.strerror or str(error)))
        if not problems:
            shutil.rmtree(place, ignore_errors=True)
        elif not moved:
            raise DataError(*problems)
        return Moved(name, tuple(moved), tuple(problems))


def _entries(place: Path) -> list[dict[str, str]]:
    return json.loads((place / LIST).read_text(encoding="utf-8"))["pictures"]


def _caption(picture: Picture) -> str:
    return str(Path(picture.key).with_suffix(".txt").as_posix()) if picture.text_path.is_file() else ""


def _take(picture: Picture, place: Path, copy_caption: bool) -> None:
    """The caption first: a picture in the trash has its caption there; one that stayed still has its own."""
    target = place / picture.key
    target.parent.mkdir(parents=True, exist_ok=True)
    text, text_target = picture.text_path, target.with_suffix(".txt")
    had_caption = text.is_file()
    if had_caption:
        shutil.copy2(text, text_target)
    _move(picture.path, target)
    if had_caption and not copy_caption:
        text.unlink(missing_ok=True)


def _give_back(place: Path, root: Path, entry: dict[str, str]) -> None:
    source, target = place / entry["key"], root / entry["key"]
    if target.exists():
        raise FileExistsError(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    text, text_target = source.with_suffix(".txt"), target.with_suffix(".txt")
    # A caption that stayed, or was written since, is newer than ours.
    if entry["caption"] and text.is_file() and not text_target.exists():
        _copy(text, text_target)
    _move(source, target)
    text.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Renamed where both are on one disk; else copied whole under another name, put in place, and only then removed."""
    try:
        source.rename(target)
    except OSError:
        if not source.is_file():
            raise
        _copy(source, target)
        source.unlink()


def _copy(source: Path, target: Path) -> None:
    half = target.with_name(f".lora-studio-{uuid.uuid4().hex[:8]}.tmp")
    try:
        shutil.copy2(source, half)
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
