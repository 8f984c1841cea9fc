"""From edits to files: only what changed, nothing over what somebody else wrote meanwhile."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lib_lora.core.messages import Message, say
from lib_lora.editor import journal
from lib_lora.editor.journal import Roots, Write
from lib_lora.editor.sheet import Sheet
from lib_lora.pictures.picture import Catalog

LINE_END = re.compile(r"\r\n|\r|\n")
MARK = "\ufeff"


@dataclass(frozen=True)
class Conflict:
    """A caption file that changed on the disk since it was read: what the edit says, and what stands there now."""

    file: str
    mine: str | None
    theirs: str | None


@dataclass(frozen=True)
class Saved:
    """What a save did. `texts` are the whole texts on the disk now, by file; `backup` is where the old ones are.

    `taken` are texts of others for which edits were given up.
    """

    texts: Mapping[str, str | None] = field(default_factory=dict)
    taken: Mapping[str, str | None] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    failed: tuple[Message, ...] = ()
    backup: str | None = None

    @property
    def files(self) -> int:
        """How many caption files it wrote."""
        return len(self.texts)


def save(root: Path, state: Path, edits: Sequence[tuple[Sheet, str | None]], overwrite: Collection[str] = (), roots: Roots = None) -> Saved:
    """Write the edits. Files that others changed since are named as conflicts, but for those in `overwrite`."""
    with journal.held(state):
        writes: list[Write] = []
        conflicts: list[Conflict] = []
        failed: list[Message] = []
        done: dict[str, str | None] = {}
        names = {relative(root, sheet): sheet.file for sheet, _ in edits}
        for sheet, text in edits:
            try:
                now = journal.read(sheet.path, roots)
            except OSError as error:
                failed.append(say("{file}: this caption cannot be opened ({why})", file=sheet.file, why=journal.reason(error)))
                continue
            after = None if text is None else rewritten(now, text)
            if now == after:
                done[sheet.file] = now
            elif sheet.file in overwrite or plain(now) == plain(sheet.read):
                writes.append(Write(relative(root, sheet), now, after))
            else:
                conflicts.append(Conflict(sheet.file, text, first_line(now)))
        if not writes:
            return Saved(done, conflicts=tuple(conflicts), failed=tuple(failed))
        backup, written, unwritten = journal.perform(root, state, writes, roots)
        after_of = {one.file: one.after for one in writes}
        texts = {**done, **{names[file]: after_of[file] for file in written}}
        return Saved(texts, conflicts=tuple(conflicts), failed=(*failed, *unwritten), backup=backup)


def restore(root: Path, state: Path, id: str, roots: Roots = None) -> Saved:
    """Put the texts of a backup back. What stands there now goes into a backup of its own."""
    with journal.held(state):
        wanted = journal.old_texts(root, state, id)
        now: dict[str, str | None] = {}
        closed: list[Message] = []
        for file in wanted:
            try:
                now[file] = journal.read(root / file, roots)
            except OSError as error:
                closed.append(say("{file}: this caption cannot be opened ({why})", file=file, why=journal.reason(error)))
        writes = [Write(file, text, wanted[file]) for file, text in now.items() if text != wanted[file]]
        if not writes:
            return Saved(failed=tuple(closed))
        backup, written, failed = journal.perform(root, state, writes, roots)
        return Saved({file: wanted[file] for file in written}, failed=(*closed, *failed), backup=backup)


def rewritten(text: str | None, caption: str) -> str:
    """A caption file's text with another first line: its mark, its line ends and its further lines stay."""
    if text is None:
        return caption
    mark = MARK if text.startswith(MARK) else ""
    end = LINE_END.search(text)
    return f"{mark}{caption}{text[end.start() :] if end else ''}"


def plain(text: str | None) -> str | None:
    """A text as readers compare it: without the mark, with one kind of line end."""
    return None if text is None else LINE_END.sub("\n", text.removeprefix(MARK))


def first_line(text: str | None) -> str | None:
    """The caption in a file's text."""
    return None if text is None else (plain(text) or "").split("\n", 1)[0].strip().encode("utf-8", "replace").decode("utf-8")


def relative(root: Path, sheet: Sheet) -> str:
    """A caption file's path from the root as it is spelt on the disk."""
    return sheet.path.relative_to(root).as_posix()


def with_texts(catalog: Catalog, texts: Mapping[str, str | None]) -> Catalog:
    """The catalogue with other texts in these caption files (by their path from the root, or as sheets name them)."""
    from lib_lora.editor.sheet import file_of

    found = {file_of(file): None if text is None else text.removeprefix(MARK) for file, text in texts.items()}
    pictures = tuple(replace(picture, text=found[file], text_flaw=None) if (file := file_of(picture.key)) in found else picture for picture in catalog.pictures)
    return replace(catalog, pictures=pictures)
