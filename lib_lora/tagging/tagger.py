"""What a tagger is: a name on the page, the files it needs, and what runs when it has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lib_lora.core.messages import Message

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lib_lora.hosts.base import Host
    from lib_lora.tagging.labels import Labels


@dataclass(frozen=True)
class Wanted:
    """A file of a tagger: its name, where it can be had, its size in bytes and SHA-256 where they are known (0, "")."""

    name: str
    url: str = ""
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Missing:
    """Files that are not there: the folder they belong into, and what they are. `also` says what is not there besides."""

    folder: Path
    files: tuple[Wanted, ...]
    also: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A complete tagger on the disk: its graph and its list of tags."""

    model: Path
    labels: Path


class Running(Protocol):
    """A tagger in memory. `prepare` may be called by many threads at once, `run` by one at a time.

    `digest` is the identity of its weights; `batch` how many pictures `run` takes best; `notes` what the user should
    know, like a graphics card that could not be used.
    """

    labels: Labels
    digest: str
    device: str
    batch: int
    notes: tuple[Message, ...]

    def prepare(self, image: Image.Image) -> np.ndarray:
        """An upright RGB picture → what the tagger looks at."""
        ...

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Prepared pictures → a row of probabilities each, float32, in the order of `labels`."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


@runtime_checkable
class Describes(Protocol):
    """A Running that writes sentences; its rows are of no tags."""

    def describe(self, inputs: Sequence[np.ndarray]) -> list[str]:
        """Prepared pictures → a sentence each."""
        ...


@dataclass(frozen=True)
class Tagger:
    """A tagger that can be chosen. `hint` is its P=R threshold: where it finds as much falsely as it misses.

    `missing` is None when everything is there; then `start(cpu)` loads it, on the CPU where that is asked for, and
    `identity()` is what its weights are known by without loading them (Running.digest). A `hosted` one runs in the
    program around us, which finds its place on the device by itself; a `sentence` one writes a sentence in place of tags.
    """

    name: str
    label: str
    kind: str
    start: Callable[[bool], Running]
    identity: Callable[[], str]
    missing: Missing | None = None
    hint: float | None = None
    place: str = ""
    hosted: bool = False
    sentence: bool = False
    settings: str = ""

    @property
    def which(self) -> str:
        """What tells it from itself as it was: its files, and the host's settings that decide what it says."""
        return f"{self.name}:{self.place}:{self.settings}"


@dataclass(frozen=True)
class Around:
    """Where cards look: folders in their order (the first is where missing files belong), and the host, if there is one.

    `state` is a folder of ours for what is remembered about files. `given` are folders the user named for this run.
    """

    folders: tuple[Path, ...]
    hubs: tuple[Path, ...]
    state: Path
    host: Host | None = None
    given: tuple[Path, ...] = ()
    endpoint: str = "https://huggingface.co"


Build = Callable[[Any, Around], Sequence[Tagger]]  # (options, where to look) → the taggers this card knows there
