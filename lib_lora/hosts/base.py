"""What a host is: the program that owns the model, lends it for training and takes it back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lib_lora.core.messages import Message
from lib_lora.model import Model, ModelFacts, Prediction

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor


@dataclass(frozen=True)
class HostPaths:
    """Where things go. `loras` is where the host looks for networks; `state` holds our caches, trash and logs.

    `roots` are the folders a user may name; None means any (a local user). `models` is the folder of the host's models of
    all kinds, where it has one.
    """

    loras: Path
    state: Path
    roots: tuple[Path, ...] | None = None
    models: Path | None = None

    @property
    def cache(self) -> Path:
        """Latents on disk."""
        return self.state / "cache"

    @property
    def trash(self) -> Path:
        """Where replaced files go."""
        return self.state / "trash"


@dataclass(frozen=True)
class Overrides:
    """What the user says of the model against what the host read from it; None leaves the host's word."""

    prediction: Prediction | None = None
    zero_terminal: bool | None = None
    clip_skip: int | None = None


@dataclass(frozen=True)
class Lease:
    """What a job wants of the model: what learns, and whether previews need the whole of it."""

    trains_text: bool = False
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True)
class PictureRequest:
    """One picture to sample. `size` is (width, height)."""

    prompt: str
    negative: str = ""
    seed: int = 1
    steps: int = 20
    cfg: float = 7.0
    size: tuple[int, int] = (512, 512)


@dataclass(frozen=True)
class CaptionRequest:
    """A picture's caption as a host asks for it. `before` is what stands already; `tagger` is "" for the default."""

    tagger: str = ""
    threshold: float = 0.5
    character_threshold: float = 0.85
    trigger: str = ""
    before: str = ""


@dataclass(frozen=True)
class Access:
    """Who may use our routes. `basic` are (user, password) pairs of a Basic login; empty asks for none."""

    basic: tuple[tuple[str, str], ...] = ()


class Host(Protocol):
    """The seam between training and the program around it."""

    name: str

    def paths(self) -> HostPaths:
        """Where this host keeps networks, and where we may keep ours."""
        ...

    def access(self) -> Access:
        """The login this host asks for."""
        ...

    def facts(self, overrides: Overrides = Overrides()) -> ModelFacts | None:
        """What is known of the loaded model without waiting for it; None when none is loaded."""
        ...

    def refusals(self, lease: Lease) -> list[Message]:
        """Why this host or model cannot be trained so, each with what to change; empty when it can."""
        ...

    def borrow(self, lease: Lease, waiting: Callable[[], bool]) -> AbstractContextManager[Model]:
        """Wait until the model is free, then lend it: base weights, frozen, float32 schedule, good attention.

        `waiting` is called while the queue is not free; when it returns False the wait ends with a BusyError. In every
        way out the model goes back bit for bit: weights, dtypes, flags, hooks, options. Raises HostError for what
        `refusals` names.
        """
        ...

    def busy(self) -> bool:
        """Whether somebody uses the device right now, so that a probe would have to wait."""
        ...

    def picture(self, model: Model, request: PictureRequest) -> Image.Image:
        """Sample one picture with the lent model, networks in memory included; random state goes back."""
        ...

    def deltas(self, path: Path, model: Model) -> Iterator[tuple[str, Tensor]]:
        """Read a saved network with the host's own loader → (file key, ΔW at strength 1, float32, on the CPU).

        ΔW is (out, in) or (out, in, kh, kw). Keys the loader drops are missing here: the caller notices.
        """
        ...

    def forget(self, paths: Sequence[Path]) -> None:
        """These files are new or changed: the host lists and re-applies them, whatever it has cached."""
        ...


@runtime_checkable
class PictureTools(Protocol):
    """What a host may offer for pictures beside a model."""

    def upscalers(self) -> tuple[str, ...]:
        """The names of what can make pictures larger."""
        ...

    def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = ...) -> Image.Image:
        """The RGB picture in exactly that size. `waiting` as in `borrow`; HostError where the tool does not work."""
        ...


class LoadedInterrogator(Protocol):
    """One of a host's own taggers in memory. `names` are its tags in the order of its outputs; none where it writes sentences.

    `prepare` may be called by many threads at once. The other two take their turn in the host's queue, HostError or
    BusyError where that is not to be had.
    """

    names: tuple[str, ...]
    device: str

    def prepare(self, image: Image.Image) -> np.ndarray:
        """An upright RGB picture → what it looks at."""
        ...

    def probabilities(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """A row of probabilities each, float32, in the order of `names`."""
        ...

    def sentences(self, prepared: Sequence[np.ndarray]) -> list[str]:
        """A sentence each."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


@dataclass(frozen=True)
class Interrogator:
    """A tagger that a host has itself. `tags` says whether it gives probabilities of tags; else it writes a sentence.

    `weights` is its file, None while that is not there; then `file` belongs into `folder` and can be had from `url`.
    `lacks` says what else is not there. `settings` are what else decides what it says.
    """

    name: str
    label: str
    tags: bool
    folder: Path
    file: str
    url: str
    load: Callable[[], LoadedInterrogator]
    weights: Path | None = None
    lacks: tuple[Message, ...] = ()
    settings: str = ""

    @property
    def missing(self) -> bool:
        """Whether it cannot be loaded."""
        return self.weights is None or bool(self.lacks)


@runtime_checkable
class Interrogators(Protocol):
    """What a host may offer to describe pictures."""

    def interrogators(self) -> tuple[Interrogator, ...]:
        """Those it knows, whether their files are there or not. Looks into folders only."""
        ...


class Counts(Protocol):
    """What a host may offer besides: the length of texts as its text encoder reads them."""

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text, without those that begin and end it; None while there is no tokenizer. Never raises."""
        ...
