"""What a click can mend: captions as one undoable change of a session, files as one write with a backup."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import ConfigError, DataError
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import captions
from lib_lora.editor import journal, saving
from lib_lora.editor.change import Operation
from lib_lora.editor.journal import Write
from lib_lora.editor.normal import Normalise
from lib_lora.editor.triggers import Trigger
from lib_lora.pictures.picture import Catalog, Picture
from lib_lora.pictures.spelling import comparable

if TYPE_CHECKING:
    from lib_lora.doctor.pixels import Memory
    from lib_lora.pictures.seen import Seen

OF_CAPTIONS = ("normalise", "dedupe", "trigger", "bars")
OF_TEXTS = ("join", "first_line", "utf8", "rename")
OF_FILES = ("trash",)
COPIES = ("exact",)  # what may go only as long as another one of its pixels stays
ENCODINGS = ("utf-16", "gb18030", "cp932", "big5", "cp949", "cp1252")
MARK = "\ufeff"


@dataclass(frozen=True)
class Once:
    """Keep each tag once, the first of its kind in any spelling."""

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """Without repeats."""
        del counts
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> str:
        tags = captions.tags(text)
        first: dict[str, str] = {}
        for tag in tags:
            first.setdefault(comparable(tag), tag)
        return text if len(first) == len(tags) else ", ".join(first.values())

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Repeated tags removed")


@dataclass(frozen=True)
class NameBars:
    """Add to each caption the tags of its picture's bars; `tags` are in the order of the captions."""

    tags: tuple[tuple[str, ...], ...]

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """With the tags that are missing at the end."""
        del counts
        found = []
        for text, wanted in zip(texts, self.tags, strict=True):
            there = {comparable(tag) for tag in captions.tags(text)}
            found.append(", ".join([*([text] if text else []), *(tag for tag in wanted if tag not in there)]))
        return found

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Bars named in the captions")


def operation(act: str, trigger: str, bars: Sequence[tuple[str, ...]] = ()) -> Operation:
    """What a fix does to captions."""
    if act == "normalise":
        return Normalise(keep=(trigger,) if trigger else ())
    if act == "dedupe":
        return Once()
    if act == "trigger":
        return Trigger(trigger)
    return NameBars(tuple(bars))


@dataclass(frozen=True)
class Mended:
    """What was written. `backup` takes it back; "" where nothing was."""

    files: tuple[str, ...]
    backup: str
    problems: tuple[Message, ...] = ()


def mend_texts(act: str, catalog: Catalog, keys: Collection[str], renames: Mapping[str, str], state: Path) -> Mended:
    """Rewrite the caption files of these pictures as one, with a backup. What cannot be mended is named and left."""
    problems: list[Message] = []
    with journal.held(state):
        writes: list[Write] = []
        for one in catalog.pictures:
            if one.key in keys:
                try:
                    writes += _writes(act, one, catalog, renames)
                except DataError as error:
                    problems += error.messages
        different = {write.file: write for write in writes if write.before != write.after}
        if not different:
            return Mended((), "", tuple(problems))
        backup, written, failed = journal.perform(catalog.root, state, list(different.values()), catalog.roots)
    return Mended(tuple(written), backup, (*problems, *failed))


def take_back(catalog: Catalog, state: Path, backup: str) -> Mended:
    """Put the texts of a backup back on the disk; what stands there now is a backup of its own."""
    saved = saving.restore(catalog.root, state, backup, catalog.roots)
    return Mended(tuple(saved.texts), saved.backup or "", saved.failed)


