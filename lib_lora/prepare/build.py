"""The work itself: every planned file made, or taken over from what is there already; what the user changed stays theirs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import BusyError, DataError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import PictureTools
from lib_lora.prepare import manifest, places
from lib_lora.prepare.layout import bare
from lib_lora.prepare.manifest import Entry, digest
from lib_lora.prepare.plan import Copy, Plan
from lib_lora.prepare.render import recipe, render

if TYPE_CHECKING:
    from lib_lora.prepare.project import Turn

JOURNAL = ".lora-studio-journal"
LARGE = 30_000_000  # pixels: such pictures are made one at a time, for memory's sake


@dataclass(frozen=True)
class Made:
    """What became of one planned file. `entry` None: it was left out. `kept` names what the user had changed in it."""

    entry: Entry | None = None
    same: bool = False
    kept: tuple[str, ...] = ()
    removed: bool = False
    warning: Message | None = None


class Builder:
    """Builds `part`. `sources` are where finished pictures may be taken from: a half-made project, and the project as it is."""

    def __init__(self, plan: Plan, part: Path, tools: PictureTools, turn: Turn, sources: tuple[Path, Path]) -> None:
        self.plan, self.part, self.tools, self.turn = plan, part, tools, turn
        self.left, self.old = sources
        self.entries: list[Entry] = []
        self.same = 0
        self.kept: list[str] = []
        self.skipped: list[str] = []
        self.removed: set[str] = set()
        self.warnings: list[Message] = []
        before = manifest.read(self.old)
        self._before = {entry.identity: entry for entry in _found_again(self.old, before.entries)} if before else {}
        self._gone = frozenset(before.removed) if before else frozenset()
        self._left = {entry.identity: entry for entry in _journal(self.left)}
        self._large = threading.Lock()
        self._stop = threading.Event()

    def run(self) -> bool:
        """Make everything; False where it was cancelled."""
        try:
            return self._run()
        except BusyError:
            # Who cancels ends a wait for the host, too.
            if self.turn.cancelled:
                return False
            raise

    def _run(self) -> bool:
        for folder in dict.fromkeys(copy.folder for copy in self.plan.copies):
            (self.part / folder).mkdir()
        total = len(self.plan.copies)
        with (self.part / JOURNAL).open("w", encoding="utf-8") as journal:
            for done, (copy, made) in enumerate(self._made(), 1):
                self._take(copy, made)
                if made.entry is not None:
                    journal.write(json.dumps(asdict(made.entry), ensure_ascii=False) + "\n")
                    journal.flush()
                self.turn.tell(done, total, say("Writing pictures"))
        if self.turn.cancelled:
            return False
        if not self.entries:
            raise DataError(*(self.warnings or [say("All pictures were taken out of the project by hand: choose the name of a new folder.")]))
        self._carry_over()
        return not self.turn.cancelled

    def finish(self) -> None:
        """Take away what only the building needed."""
        (self.part / JOURNAL).unlink(missing_ok=True)

    def _take(self, copy: Copy, made: Made) -> None:
        if made.entry is not None:
            self.entries.append(made.entry)
        self.same += made.same
        self.kept += made.kept
        if made.removed:
            self.removed.add(copy.identity)
        if made.warning is not None:
            self.skipped.append(copy.key)
            self.warnings.append(made.warning)

    def _made(self) -> Iterator[tuple[Copy, Made]]:
        """Every file in the plan's order, some at once; ends early where it is cancelled."""
        workers = max(1, min(4, os.cpu_count() or 1))
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="lora-studio-prepare") as pool:
            waiting: dict[int, tuple[Copy, Future[Made]]] = {}
            coming, given, begun = iter(self.plan.copies), 0, 0
            try:
                while not self.turn.cancelled:
                    for copy in coming:
                        waiting[begun] = (copy, pool.submit(self._make, copy))
                        begun += 1
                        if len(waiting) >= 2 * workers:
                            break
                    if not waiting:
                        return
                    copy, future = waiting[given]
                    wait([future], timeout=0.5, return_when=FIRST_COMPLETED)
                    if future.done():
                        del waiting[given]
                        given += 1
                        yield copy, future.result()
            finally:
                self._stop.set()
                for _, future in waiting.values():
                    future.cancel()

    def _make(self, copy: Copy) -> Made:
        if self._stop.is_set() or self.turn.cancelled:
            return Made()
        old = self._before.get(copy.identity)
        if copy.identity in self._gone or (old is not None and not (self.old / old.file).is_file()):
            return Made(removed=True)
        try:
            entry, same, kept = self._picture(copy, old)
        except DataError as error:
            return Made(warning=error.messages[0])
        text, by_hand = self._text(copy, old)
        if text is not None:
            (self.part / entry.caption).write_bytes(text)
        # A caption of the user's own keeps our hash: it is theirs at the next update, too.
        ours = old.text if by_hand and old is not None else digest(copy.caption.encode("utf-8")) if copy.caption is not None else ""
        return Made(replace(entry, text=ours), same and not by_hand, (*kept, *([entry.caption] if by_hand else [])))

    def _picture(self, copy: Copy, old: Entry | None) -> tuple[Entry, bool, tuple[str, ...]]:
        """The picture in its place → its entry, whether it was there already, and its name where the user had changed it."""
        wanted = recipe(copy, self.plan.config)
        for root, found in ((self.old, old), (self.left, self._left.get(copy.identity))):
            if found is None or not (root / found.file).is_file():
                continue
            changed = not _is_as_stored(root / found.file, found)
            if changed and root == self.left:
                continue
            if changed or (found.recipe == wanted and found.mark == copy.mark):
                file = f"{copy.folder}/{copy.stem}{Path(found.file).suffix}"
                _bring(root / found.file, self.part / file, link=root == self.left)
                return replace(found, file=file), not changed and root == self.old, (file,) if changed else ()
        with self._large if copy.size[0] * copy.size[1] > LARGE else contextlib.nullcontext():
            made = render(copy, self.plan.config, self.tools, lambda: not (self.turn.cancelled or self._stop.is_set()))
        file = f"{copy.folder}/{copy.stem}{made.suffix}"
        path = self.part / file
        path.write_bytes(made.content)
        stat = path.stat()
        stored = (stat.st_size, stat.st_mtime_ns)
        return Entry(file, copy.key, copy.role, copy.number, wanted, copy.mark, stored, digest(made.content)), False, ()

    def _text(self, copy: Copy, old: Entry | None) -> tuple[bytes | None, bool]:
        """The caption's bytes, and whether they are the user's own from the project."""
        planned = copy.caption.encode("utf-8") if copy.caption is not None else None
        if old is None:
            return planned, False
        try:
            there = (self.old / old.caption).read_bytes()
        except FileNotFoundError:
            return planned, False
        if digest(there) == old.text or there == planned:
            return planned, False
        return there, True

    def _carry_over(self) -> None:
        """What the user put into the project themselves comes along: pictures, captions, caches of latents."""
        if not self.old.is_dir():
            return
        ours = {name for entry in self._before.values() for name in (entry.file, entry.caption)} | {manifest.NAME, places.MARKER, JOURNAL}
        # Only captions that we wrote are ours: one beside a picture that had none is the user's and was taken above.
        folders = _renamed(self._before, self.plan)
        for path in sorted(self.old.rglob("*")):
            name = path.relative_to(self.old).as_posix()
            if name in ours or (path.is_dir() and not path.is_symlink()):
                continue
            head, _, rest = name.partition("/")
            goal = self.part / (f"{folders.get(head, head)}/{rest}" if rest else head)
            goal.parent.mkdir(parents=True, exist_ok=True)
            _bring(path, _free(goal))


