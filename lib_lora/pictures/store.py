"""What was seen, kept on disk by the content of files: a database that is opened for a moment and closed again."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lib_lora.pictures.picture import Picture
from lib_lora.pictures.seen import VERSION, Seen, pack, unpack

log = logging.getLogger(__name__)
NAME = "seen.sqlite"
MOST = 200_000
CHUNK = 400  # SQLite takes so many values in one question
TABLES = (
    "drop table if exists content",
    "drop table if exists place",
    "create table content (digest blob primary key, record blob not null) without rowid",
    "create table place (path text primary key, bytes integer, mtime integer, digest blob not null, used integer) without rowid",
    f"pragma user_version = {VERSION}",
)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """A picture that was seen, and the digest of its file."""

    picture: Picture
    digest: bytes
    seen: Seen


class Store:
    """The database of a folder. Nothing here raises: without it pictures are looked into again, and that is all."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / NAME
        self._lock = threading.Lock()

    def known(self, pictures: Sequence[Picture]) -> dict[str, Seen]:
        """What is known of pictures whose files are as they were, by key."""
        return self._do(lambda base: _known(base, pictures), {})

    def of_content(self, digest: bytes) -> Seen | None:
        """What is known of a file with that content, wherever it lay."""

        def ask(base: sqlite3.Connection) -> Seen | None:
            row = base.execute("select record from content where digest = ?", (digest,)).fetchone()
            return unpack(row[0]) if row else None

        return self._do(ask, None)

    def keep(self, entries: Sequence[Entry]) -> None:
        """Remember."""

        def write(base: sqlite3.Connection) -> None:
            base.executemany("insert or replace into content values (?, ?)", ((one.digest, pack(one.seen)) for one in entries))
            rows = ((_name(one.picture), *one.picture.mark, one.digest, int(time.time())) for one in entries)
            base.executemany("insert or replace into place values (?, ?, ?, ?, ?)", rows)

        self._do(write, None)

    def tidy(self, most: int = MOST) -> None:
        """Forget what was not asked for the longest, and content that no place has any more."""

        def clean(base: sqlite3.Connection) -> None:
            (there,) = base.execute("select count(*) from place").fetchone()
            if there > most:
                base.execute("delete from place where path in (select path from place order by used limit ?)", (there - most,))
                base.execute("delete from content where digest not in (select digest from place)")

        self._do(clean, None)

    def _do(self, work: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        with self._lock:
            try:
                with self._opened() as base:
                    return work(base)
            except sqlite3.OperationalError as error:
                # Locked by another program, a full disk, no right to write: as if nothing were known.
                log.warning("%s: %s", self.file, error)
            except sqlite3.DatabaseError as error:
                log.warning("%s is damaged and made anew: %s", self.file, error)
                with contextlib.suppress(OSError):
                    self.file.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s: %s", self.file, error)
            return otherwise

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as base:
            if _version(base) != VERSION:
                with base:
                    # Whoever comes second waits here, and finds the tables made.
                    base.execute("begin immediate")
                    for line in TABLES if _version(base) != VERSION else ():
                        base.execute(line)
            with base:
                yield base


def _version(base: sqlite3.Connection) -> int:
    (version,) = base.execute("pragma user_version").fetchone()
    return int(version)


def _known(base: sqlite3.Connection, pictures: Sequence[Picture]) -> dict[str, Seen]:
    named: Mapping[str, Picture] = {_name(one): one for one in pictures}
    names, found, now = list(named), {}, int(time.time())
    for start in range(0, len(names), CHUNK):
        part = names[start : start + CHUNK]
        asked = ",".join("?" * len(part))
        sql = f"select path, bytes, mtime, record from place join content using (digest) where path in ({asked})"  # noqa: S608 question marks only
        for path, size, mtime, record in base.execute(sql, part):
            seen = unpack(record) if (size, mtime) == named[path].mark else None
            if seen is not None:
                found[named[path].key] = seen
        base.execute(f"update place set used = ? where path in ({asked})", (now, *part))  # noqa: S608 question marks only
    return found


def _name(picture: Picture) -> str:
    return str(picture.path.absolute())