def preview(act: str, catalog: Catalog, keys: Iterable[str], renames: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    """What `mend_texts` would write: (file, before, after) for each of these pictures' files, as far as it can be mended."""
    pictures = catalog.by_key()
    found = []
    for key in keys:
        try:
            made = _writes(act, pictures[key], catalog, renames) if key in pictures else []
        except DataError:
            continue
        found += [(write.file, _legible(write.before), write.after) for write in made if write.after is not None]
    return found


def going(files: Sequence[str], catalog: Catalog, doubled: Collection[str], seen: Mapping[str, Seen], looked: Memory) -> tuple[list[Picture], list[Message]]:
    """Of the files that a look found those that may go to the trash as the folder is now, and why the others stay.

    Of the `doubled` ones another picture of the same pixels stays; a picture that was changed since the look stays itself.
    """
    pictures, listed = catalog.by_key(), set(files)
    kept = {one.pixels for key, one in seen.items() if key in pictures and key not in listed}
    found: list[Picture] = []
    told: list[Message] = []
    for name in files:
        one = pictures.get(name)
        if one is None:
            try:
                found += loose(catalog.root, [name])
            except ConfigError as error:
                told += error.messages
        elif one.path in looked.known and looked.known[one.path][0] != one.mark:
            told.append(say("{file}: it was changed since the last look and stays; look again", file=name))
        elif name in doubled and (name not in seen or seen[name].pixels not in kept):
            told.append(say("{file}: no other copy of it is left in the folder, so it stays; look again", file=name))
        else:
            found.append(one)
    return found, told


def loose(root: Path, files: Iterable[str]) -> list[Picture]:
    """Files that are no pictures of the set, as the trash takes them; none outside of the root."""
    found = []
    for name in files:
        path = root / name
        if ".." in Path(name).parts or Path(name).is_absolute() or not path.is_file():
            raise ConfigError(say("{file}: there is no such file in this folder any more", file=name))
        found.append(Picture(name, path, (0, 0), name.rpartition("/")[0], None, (0, 0)))
    return found


def label(act: str, n: int) -> Message | None:
    """What the button says; None for what only a person can do."""
    told = {
        "normalise": count(n, "Make 1 caption plain", "Make {n} captions plain"),
        "dedupe": count(n, "Remove repeated tags from 1 caption", "Remove repeated tags from {n} captions"),
        "trigger": count(n, "Put the trigger first in 1 caption", "Put the trigger first in {n} captions"),
        "bars": count(n, "Name the bars in 1 caption", "Name the bars in {n} captions"),
        "join": count(n, "Bring 1 caption into one line", "Bring {n} captions into one line"),
        "first_line": count(n, "Remove empty lines from 1 caption", "Remove empty lines from {n} captions"),
        "utf8": count(n, "Write 1 caption as UTF-8", "Write {n} captions as UTF-8"),
        "rename": count(n, "Rename 1 caption file", "Rename {n} caption files"),
        "trash": count(n, "Move 1 file to the trash", "Move {n} files to the trash"),
        "show": count(n, "Show 1 picture", "Show {n} pictures"),
        "captions": count(n, "Edit 1 caption", "Edit {n} captions"),
        "tagging": count(n, "Tag 1 picture", "Tag {n} pictures"),
        "prepare": say("Open Prepare"),
    }
    return told.get(act)


def done(act: str, n: int) -> Message:
    """What a fix of files has done."""
    if act == "trash":
        return count(n, "1 file lies in the trash of LoRA Studio now.", "{n} files lie in the trash of LoRA Studio now.")
    if act == "rename":
        return count(n, "1 caption file renamed", "{n} caption files renamed")
    return count(n, "1 caption rewritten; as it was it lies in the backups", "{n} captions rewritten; as they were they lie in the backups")


def _writes(act: str, picture: Picture, catalog: Catalog, renames: Mapping[str, str]) -> list[Write]:
    file = picture.text_path.relative_to(catalog.root).as_posix()
    if act == "rename":
        return _renamed(catalog, file, renames.get(picture.key, ""))
    now = _read(catalog, file)
    if now is None:
        return []
    text = _decoded(now, file) if act == "utf8" else now
    lines = captions.lines(text.removeprefix(MARK))
    if act == "join":
        text = ", ".join(line.strip(" ,") for line in lines if line.strip(" ,"))
    elif act == "first_line":
        text = "\n".join(lines[next((n for n, line in enumerate(lines) if line), 0) :])
    return [Write(file, now, text)]


def _renamed(catalog: Catalog, file: str, old: str) -> list[Write]:
    text = _read(catalog, old) if old else None
    if text is None:
        return []
    if (catalog.root / file).exists():
        raise DataError(say("{file}: there is such a file already; it stays as it is", file=file))
    return [Write(file, None, text), Write(old, text, None)]


def _read(catalog: Catalog, file: str) -> str | None:
    try:
        return journal.read(catalog.root / file, catalog.roots)
    except OSError as error:
        raise DataError(say("{file}: this caption cannot be opened ({why})", file=file, why=journal.reason(error))) from error


def _decoded(text: str, file: str) -> str:
    """A text that was read byte by byte, in the encoding that fits; DataError where none does."""
    content = text.encode("utf-8", "surrogateescape")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    for name in ENCODINGS:
        if name == "utf-16" and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            continue
        try:
            found = content.decode(name)
        except UnicodeDecodeError:
            continue
        if found.isprintable() or all(letter.isprintable() or letter in "\r\n\t" for letter in found):
            return found
    raise DataError(say("{file}: nobody can say in which encoding this is written; open it in an editor and save it as UTF-8", file=file))


def _legible(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8").replace("\ufffd", "?")
