"""Events of a training → Status: an immutable picture of a job that anybody may read at any time."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lib_lora.core.messages import Message
from lib_lora.training.events import ENDED, Ended, Event, Phased, Planned, Previewed, Saved, Stepped, Warned

IDLE = "idle"  # the phase of the Status that stands for "nothing was started yet"
CURVE_POINTS = 2000
SMOOTHING = 0.98  # weight of the past in the smoothed loss, once there is a past
RECENT = 50  # steps whose median gives speed and remaining time


@dataclass(frozen=True)
class Status:
    """What is known of a job at one moment. `done` of `total` counts what the phase counts (pictures while caching).

    `loss` is smoothed; `curve` holds (step, loss) as measured, means of neighbours where a run is long. `speed` is
    steps per second and `eta_s` the seconds left, both from the median of recent steps. `asked` is how the user wants
    it to end while it has not. `exit_code` is 0 unless failed.
    """

    job: str = ""
    name: str = ""
    trigger: str = ""
    phase: str = IDLE
    message: Message | None = None
    done: int = 0
    total: int = 0
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    lr: float | None = None
    speed: float | None = None
    eta_s: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    files: tuple[Path, ...] = ()
    previews: tuple[Previewed, ...] = ()
    warnings: tuple[Message, ...] = ()
    error: tuple[Message, ...] = ()
    exit_code: int = 0
    asked: Literal["stop", "cancel"] | None = None
    started_at: float = 0.0
    ended_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, well or badly."""
        return self.phase in ENDED

    @property
    def running(self) -> bool:
        """Whether it was started and is not over."""
        return self.phase not in ENDED and self.phase != IDLE


class Curve:
    """(step, loss) points, at most `limit`: when they are too many, neighbours become their mean."""

    def __init__(self, limit: int = CURVE_POINTS) -> None:
        self.points: tuple[tuple[int, float], ...] = ()
        self._limit = limit
        self._width = 1
        self._open: list[float] = []

    def add(self, step: int, loss: float) -> None:
        """Take one more loss; it shows once its point is full."""
        self._open.append(loss)
        if len(self._open) < self._width:
            return
        self.points = (*self.points, (step, statistics.fmean(self._open)))
        self._open = []
        if len(self.points) >= self._limit:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = tuple((after[0], (before[1] + after[1]) / 2) for before, after in pairs)
            self._width *= 2


class Tracker:
    """Folds the events of one job into its Status. Belongs to the thread that trains; others read `status`."""

    def __init__(self, job: str, name: str, now: float | None = None, trigger: str = "") -> None:
        self.status = Status(job=job, name=name, trigger=trigger, phase="preparing", started_at=time.time() if now is None else now)
        self.ending: str | None = None
        self._curve = Curve()
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._smoothed = 0.0
        self._weight = 0.0

    def take(self, event: Event) -> Status:
        """Fold one event in. The new Status replaces the old one in one assignment, so that no reader needs a lock."""
        self.status = replace(self.status, **self._changes(event))
        return self.status

    def end(self, phase: str, error: tuple[Message, ...] = (), exit_code: int = 0) -> Status:
        """The job is over."""
        over = {"phase": phase, "error": error, "exit_code": exit_code, "message": None, "done": 0, "total": 0, "eta_s": None, "ended_at": time.time()}
        self.status = replace(self.status, **over)
        return self.status

    def seconds_per_step(self) -> float | None:
        """The median of recent steps: a step that waited for a preview or a save does not move it."""
        return statistics.median(self._seconds) if self._seconds else None

    def _changes(self, event: Event) -> dict[str, Any]:
        now = self.status
        if isinstance(event, Stepped):
            return self._stepped(event)
        if isinstance(event, Phased):
            return {"phase": event.phase, "message": event.message, "done": event.done, "total": event.total}
        if isinstance(event, Planned):
            return {"steps": event.steps, "epochs": event.epochs}
        if isinstance(event, Warned):
            return {"warnings": (*now.warnings, event.message)}
        if isinstance(event, Saved):
            # A file that is written again (the same name, replaced) is one file.
            return {"files": (*(path for path in now.files if path != event.path), event.path)}
        if isinstance(event, Previewed):
            return {"previews": (*now.previews, event)}
        if isinstance(event, Ended):
            # Not over yet: the model is still on its way back to its host. `end` is called when the run has returned.
            self.ending = event.phase
            return {"step": event.step, "message": None, "eta_s": None}
        return {}

    def _stepped(self, event: Stepped) -> dict[str, Any]:
        self._curve.add(event.step, event.loss)
        self._seconds.append(event.seconds)
        # Dividing by the weight gathered so far makes the first steps count fully instead of starting from 0.
        self._smoothed = SMOOTHING * self._smoothed + (1 - SMOOTHING) * event.loss
        self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)
        each = statistics.median(self._seconds)
        return {
            "phase": "training",
            "message": None,
            "done": 0,
            "total": 0,
            "step": event.step,
            "epoch": event.epoch,
            "loss": self._smoothed / self._weight,
            "lr": event.lr,
            "curve": self._curve.points,
            "speed": 1 / each if each > 0 else None,
            "eta_s": each * max(0, self.status.steps - event.step),
        }
