"""Stand-ins for the parts around a job: a host without a model, a set of pictures, a training that follows a script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from lib_lora.core.messages import Message, say
from lib_lora.core.settings import load
from lib_lora.hosts.base import Access, HostPaths, Lease, Overrides
from lib_lora.jobs import Jobs
from lib_lora.model import Family, ModelFacts, Prediction
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Event, Phased, Planned, Stepped

FACTS = ModelFacts("tiny", Family.SD1, Prediction.EPSILON, zero_terminal=False, clip_skip=1, device="cpu", dtype="float32")


@dataclass
class StandInHost:
    """Fulfils what jobs and routes ask of a Host; there is no model in it."""

    folder: Path
    roots: tuple[Path, ...] | None = None
    basic: tuple[tuple[str, str], ...] = ()
    refused: tuple[Message, ...] = ()
    name: str = "stand-in"
    model: ModelFacts | None = FACTS
    leases: list[Lease] = field(default_factory=list)

    def paths(self) -> HostPaths:
        return HostPaths(self.folder / "loras", self.folder / "state", self.roots)

    def access(self) -> Access:
        return Access(self.basic)

    def facts(self, overrides: Overrides = Overrides()) -> ModelFacts | None:
        return replace(self.model, prediction=overrides.prediction or self.model.prediction) if self.model else None

    def refusals(self, lease: Lease) -> list[Message]:
        return list(self.refused)

    def borrow(self, lease: Lease, waiting: Callable[[], bool]) -> AbstractContextManager[Any]:
        self.leases.append(lease)
        return nullcontext()

    def busy(self) -> bool:
        return False

    def forget(self, paths: Sequence[Path]) -> None:
        pass


@dataclass
class Script:
    """A training that stands at a gate after its first step until the test opens it, then takes the other steps."""

    steps: int = 4
    fails: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    more: Sequence[Event] = ()

    def __call__(self, config: TrainConfig, host: Any, control: Control) -> Generator[Event, None, None]:
        yield Phased("caching", say("Encoding pictures"), 1, 2)
        yield Planned(self.steps, self.steps, 1)
        yield Stepped(1, 1, 0.5, 1e-4, 0.25)
        self.reached.set()
        assert self.gate.wait(20), "the test forgot to open the gate"
        if self.fails:
            raise self.fails
        for step in range(2, self.steps + 1):
            if control.request:
                yield Ended("stopped" if control.request == "stop" else "cancelled", step - 1)
                return
            yield Stepped(step, 1, 0.5 / step, 1e-4, 0.25)
        yield from self.more
        yield Ended("done", self.steps)


def pictures(folder: Path, number: int = 3) -> Path:
    """A folder of captioned pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        Image.new("RGB", (640 + 64 * index, 512), (30 * index, 90, 120)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"sks, picture {index}", encoding="utf-8")
    return folder


def job_of(folder: Path, **sections: Any) -> TrainConfig:
    """A job on the pictures of `folder`; `sections` are given as in a job file."""
    return load(TrainConfig, {"data": {"folder": str(folder)}, "save": {"name": "sks"}, **sections})


def jobs_of(folder: Path, run: Any, **host: Any) -> Jobs:
    """Jobs of a stand-in host that lives in `folder`."""
    return Jobs(StandInHost(folder, **host), run)
