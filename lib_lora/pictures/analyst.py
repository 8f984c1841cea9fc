"""The analyst looks into the pixels of a catalogue in the background; what was seen once is not looked at again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from lib_lora.core.errors import DataError
from lib_lora.core.files import ordinary
from lib_lora.core.messages import Message, say
from lib_lora.pictures import faces, headers, sight, thumbs
from lib_lora.pictures.faces import Face
from lib_lora.pictures.facing import Finder
from lib_lora.pictures.picture import Catalog, Picture
from lib_lora.pictures.seen import Seen
from lib_lora.pictures.store import Entry, Store

THUMBS, FACES = "thumbs", "faces"
FLUSH = 64
STRIP = 1 << 20
WORKERS = 6
LARGE = 6_000_000
ASIDE = 2.0  # seconds that a picture waits at most for those somebody wants to see


class _Run:
    """One pass over a catalogue: what is still to be looked at, and whether somebody asked for the end."""

    def __init__(self, pictures: list[Picture]) -> None:
        self.pictures = pictures
        self.asked = threading.Event()
        self.ended = threading.Event()
        self.faces = 0  # pictures whose faces are looked for
        self._left: Iterator[Picture] = iter(())
        self._lock = threading.Lock()

    def begin(self, left: list[Picture]) -> None:
        """What is to be looked at."""
        self._left = iter(left)

    def next(self) -> Picture | None:
        """The next picture for a worker; None at the end."""
        with self._lock:
            return None if self.asked.is_set() else next(self._left, None)


class Analyst:
    """Looks into pictures on threads of its own. `cache_folder` keeps what was seen, by the content of files.

    Faces are looked for only where somebody put a detector into its folder `faces`.
    """

    def __init__(self, cache_folder: Path) -> None:
        self.folder = cache_folder
        self._store = Store(cache_folder)
        self._finder = Finder(cache_folder / FACES, cache_folder)
        self._lock, self._large = threading.Lock(), threading.Lock()
        self._shown_first, self._showing = threading.Condition(), 0
        self._run = _Run([])
        self._run.ended.set()
        self._seen: dict[str, tuple[Picture, Seen]] = {}
        self._flaws: dict[str, tuple[Picture, Message]] = {}
        self._shown: Mapping[str, Seen] | None = None

    def start(self, catalog: Catalog) -> None:
        """Look into all pictures that were not looked into; ends what an earlier start began."""
        pictures = [one for one in catalog.pictures if one.flaw is None and not headers.is_large(one.size)]
        there = {one.key: one for one in pictures}
        run = _Run(pictures)
        run.faces = len(pictures) if self._finder.detector() else 0
        with self._lock:
            self._run.asked.set()
            self._run = run
            self._seen = {key: held for key, held in self._seen.items() if key in there and _is_same(held[0], there[key])}
            self._flaws = {key: held for key, held in self._flaws.items() if key in there and _is_same(held[0], there[key])}
            self._shown = None
        self._finder.keep(self.seen())
        threading.Thread(target=self._work, args=(run,), name="lora-studio-analyst", daemon=True).start()

    def progress(self) -> tuple[int, int]:
        """How much of the work is done, of how much: a step for each picture, and one for its faces where a detector is there."""
        with self._lock:
            done, total = len(self._seen) + len(self._flaws), len(self._run.pictures)
        return (done + len(self._finder.found()), total + self._run.faces) if self._run.faces else (done, total)

    def faces(self) -> Mapping[str, tuple[Face, ...]]:
        """The faces found so far, by key; empty without a detector."""
        return self._finder.found()

    @property
    def problem(self) -> Message | None:
        """Why the detector that is there finds no faces."""
        return self._finder.problem

    def face_ratio(self, key: str) -> float | None:
        """The height of a picture's largest face in its own; None where none was found or nobody looked."""
        with self._lock:
            held = self._seen.get(key)
        return faces.ratio(self._finder.found_in(key), held[1].size[1]) if held else None

    def seen(self) -> Mapping[str, Seen]:
        """What was seen so far, by key: a snapshot that does not change."""
        with self._lock:
            if self._shown is None:
                self._shown = MappingProxyType({key: seen for key, (_, seen) in self._seen.items()})
            return self._shown

    def flaws(self) -> Mapping[str, Message]:
        """Pictures whose ends look well and whose pixels cannot be decoded, with the reason."""
        with self._lock:
            return {key: flaw for key, (_, flaw) in self._flaws.items()}

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """While open, no further picture is looked into: whoever waits for one on the page goes first."""
        with self._shown_first:
            self._showing += 1
        try:
            yield
        finally:
            with self._shown_first:
                self._showing -= 1
                self._shown_first.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of what runs; False where `timeout` seconds were not enough."""
        return self._run.ended.wait(timeout)

    def stop(self) -> None:
        """End after the pictures that are being looked into."""
        run = self._run
        run.asked.set()
        run.ended.wait(30)

    def _work(self, run: _Run) -> None:
        try:
            known = self._store.known([one for one in run.pictures if one.key not in self._seen])
            self._publish(run, [(one, known[one.key]) for one in run.pictures if one.key in known])
            with self._lock:
                run.begin([one for one in run.pictures if one.key not in self._seen and one.key not in self._flaws])
            names = range(max(1, min(WORKERS, os.cpu_count() or 1)))
            workers = [threading.Thread(target=self._look, args=(run,), name=f"lora-studio-eye-{n}", daemon=True) for n in names]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            if self._run is run:
                self._finder.look(run.pictures, self.seen(), run.asked)
                run.faces = len(self._finder.found()) if run.faces else 0
            if not run.asked.is_set():
                self._store.tidy()
                thumbs.tidy(self.folder / THUMBS)
        finally:
            run.ended.set()

    def _look(self, run: _Run) -> None:
        """A worker's life: one picture after the other, written down in handfuls."""
        hand: list[Entry] = []
        while (picture := run.next()) is not None:
            with self._shown_first:
                self._shown_first.wait_for(lambda: not self._showing or run.asked.is_set(), ASIDE)
            try:
                entry = self._entry(picture)
            except DataError as error:
                self._blame(run, picture, error.messages[0])
                continue
            except MemoryError:
                self._blame(run, picture, say("{file}: there is not enough memory to look into this picture", file=picture.key))
                continue
            hand.append(entry)
            self._publish(run, [(picture, entry.seen)])
            if len(hand) >= FLUSH:
                self._store.keep(hand)
                hand = []
        if hand:
            self._store.keep(hand)

    def _entry(self, picture: Picture) -> Entry:
        digest = _digest(picture.path)
        found = self._store.of_content(digest) if digest else None
        if found is None:
            # Large ones one at a time: each takes as much memory as hundreds of others.
            with self._large if picture.size[0] * picture.size[1] > LARGE else contextlib.nullcontext():
                found = sight.see(picture.path)
        return Entry(picture, digest, found)

    def _blame(self, run: _Run, picture: Picture, flaw: Message) -> None:
        with self._lock:
            if run is self._run:
                self._flaws[picture.key] = (picture, flaw)

    def _publish(self, run: _Run, found: list[tuple[Picture, Seen]]) -> None:
        with self._lock:
            # What an earlier run still brings is of another catalogue.
            if run is self._run:
                self._seen.update({picture.key: (picture, seen) for picture, seen in found})
                self._shown = None


def _is_same(old: Picture, new: Picture) -> bool:
    return old.path == new.path and old.mark == new.mark


def _digest(path: Path) -> bytes:
    """The digest of a file's bytes; empty where it cannot be opened, which looking into it will say."""
    digest = hashlib.blake2b(digest_size=20)
    try:
        with ordinary(path).open("rb") as file:
            while content := file.read(STRIP):
                digest.update(content)
    except OSError:
        return b""
    return digest.digest()
