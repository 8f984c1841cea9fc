"""Caption files written as one: what was there is copied first, and a journal says what is meant until all is done.

A backup is a folder of ours, named by date and time: the old texts under `old/`, a manifest, and, while the writing goes on,
`journal.json` with every text before and after. Killed at any moment, each caption file holds its old or its new text, and
the journal that was left behind says which were meant.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lib_lora.core.errors import BusyError, DataError, NotFound
from lib_lora.core.files import is_special, is_within, write_bytes, write_text
from lib_lora.core.messages import Message, say

BACKUPS = "backups"
JOURNAL = "journal.json"
MANIFEST = "manifest.json"
OLD = "old"
KEPT = 30  # backups that stay however old they are
DAYS = 14  # and all that are younger than this
WRITERS = 8
Roots = Sequence[Path] | None  # the folders that links may lead into, None for anywhere


@dataclass(frozen=True)
class Write:
    """One caption file as it was and as it shall be. `file` is its path from the root; None: no file."""

    file: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Backup:
    """A save that can be taken back. `created` are seconds since 1970; `files` the captions it wrote."""

    id: str
    created: float
    files: tuple[str, ...]


@dataclass(frozen=True)
class Interrupted:
    """A save that was cut off: how many captions have their new text, how many the old one, which have neither."""

    id: str
    created: float
    new: int
    old: int
    other: tuple[str, ...]


class Closed(OSError):
    """A caption file that we leave alone, whatever the system would let us do."""

    def __init__(self, why: Message) -> None:
        super().__init__(str(why))
        self.why = why


def reason(error: OSError) -> Message | str:
    """Why a file was not read or written, for a sentence."""
    return error.why if isinstance(error, Closed) else error.strerror or str(error)


def read(path: Path, roots: Roots = None) -> str | None:
    """The whole text of a file with its line ends, its mark and even its broken bytes; None where there is none.

    OSError where it cannot be read, or where a link leads out of `roots`.
    """
    real = _real(path, roots)
    try:
        if is_special(real.stat().st_mode):
            raise Closed(say("it is no ordinary file"))
        return real.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def write(path: Path, text: str | None, roots: Roots = None) -> None:
    """Put a text in place, whole or not at all; None takes the file away. A link stays one: what it leads to is written."""
    real = _real(path, roots)
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_bytes(real, text.encode("utf-8", "surrogateescape"))


def _real(path: Path, roots: Roots) -> Path:
    """Where a caption file lies, whatever links lead there; its folder is there, and within the roots."""
    try:
        real = path.resolve() if roots is not None or path.is_symlink() else path
    except RuntimeError as error:  # Python 3.10 raises it for links in a circle
        raise Closed(say("its link leads in a circle")) from error
    if roots is not None and not is_within(real, list(roots)):
        raise Closed(say("it is a link that leads out of the folders this server has opened"))
    if not real.parent.is_dir():
        # Writing would make the folder anew, on whatever disk that name is on now.
        raise Closed(say("its folder is not there any more"))
    return real


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Nobody else saves here meanwhile, in this program or another. A program that is killed lets go."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "save.lock").open("a+b") as file:
        if not _lock(file):
            raise BusyError(say("These captions are being saved already: wait a moment and try again."))
        yield


def perform(root: Path, state: Path, writes: Sequence[Write], roots: Roots = None) -> tuple[str, list[str], list[Message]]:
    """Copy the old texts, then write the new ones. Returns the backup's id, the files written, and what failed.

    To be called while `held`.
    """
    try:
        folder = _begun(state)
        _keep_old(folder, root, writes)
    except OSError as error:
        raise DataError(say("Nothing was saved, because the backup cannot be written: {why}", why=error.strerror or str(error))) from error
    written, failed = _written(root, writes, roots)
    (folder / JOURNAL).unlink()
    _thin(state)
    return folder.name, written, failed


def _keep_old(folder: Path, root: Path, writes: Sequence[Write]) -> None:
    for one in writes:
        if one.before is not None:
            place = folder / OLD / one.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(one.before.encode("utf-8", "surrogateescape"))
    entries = [{"file": one.file, "before": one.before, "after": one.after} for one in writes]
    described = {"root": str(root), "created": time.time(), "files": [{"file": one.file, "old": one.before is not None} for one in writes]}
    write_text(folder / MANIFEST, json.dumps(described, indent=1))
    # The journal is what counts from here on; it is on the disk before the first caption changes.
    write_text(folder / JOURNAL, json.dumps({**described, "files": entries}))


def backups(state: Path) -> list[Backup]:
    """All of them, the newest first."""
    found = []
    for file in (state / BACKUPS).glob(f"*/{MANIFEST}"):
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            found.append(Backup(file.parent.name, float(raw["created"]), tuple(one["file"] for one in raw["files"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a manifest somebody has changed: its folder stays for them to look into
    return sorted(found, key=lambda one: (one.created, one.id), reverse=True)


def _thin(state: Path) -> None:
    """Take away backups that nobody will ask for: older than `DAYS`, with `KEPT` newer ones. A save that was cut off keeps its own."""
    past = time.time() - DAYS * 24 * 3600
    for one in backups(state)[KEPT:]:
        folder = state / BACKUPS / one.id
        if one.created < past and not (folder / JOURNAL).exists():
            # Without its manifest it is none: killed in between, nobody restores half of it. What is in use stays until the next save.
            with contextlib.suppress(OSError):
                (folder / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(folder)


def old_texts(root: Path, state: Path, id: str) -> dict[str, str | None]:
    """The texts that a backup keeps, by file; None where there was none."""
    if id not in {one.id for one in backups(state)}:
        raise NotFound(say("There is no backup {id}.", id=id))
    folder = state / BACKUPS / id
    raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    found: dict[str, str | None] = {}
    for one in raw["files"]:
        _inside(root, one["file"])
        found[one["file"]] = read(folder / OLD / one["file"]) if one["old"] else None
        if one["old"] and found[one["file"]] is None:
            raise DataError(say("The backup {id} is not whole: {file} is missing in it.", id=id, file=one["file"]))
    return found


def interrupted(root: Path, state: Path, roots: Roots = None) -> Interrupted | None:
    """The oldest save that was cut off and has not been finished or taken back; None also while one goes on."""
    left = sorted((state / BACKUPS).glob(f"*/{JOURNAL}"))
    if not left:
        return None
    try:
        with held(state):
            for journal in left:
                found = _left(root, journal, roots) if journal.is_file() else None
                if found is not None:
                    return found
    except BusyError:
        return None
    return None


def settle(root: Path, state: Path, id: str, forward: bool, roots: Roots = None) -> tuple[list[str], list[Message]]:
    """Finish a save that was cut off, or take it back. Captions with neither of its texts stay as they are."""
    journal = state / BACKUPS / id / JOURNAL
    with held(state):
        if id not in {path.parent.name for path in (state / BACKUPS).glob(f"*/{JOURNAL}")}:
            raise NotFound(say("There is no save {id} that was cut off.", id=id))
        todo, closed = [], []
        for one in _entries(journal):
            old, new = (one.before, one.after) if forward else (one.after, one.before)
            try:
                if read(_inside(root, one.file), roots) == old:
                    todo.append(Write(one.file, old, new))
            except OSError as error:
                closed.append(say("{file}: this caption cannot be opened ({why})", file=one.file, why=reason(error)))
        written, failed = _written(root, todo, roots)
        failed += closed
        if not failed:
            _tidy(root, journal)
        return written, failed


def _left(root: Path, journal: Path, roots: Roots) -> Interrupted | None:
    entries = _entries(journal)
    now: list[object] = [_known(_inside(root, one.file), roots) for one in entries]
    new = sum(text == one.after for one, text in zip(entries, now, strict=True))
    if new == len(entries):
        _tidy(root, journal)  # only the last step was missing
        return None
    old = sum(text == one.before != one.after for one, text in zip(entries, now, strict=True))
    other = tuple(one.file for one, text in zip(entries, now, strict=True) if text not in (one.before, one.after))
    return Interrupted(journal.parent.name, journal.stat().st_mtime, new, old, other)


def _known(path: Path, roots: Roots) -> object:
    """Its text, or what is no text at all."""
    try:
        return read(path, roots)
    except OSError as error:
        return error


def _tidy(root: Path, journal: Path) -> None:
    """Take away the journal, and the unfinished file that a killed save may have left in a folder of captions."""
    for folder in {(root / one.file).parent for one in _entries(journal)}:
        for left in folder.glob(".lora-studio-*.tmp"):
            left.unlink(missing_ok=True)
    journal.unlink()


def _entries(journal: Path) -> list[Write]:
    raw = json.loads(journal.read_text(encoding="utf-8"))
    return [Write(one["file"], one["before"], one["after"]) for one in raw["files"]]


def _written(root: Path, writes: Sequence[Write], roots: Roots) -> tuple[list[str], list[Message]]:
    def one_file(one: Write) -> Message | None:
        try:
            write(_inside(root, one.file), one.after, roots)
        except OSError as error:
            return say("{file}: this caption cannot be written ({why})", file=one.file, why=reason(error))
        return None

    # Each waits for the disk, which can do several at once.
    with ThreadPoolExecutor(WRITERS) as pool:
        told = list(pool.map(one_file, writes))
    return [one.file for one, failed in zip(writes, told, strict=True) if failed is None], [failed for failed in told if failed is not None]


def _inside(root: Path, file: str) -> Path:
    """A caption file of a backup. Folders that are links lead where the user had them lead; the name itself does not."""
    named = PurePosixPath(file)
    if named.is_absolute() or ".." in named.parts or ":" in named.parts[0]:
        raise DataError(say("{file}: this lies outside of {folder}", file=file, folder=str(root)))
    return root / file


def _begun(state: Path) -> Path:
    """A new folder, named so that a person finds it and none is ever used twice."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    (state / BACKUPS).mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        folder = state / BACKUPS / (stamp if n == 1 else f"{stamp}_{n}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            n += 1


def _lock(file: IO[bytes]) -> bool:
    """Take the file for ourselves as long as it is open; False where somebody has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system that knows no locks: two programs on one folder there are on their own
    return True