def _found_again(project: Path, entries: Sequence[Entry]) -> list[Entry]:
    """The entries where the user gave a folder another number of repeats: with the name it has now."""
    heads = {entry.file.partition("/")[0] for entry in entries}
    strangers = [path.name for path in project.iterdir() if path.is_dir() and path.name not in heads]
    now = {}
    for head in heads:
        alike = [name for name in strangers if bare(name) == bare(head)]
        if len(alike) == 1 and not (project / head).exists():
            now[head] = alike[0]
    return [replace(entry, file="/".join((now.get(head, head), rest))) for entry in entries for head, _, rest in [entry.file.partition("/")]]


def _renamed(before: Mapping[str, Entry], plan: Plan) -> dict[str, str]:
    """Folders of the project that are called otherwise now (other repeats): where most of their pictures are."""
    now = {copy.identity: copy.folder for copy in plan.copies}
    found: dict[str, dict[str, int]] = {}
    for entry in before.values():
        if entry.identity in now:
            counts = found.setdefault(entry.file.partition("/")[0], {})
            counts[now[entry.identity]] = counts.get(now[entry.identity], 0) + 1
    there = {folder.name for folder in plan.folders}
    return {old: max(counts, key=lambda name: counts[name]) for old, counts in found.items() if old not in there}


def _journal(folder: Path) -> Iterator[Entry]:
    """What an abandoned building had finished; a last line cut off is no entry."""
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        found = manifest.read(folder)
        yield from found.entries if found else ()
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            yield manifest.entry_of(json.loads(line))


def _is_as_stored(path: Path, entry: Entry) -> bool:
    stat = path.stat()
    if (stat.st_size, stat.st_mtime_ns) == entry.stored:
        return True
    return stat.st_size == entry.stored[0] and digest(path.read_bytes()) == entry.hash


def _bring(source: Path, goal: Path, link: bool = False) -> None:
    """The same file at another place.

    A project and its earlier state share no file: what somebody paints into the one would change what undo brings back.
    A link is made only from what is deleted when this is done.
    """
    if link:
        with contextlib.suppress(OSError):
            os.link(source, goal)
            return
    shutil.copy2(source, goal, follow_symlinks=False)


def _free(path: Path) -> Path:
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}_own{number if number > 2 else ''}{path.suffix}")
    return found
