"""The taggers of the program around us, as taggers like all others: those that give probabilities, and those that write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Interrogator, Interrogators, LoadedInterrogator
from lib_lora.tagging.labels import GENERAL, RATING, Labels
from lib_lora.tagging.start import where_to_put
from lib_lora.tagging.tagger import Around, Missing, Running, Tagger, Wanted

if TYPE_CHECKING:
    from PIL import Image

RATED = "rating:"
BATCH = 4  # the host's queue is free for others after each


def listed(around: Around, name: str) -> list[Tagger]:
    """The host's tagger of that name, where there is such a host."""
    host: Any = around.host
    if not isinstance(host, Interrogators):
        return []
    return [_tagger(one, around) for one in host.interrogators() if one.name == name]


class Asked:
    """A host's tagger in memory."""

    batch = BATCH
    notes: tuple[Message, ...] = ()

    def __init__(self, loaded: LoadedInterrogator, digest: str) -> None:
        self._loaded, self.digest, self.device = loaded, digest, loaded.device
        self.labels = labels_of(loaded.names)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """As the host does it."""
        return self._loaded.prepare(image)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """A row each; of no tags where it writes sentences."""
        if not self.labels.names:
            return np.zeros((len(inputs), 0), dtype=np.float32)
        rows = self._loaded.probabilities(inputs)
        if rows.shape != (len(inputs), len(self.labels.names)):
            raise HostError(say("The tagger answers {given} numbers where its list has {tags} tags.", given=list(rows.shape), tags=len(self.labels.names)))
        return rows

    def close(self) -> None:
        """As the host does it."""
        self._loaded.close()


class Describing(Asked):
    """One that writes a sentence."""

    def describe(self, inputs: Sequence[np.ndarray]) -> list[str]:
        """A sentence each."""
        return self._loaded.sentences(inputs)


def labels_of(names: Sequence[str]) -> Labels:
    """Names as they are; "rating:…" are ratings."""
    rated = [name.startswith(RATED) for name in names]
    return Labels(
        tuple(name[len(RATED) :] if is_rating else name for name, is_rating in zip(names, rated, strict=True)),
        tuple(RATING if is_rating else GENERAL for is_rating in rated),
    )


def _tagger(one: Interrogator, around: Around) -> Tagger:
    missing = _missing(one)
    return Tagger(
        one.name,
        one.label,
        "host",
        _starting(one, around, missing),
        lambda: _identity(one, around),
        missing,
        place=str(one.weights or ""),
        hosted=True,
        sentence=not one.tags,
        settings=one.settings,
    )


def _missing(one: Interrogator) -> Missing | None:
    if not one.missing:
        return None
    return Missing(one.folder, () if one.weights else (Wanted(one.file, one.url),), one.lacks)


def _identity(one: Interrogator, around: Around) -> str:
    from lib_lora.tagging import digest

    if one.weights is None:
        return ""
    found = digest.remembered(one.weights, around.state)
    return hashlib.sha256(f"{found} {one.settings}".encode()).hexdigest() if one.settings else found


def _starting(one: Interrogator, around: Around, missing: Missing | None) -> Callable[[bool], Running]:
    def start(cpu: bool) -> Running:
        del cpu  # the host decides where its models run
        if missing is not None:
            raise HostError(where_to_put(one.label, missing))
        identity = _identity(one, around)
        return Asked(one.load(), identity) if one.tags else Describing(one.load(), identity)

    return start
