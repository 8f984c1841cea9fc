"""Tagging many pictures: files are read and prepared by threads while the graph runs, and what is known is not asked again."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lib_lora.core.errors import DataError
from lib_lora.core.messages import Message, count
from lib_lora.pictures import pixels
from lib_lora.tagging.cache import Cache, Entry
from lib_lora.tagging.tagger import Describes, Running

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lib_lora.pictures.picture import Picture

READERS = 3
FLUSH_AFTER = 10.0  # seconds of work that a crash may cost
FLUSH_FULL = 256  # rows


class Turn(Protocol):
    """Where to say how far it is, and whether to go on."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to end."""
        ...

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        ...


@dataclass
class Outcome:
    """How many pictures were looked at, how many were known already, and which could not be read, with the reason."""

    tagged: int = 0
    known: int = 0
    broken: dict[str, Message] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    """A picture that was read. `input` is None where its row is there already."""

    picture: Picture
    pixels: str
    input: np.ndarray | None


def pixels_of(image: Image.Image) -> str:
    """The identity of an upright RGB picture: what it shows, whatever its file is called or how it is packed."""
    found = hashlib.sha256(f"{image.width}x{image.height}:".encode())
    found.update(image.tobytes())
    return found.hexdigest()


def tag(running: Running, cache: Cache, pictures: Sequence[Picture], turn: Turn) -> Outcome:
    """Have a row in the cache for each picture. What is done is kept when it is cancelled or fails."""
    outcome, total = Outcome(), len(pictures)
    todo = [picture for picture in pictures if cache.pixels(picture) is None]
    outcome.known = total - len(todo)
    waiting: list[Entry] = []
    turn.tell(outcome.known, total)
    flushed = time.monotonic()
    try:
        for batch in _batches(running, cache, todo, turn, outcome):
            waiting += _rows(running, batch)
            done = len(batch)
            asked = sum(one.input is not None for one in batch)
            outcome.tagged, outcome.known = outcome.tagged + asked, outcome.known + done - asked
            turn.tell(outcome.known + outcome.tagged + len(outcome.broken), total)
            if len(waiting) >= FLUSH_FULL or time.monotonic() - flushed > FLUSH_AFTER:
                cache.add(waiting)
                waiting, flushed = [], time.monotonic()
    finally:
        if waiting:
            cache.add(waiting)
    return outcome


def told(outcome: Outcome, cancelled: bool = False) -> tuple[Message, ...]:
    """What to say of pictures that could not be read."""
    del cancelled
    if not outcome.broken:
        return ()
    names = list(outcome.broken)
    shown = count(len(names), "1 picture was left out: {names}", "{n} pictures were left out: {names}", names=names[:5])
    return (shown, *list(outcome.broken.values())[:5])


def _rows(running: Running, batch: Sequence[_Loaded]) -> list[Entry]:
    inputs = [one.input for one in batch if one.input is not None]
    said = iter(rows(running, inputs) if inputs else ())
    return [Entry(one.picture, one.pixels, *((None, "") if one.input is None else next(said))) for one in batch]


def rows(running: Running, inputs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, str]]:
    """Prepared pictures → a row of probabilities each, and the sentence where the tagger writes them."""
    sentences = running.describe(inputs) if isinstance(running, Describes) else [""] * len(inputs)
    return list(zip(running.run(inputs), sentences, strict=True))


def _batches(running: Running, cache: Cache, todo: Sequence[Picture], turn: Turn, outcome: Outcome) -> Iterator[list[_Loaded]]:
    """Full batches while others are read; the last one may be smaller."""
    size, ahead = running.batch, 2 * running.batch + READERS
    left, coming = iter(todo), deque[tuple["Picture", "Future[_Loaded]"]]()
    batch: list[_Loaded] = []
    with ThreadPoolExecutor(READERS, thread_name_prefix="lora-studio-tag") as pool:
        try:
            while not turn.cancelled:
                while len(coming) < ahead and (picture := next(left, None)) is not None:
                    coming.append((picture, pool.submit(_load, picture, running, cache)))
                if not coming:
                    break
                picture, future = coming.popleft()
                try:
                    batch.append(future.result())
                except DataError as error:
                    outcome.broken[picture.key] = error.messages[0]
                if sum(one.input is not None for one in batch) >= size or len(batch) >= ahead:
                    yield batch
                    batch = []
        finally:
            for _, future in coming:
                future.cancel()
    if batch and not turn.cancelled:
        yield batch


def _load(picture: Picture, running: Running, cache: Cache) -> _Loaded:
    image = pixels.whole(picture.path)
    name = pixels_of(image)
    return _Loaded(picture, name, None if name in cache.table else running.prepare(image))
