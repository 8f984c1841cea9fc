"""What one browser does to the captions of a folder: nothing reaches the disk before it is saved."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lib_lora.core.errors import ConfigError, LoraError
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import captions
from lib_lora.editor import filters, journal, saving
from lib_lora.editor.change import Change, Edit, Operation
from lib_lora.editor.drafts import Draft, Texts
from lib_lora.editor.filters import Facts, Where
from lib_lora.editor.saving import Saved
from lib_lora.editor.sheet import Sheet, file_of, sheets
from lib_lora.pictures.picture import Catalog

LONGEST = 20_000  # characters of a caption
REMEMBERED = 200  # changes that can be undone
NAMED = 3


class Stale(LoraError):
    """An edit was made on a text that is no longer there."""

    exit_code = 3
    http = 409


class Session:
    """The edits of one browser on one folder. Safe to be called from several threads.

    `state` is where backups go. Edits of a `client` that has a name are kept aside and are there again after a restart.
    """

    def __init__(self, catalog: Catalog, state: Path, client: str = "") -> None:
        self.state = state
        self._draft = Draft(state, client) if client else None
        self._lock = threading.RLock()
        self._sheets: dict[str, Sheet] = {}
        self._now: dict[str, str | None] = {}
        # Edits of caption files whose pictures are gone: a picture may come back from the trash.
        self._aside: dict[str, tuple[Sheet, str | None]] = {}
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._kept = True  # whether a draft may lie on the disk
        self._moves = time.time_ns()
        kept = self._draft.read() if self._draft else {}
        self.follow(catalog)
        self._resume(kept)

    def follow(self, catalog: Catalog, known: Collection[str] = ()) -> None:
        """The folder was read anew. What is not edited is taken as it is now; edits stay on the text they were made on.

        Of the `known` caption files the new text is one that this browser knows of: edits stand on that then.
        """
        with self._lock:
            self.catalog = catalog
            self._files = {picture.key: file_of(picture.key) for picture in catalog.pictures}
            before, self._sheets = self._sheets, sheets(catalog)
            for file in [file for file in self._now if file not in self._sheets]:
                self._aside[file] = (before[file], self._now.pop(file))
            for file in [file for file in self._aside if file in self._sheets]:
                before[file], self._now[file] = self._aside.pop(file)
            for file, text in list(self._now.items()):
                found = self._sheets[file]
                if found.caption == text:
                    del self._now[file]
                elif file not in known and found.flaw is None and found.read != before[file].read:
                    self._sheets[file] = replace(found, read=before[file].read)
            self._recount()
            self._keep()

    @property
    def version(self) -> str:
        """Another one whenever captions may have changed: what another window of the same browser shows is old then."""
        return f"{self._moves:x}"

    @property
    def keys(self) -> list[str]:
        """All pictures in the catalogue's order."""
        return list(self._files)

    def text(self, key: str) -> str:
        """A picture's caption as edited; "" without one."""
        with self._lock:
            return self._text(self._files[key]) or "" if key in self._files else ""

    def tags(self, key: str) -> list[str]:
        """A picture's tags as edited, in their order."""
        with self._lock:
            return list(self._tags[self._files[key]]) if key in self._files else []

    def has_caption(self, key: str) -> bool:
        """Whether there is a caption file, or will be one after saving."""
        with self._lock:
            return key in self._files and self._text(self._files[key]) is not None

    def changed(self, key: str) -> bool:
        """Whether a picture's caption is not saved yet."""
        return self._files.get(key) in self._now

    def unsaved(self) -> int:
        """How many caption files a save would write."""
        return len(self._now)

    def find(self, where: Where, facts: Mapping[str, Facts]) -> list[str]:
        """The pictures that a filter shows."""
        with self._lock:
            rows = [filters.Row(key, self._text(file) or "", self._tags[file], file in self._now) for key, file in self._files.items()]
        return filters.select(where, rows, facts)

    def counts(self, keys: Iterable[str] | None = None) -> Counter[str]:
        """Tags with how many of these pictures have each; of all pictures without `keys`."""
        with self._lock:
            if keys is None:
                return Counter(self._counts)
            found: Counter[str] = Counter()
            for key in dict.fromkeys(keys):
                if key in self._files:
                    found.update(set(self._tags[self._files[key]]))
            return found

    def preview(self, op: Operation, keys: Collection[str]) -> Change:
        """What an operation would do to these pictures."""
        with self._lock:
            files = list(dict.fromkeys(self._files[key] for key in keys if key in self._files))
            unseen = [file for file in files if self._sheets[file].unseen and self._text(file) is None and self._sheets[file].flaw is None]
            usable = [file for file in files if self._sheets[file].flaw is None and file not in unseen]
            texts = [self._text(file) for file in usable]
            after = op.run([text or "" for text in texts], self._counts)
            edits, long = [], []
            for file, old, new in zip(usable, texts, after, strict=True):
                clean = _checked(new)
                if len(clean) > max(LONGEST, len(old or "")):
                    long.append(file)
                elif clean != (old or ""):
                    edits.append(Edit(file, old, clean))
            if long and len(long) == len(files):
                raise ConfigError(*_too_long(long))
            return Change(op.said(), tuple(edits), len(files), (*_left_out(files, self._sheets), *_too_long(long), *_unseen(unseen)))

    def apply(self, op: Operation, keys: Collection[str], before: str | None = None) -> Change:
        """Do it. What was undone before can be redone no more.

        `before` is the caption that whoever asks has seen: another window may have changed it since, then Stale is raised.
        """
        with self._lock:
            if before is not None and any(captions.tags(self.text(key)) != captions.tags(before) for key in keys if key in self._files):
                raise Stale(say("This caption was changed in another window meanwhile. It is shown now as it is; your last change was not made: do it again."))
            change = self.preview(op, keys)
            self._did(change)
            return change

    def undo(self) -> Change | None:
        """Take the last change back; None where there is none. A caption that has changed otherwise since stays as it is."""
        with self._lock:
            if not self._done:
                return None
            change = self._done.pop()
            self._undone.append(change)
            return self._back(change)

    def redo(self) -> Change | None:
        """Do again what was taken back last; None where there is nothing."""
        with self._lock:
            if not self._undone:
                return None
            change = self._undone.pop()
            self._done.append(change)
            return self._set(change)

    def history(self) -> tuple[Message | None, Message | None]:
        """What undo would take back and redo would do again."""
        with self._lock:
            return (self._done[-1].what if self._done else None), (self._undone[-1].what if self._undone else None)

    def save(self, overwrite: Collection[str] = (), take: Collection[str] = ()) -> Saved:
        """Write what changed. Files that others changed since are left and named, but for those to `overwrite`.

        Of those to `take` the edit is given up for what stands on the disk; undo brings it back.
        """
        with self._lock:
            given_up = self._on_disk({file: self._sheets[file].path for file in take if file in self._now})
            self._stand(given_up, say("Captions taken from the disk"))
            edits = [(self._sheets[file], text) for file, text in self._now.items()]
            saved = saving.save(self.catalog.root, self.state, edits, overwrite, self.catalog.roots)
            self._read(saved.texts)
            return replace(saved, taken=given_up)

    def restore(self, backup: str) -> Saved:
        """Put the texts of a backup back on the disk; undo brings back the captions as they were here."""
        with self._lock:
            saved = saving.restore(self.catalog.root, self.state, backup, self.catalog.roots)
            self._stand(saved.texts, say("Backup {id} restored", id=backup))
            return saved

    def settle(self, backup: str, forward: bool) -> Saved:
        """Finish a save that was cut off, or take it back."""
        with self._lock:
            written, failed = journal.settle(self.catalog.root, self.state, backup, forward, self.catalog.roots)
            texts = self._on_disk({file: self.catalog.root / file for file in written})
            self._read(texts)
            return Saved(texts, failed=tuple(failed))

    def _on_disk(self, paths: Mapping[str, Path]) -> dict[str, str | None]:
        """The whole texts of these files now, but for those that cannot be read."""
        found: dict[str, str | None] = {}
        for file, path in paths.items():
            with contextlib.suppress(OSError):
                found[file] = journal.read(path, self.catalog.roots)
        return found

    def _stand(self, texts: Mapping[str, str | None], what: Message) -> None:
        """These are the files' texts now, and the captions too, whatever was edited; that can be undone."""
        before = {file: self._text(file) for file in map(file_of, texts) if file in self._sheets}
        self._read(texts)
        self._put({file: self._sheets[file].caption for file in before})
        edits = tuple(Edit(file, text, self._text(file)) for file, text in before.items() if text != self._text(file))
        if edits:
            self._done = [*self._done[-(REMEMBERED - 1) :], Change(what, edits, len(before))]
            self._undone = []
            self._keep()

    def _read(self, texts: Mapping[str, str | None]) -> None:
        """The disk holds these whole texts now; what was edited otherwise stays an edit."""
        if texts:
            self.follow(saving.with_texts(self.catalog, texts), frozenset(map(file_of, texts)))

    def _keep(self) -> None:
        if self._draft is not None and (self._now or self._aside or self._kept):
            self._kept = bool(self._now or self._aside)
            self._draft.soon(self._texts)

    def close(self) -> None:
        """Nobody will ask for this session again: what is not saved is on the disk now."""
        if self._draft is not None:
            self._draft.now(self._texts)

    def _texts(self) -> Texts:
        """What is not saved, with the texts it stands on."""
        with self._lock:
            aside = {file: (sheet.read, text) for file, (sheet, text) in self._aside.items()}
            return {**aside, **{file: (self._sheets[file].read, text) for file, text in self._now.items()}}

    def _resume(self, kept: Texts) -> None:
        """Go on with edits that were kept aside. They stand on the text they were made on, whoever wrote meanwhile."""
        edits = []
        for file, (read, now) in kept.items():
            sheet = self._sheets.get(file)
            if sheet is None:
                self._aside[file] = (Sheet(file, self.catalog.root / file, read), now)
            elif sheet.flaw is None and sheet.caption != now:
                self._sheets[file] = replace(sheet, read=read)
                edits.append(Edit(file, self._sheets[file].caption, now))
        if edits:
            self._recount()
            self._did(Change(say("Edits that were not saved"), tuple(edit for edit in edits if edit.before != edit.after), len(edits)))

    def _did(self, change: Change) -> None:
        if change.edits:
            self._done = [*self._done[-(REMEMBERED - 1) :], change]
            self._undone = []
            self._set(change)

    def _back(self, change: Change) -> Change:
        return self._set(replace(change, edits=tuple(edit.reversed() for edit in change.edits)))

    def _set(self, change: Change) -> Change:
        """Put the captions in place that still are what the change began with; returns what was done."""
        there = [edit for edit in change.edits if edit.file in self._sheets and self._text(edit.file) == edit.before]
        self._put({edit.file: edit.after for edit in there})
        self._keep()
        return replace(change, edits=tuple(there), of=len(change.edits))

    def _put(self, texts: Mapping[str, str | None]) -> None:
        self._moves += 1
        self._counts.subtract(self._occurrences(texts))
        for file, text in texts.items():
            if text == self._sheets[file].caption:
                self._now.pop(file, None)
            else:
                self._now[file] = text
            self._tags[file] = tuple(captions.tags(text or ""))
        self._counts.update(self._occurrences(texts))
        self._counts = +self._counts

    def _occurrences(self, files: Iterable[str]) -> list[str]:
        """The tags of these captions, each as often as pictures have it."""
        found: list[str] = []
        for file in files:
            found += set(self._tags[file]) if self._sheets[file].pictures == 1 else list(set(self._tags[file])) * self._sheets[file].pictures
        return found

    def _text(self, file: str) -> str | None:
        return self._now[file] if file in self._now else self._sheets[file].caption

    def _recount(self) -> None:
        self._moves += 1
        self._tags: dict[str, tuple[str, ...]] = {file: tuple(captions.tags(self._text(file) or "")) for file in self._sheets}
        self._counts: Counter[str] = Counter(self._occurrences(self._sheets))


