"""The taggers of one server: which there are, and the one that is in memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import BusyError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Host
from lib_lora.tagging.tagger import Around, Running, Tagger

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lib_lora.tagging.labels import Labels

IDLE = 300.0  # seconds a tagger stays in memory for the next picture
IDLE_ON_CARD = 30.0  # a card's memory is wanted for drawing
REMEMBERED = 16


@dataclass(frozen=True)
class Answer:
    """What a tagger says of one picture."""

    tagger: str
    labels: Labels
    row: np.ndarray
    device: str
    notes: tuple[Message, ...]
    sentence: str = ""


@dataclass
class _Loaded:
    """A tagger in memory. `key` is its name, its weights as they are on the disk, and whether it was asked to stay off the graphics card."""

    key: tuple[str, str, bool]
    running: Running
    users: int = 0


class Taggers:
    """One tagger is in memory at a time; several may use it. It goes by itself when nobody has used it for a while."""

    def __init__(self, host: Host, idle: float = IDLE) -> None:
        self._host = host
        self._idle = idle
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None
        self._timer: threading.Timer | None = None
        self._rows: dict[tuple[str, str], Answer] = {}

    def around(self, given: Sequence[Path] = ()) -> Around:
        """Where taggers are looked for."""
        from lib_lora.tagging import locate

        return locate.around(self._host.paths(), self._host, given)

    def listed(self) -> dict[str, Tagger]:
        """All there are, by name."""
        from lib_lora.tagging import registry

        return registry.listed(self.around())

    def chosen(self, name: str = "") -> Tagger:
        """The tagger of that name; ConfigError names those there are. Without a name the one that tagged a folder last, where it is ready."""
        from lib_lora.tagging import registry

        if not name.strip() and (last := self._last()) is not None:
            return last
        return registry.chosen(name, self.around())

    def remember(self, name: str) -> None:
        """This tagger is the one to take where none is named, also after a restart."""
        place = self._last_place()
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(name, encoding="utf-8")

    def _last(self) -> Tagger | None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = self.listed().get(self._last_place().read_text(encoding="utf-8").strip())
            return found if found is not None and found.missing is None else None
        return None

    def _last_place(self) -> Path:
        return self.around().state / "last.txt"

    @property
    def loaded(self) -> str:
        """The name of the tagger in memory; "" where there is none."""
        return self._loaded.key[0] if self._loaded else ""

    @contextlib.contextmanager
    def use(self, tagger: Tagger) -> Iterator[tuple[Running, tuple[Message, ...]]]:
        """The tagger in memory, with what the user should know of it."""
        busy = self._host.busy() and not tagger.hosted
        held = self._take(tagger, busy)
        meanwhile = say("The model is in use (a training or a picture), so pictures are tagged on the CPU meanwhile.")
        try:
            yield held.running, (*([meanwhile] if busy and held.running.device == "CPU" else []), *held.running.notes)
        finally:
            with self._lock:
                held.users -= 1
                self._rest()

    def ask(self, image: Image.Image, name: str = "") -> Answer:
        """One upright RGB picture. The answer is remembered for a while, so that thresholds can be moved over it."""
        from lib_lora.tagging.run import pixels_of, rows

        tagger = self.chosen(name)
        key = (_weights(tagger), pixels_of(image))
        if key not in self._rows:
            with self.use(tagger) as (running, notes):
                ((row, sentence),) = rows(running, [running.prepare(image)])
                told = (*notes, *(note for note in running.notes if note not in notes))
                found = Answer(tagger.name, running.labels, row, running.device, told, sentence)
            self._rows = {**dict(list(self._rows.items())[-(REMEMBERED - 1) :]), key: found}
        return self._rows[key]

    def unload(self) -> bool:
        """Give the memory back, where nobody uses it; returns whether anything was given."""
        with self._lock:
            if self._loaded is None or self._loaded.users:
                return False
            held, self._loaded = self._loaded, None
        held.running.close()
        return True

    def shutdown(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        self.unload()

    def _take(self, tagger: Tagger, busy: bool) -> _Loaded:
        key = (tagger.name, _weights(tagger), busy)
        with self._loading:
            with self._lock:
                held = self._loaded
                same = held is not None and held.key[:2] == key[:2]
                if held is not None and same and (held.key == key or held.users or (busy and held.running.device == "CPU")):
                    held.users += 1
                    return held
                if held is not None and held.users:
                    raise BusyError(say("{tagger} is at work: wait for its end, or cancel it first.", tagger=held.key[0]))
            self.unload()
            found = _Loaded(key, tagger.start(busy), 1)
            with self._lock:
                self._loaded = found
            return found

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        on_card = self._loaded is not None and self._loaded.running.device != "CPU"
        self._timer = threading.Timer(min(self._idle, IDLE_ON_CARD) if on_card else self._idle, self.unload)
        self._timer.daemon = True
        self._timer.start()


def _weights(tagger: Tagger) -> str:
    """What tells a tagger from itself as it was before its files were replaced. What is not there starting it will say."""
    identity = ""
    if tagger.missing is None:
        with contextlib.suppress(OSError):
            identity = tagger.identity()
    return f"{tagger.which}:{identity}"
