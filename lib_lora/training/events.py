"""What a training says of itself; jobs turn it into a status, the command line into lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib_lora.core.messages import Message

Phase = Literal["waiting", "preparing", "caching", "training", "saving", "done", "stopped", "cancelled", "failed"]
ENDED: frozenset[str] = frozenset({"done", "stopped", "cancelled", "failed"})


@dataclass(frozen=True)
class Phased:
    """A phase began or moved on; `done` of `total` where it can be counted."""

    phase: Phase
    message: Message | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Warned:
    """Something the user should read, though the run goes on."""

    message: Message


@dataclass(frozen=True)
class Planned:
    """The numbers of the run that is about to start. `optimizer` is the class that was built, with its options."""

    steps: int
    steps_per_epoch: int
    epochs: int
    optimizer: str = ""


@dataclass(frozen=True)
class Stepped:
    """One optimizer step was taken. `step` counts from 1, `lr` is the UNet's (or first group's) rate that was used."""

    step: int
    epoch: int
    loss: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class PreviewDue:
    """An epoch ended that wants a preview; whoever consumes the events may sample before asking for the next one."""

    step: int
    epoch: int


@dataclass(frozen=True)
class SaveDue:
    """The network should be written now: at an epoch's end, or `final`."""

    step: int
    epoch: int
    final: bool


@dataclass(frozen=True)
class Previewed:
    """A preview lies at `path`."""

    path: Path
    epoch: int


@dataclass(frozen=True)
class Saved:
    """A network file is complete and was read back by the host's loader; `error` is the largest relative difference."""

    path: Path
    epoch: int
    final: bool
    error: float


@dataclass(frozen=True)
class Ended:
    """The last event: done, stopped or cancelled, after how many steps."""

    phase: Phase
    step: int


Event = Phased | Warned | Planned | Stepped | PreviewDue | SaveDue | Previewed | Saved | Ended