def _checked(text: str) -> str:
    """A caption that fits into the first line of a UTF-8 file."""
    lines = text.splitlines()
    line = " ".join(lines) if len(lines) > 1 else text
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(say("A caption would hold half a character, which no text file can: type it anew.")) from error
    return line.strip()


def _too_long(files: Sequence[str]) -> tuple[Message, ...]:
    if not files:
        return ()
    told = count(
        len(files),
        "1 caption is left out, because it would be longer than {most} characters: {names}",
        "{n} captions are left out, because they would be longer than {most} characters, such as {names}",
        most=LONGEST,
        names=files[:NAMED],
    )
    return (told,)


def _unseen(files: Sequence[str]) -> tuple[Message, ...]:
    if not files:
        return ()
    told = count(
        len(files),
        "No caption is made for 1 picture that cannot be read: {names}",
        "No captions are made for {n} pictures that cannot be read, such as {names}",
        names=files[:NAMED],
    )
    return (told,)


def _left_out(files: Sequence[str], known: Mapping[str, Sheet]) -> tuple[Message, ...]:
    flawed = [sheet for file in files if (sheet := known[file]).flaw is not None]
    if not flawed:
        return ()
    names = [sheet.file for sheet in flawed[:NAMED]]
    told = count(len(flawed), "1 caption is left out: {names}", "{n} captions are left out, such as {names}", names=names)
    return (told, *(sheet.flaw for sheet in flawed[:NAMED] if sheet.flaw is not None))
