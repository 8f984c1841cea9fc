"""Pictures out of a folder into our trash and back: never deleted, each with its caption, listed before it moves.

A picture that is a link moves as a link: what it leads to stays where it is. In the trash it leads there by its whole path;
back in its place it is again what it was.
"""

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
        entries = [_entry(one) for one in pictures]
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
            _tidy(place)
        return Moved(name if moved else "", tuple(moved), tuple(problems))

    def listed(self) -> list[tuple[str, tuple[str, ...]]]:
        """What was thrown away and still lies here, the latest first: the act's name and its pictures."""
        found = []
        for place in sorted(self.folder.glob("*"), reverse=True) if self.folder.is_dir() else ():
            if re.fullmatch(NAME, place.name) and (place / LIST).is_file():
                keys = tuple(entry["key"] for entry in _entries(place) if _is_there(place / entry["key"]))
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
            if not _is_there(place / entry["key"]):
                continue
            try:
                problems += _give_back(place, self.root, entry)
                moved.append(entry["key"])
            except FileExistsError:
                problems.append(say("{file}: another file of this name lies there now; ours stays in the trash", file=entry["key"]))
            except OSError as error:
                problems.append(say("{file}: it could not be brought back ({why}); it stays in the trash", file=entry["key"], why=error.strerror or str(error)))
        _tidy(place)
        if not moved:
            raise DataError(*problems) if problems else NotFound(say("There is nothing of that name in the trash."))
        return Moved(name, tuple(moved), tuple(problems))


def _entries(place: Path) -> list[dict[str, str]]:
    return json.loads((place / LIST).read_text(encoding="utf-8"))["pictures"]


def _entry(picture: Picture) -> dict[str, str]:
    """What the list says of a picture: its key, its caption, and where links lead as they are written."""
    key, text = picture.key, picture.text_path
    entry = {"key": key, "caption": ""}
    if picture.path.is_symlink():
        entry["link"] = str(picture.path.readlink())
    if text != picture.path and _is_there(text):
        entry["caption"] = Path(key).with_suffix(".txt").as_posix()
        if text.is_symlink():
            entry["caption_link"] = str(text.readlink())
    return entry


def _is_there(path: Path) -> bool:
    """A file, or a link, wherever that leads."""
    return path.is_symlink() or path.is_file()


def _tidy(place: Path) -> None:
    """Take the folder of an act away, but only when nothing but its list is left in it."""
    left = [path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()]
    if left == [place / LIST]:
        shutil.rmtree(place, ignore_errors=True)


def _take(picture: Picture, place: Path, copy_caption: bool) -> None:
    """The caption first: a picture in the trash has its caption there; one that stayed still has its own."""
    target = place / picture.key
    target.parent.mkdir(parents=True, exist_ok=True)
    text, text_target = picture.text_path, target.with_suffix(".txt")
    has_caption = text != picture.path and _is_there(text)
    first = has_caption and not _is_there(text_target)
    try:
        if first:
            _copy(text, text_target)
        _move(picture.path, target)
    except BaseException:
        if first:
            text_target.unlink(missing_ok=True)
        raise
    if has_caption and not copy_caption:
        text.unlink(missing_ok=True)


def _give_back(place: Path, root: Path, entry: dict[str, str]) -> list[Message]:
    """A picture and its caption. A caption that stayed, or was written since, is newer than ours: ours is kept, and told."""
    source, target = place / entry["key"], root / entry["key"]
    if _is_there(target) or target.exists():
        raise FileExistsError(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    text, text_target = source.with_suffix(".txt"), target.with_suffix(".txt")
    has_caption = bool(entry["caption"]) and text != source and _is_there(text)
    if has_caption and not _is_there(text_target) and not text_target.exists():
        _copy(text, text_target, entry.get("caption_link"))
    _move(source, target, entry.get("link"))
    if not has_caption:
        return []
    if _is_same(text, text_target):
        text.unlink(missing_ok=True)
        return []
    return [say("{file}: another caption lies there now; the one from before is kept in {place}", file=entry["caption"], place=str(text))]


def _is_same(one: Path, other: Path) -> bool:
    """Whether two captions say the same, or lead to the same."""
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return one.is_symlink() and other.is_symlink() and one.resolve() == other.resolve()


def _move(source: Path, target: Path, link: str | None = None) -> None:
    """Renamed where both are on one disk; else copied whole under another name, put in place, and only then removed.

    A link is made anew, leading to `link`, or to where it led.
    """
    try:
        if not source.is_symlink():
            source.rename(target)
            return
    except OSError:
        if not source.is_file():
            raise
    _copy(source, target, link)
    source.unlink()


def _copy(source: Path, target: Path, link: str | None = None) -> None:
    if source.is_symlink():
        # Joined and no more: what ".." means is for the system to say, which knows what the folders before it are.
        target.symlink_to(link or source.parent / source.readlink())
        return
    half = target.with_name(f".lora-studio-{uuid.uuid4().hex[:8]}.tmp")
    try:
        shutil.copy2(source, half)
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
