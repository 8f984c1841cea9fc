"""A running job, told in lines: each phase, each epoch, and how far it is in between."""

from __future__ import annotations

import time
from typing import Any

from lib_lora.cli.console import Console
from lib_lora.core.messages import Message, say
from lib_lora.jobs import Jobs, Status

LOOK_S = 0.2
LINE_S = 1.0  # a line that is overwritten
QUIET_S = 10.0  # a line in a file or pipe


def follow(jobs: Jobs, job: str, console: Console) -> Status:
    """Tell of a job until it has ended; returns its last Status."""
    told: tuple[Any, ...] = ()
    last = 0.0
    pause = LINE_S if (console.err if console.json else console.out).isatty() else QUIET_S
    while True:
        status = jobs.wait(job, LOOK_S)
        key, now = (status.phase, status.epoch, status.asked), time.monotonic()
        if key != told or now - last >= pause:
            # What stays on the screen are the beginnings of phases and epochs.
            console.tell(line_of(status, console), passing=key == told)
            told, last = key, now
        if status.ended:
            return status


def line_of(status: Status, console: Console) -> str:
    """One line of how far it is."""
    phase = console.text(_phase(status))
    head = phase if not status.message else f"{phase}: {console.text(status.message)}"
    if status.phase != "training" or not status.step:
        return f"{head} {status.done}/{status.total}" if status.total else head
    told = say(
        "step {step}/{steps}, epoch {epoch}/{epochs}, loss {loss}, {speed} steps/s, {left} left",
        step=status.step,
        steps=status.steps,
        epoch=status.epoch,
        epochs=status.epochs,
        loss=f"{status.loss:.4f}",
        speed=f"{status.speed or 0:.2f}",
        left=_clock(status.eta_s),
    )
    return f"{head}: {console.text(told)}"


def _phase(status: Status) -> Message:
    phases = {
        "caching": say("Reading the pictures"),
        "training": say("Training"),
        "saving": say("Saving"),
        "done": say("Done"),
        "stopped": say("Stopped and saved") if status.files else say("Stopped"),
        "cancelled": say("Cancelled"),
        "failed": say("It did not work"),
    }
    # Waiting for the model is a part of preparing; the message says that it waits.
    return phases.get(status.phase, say("Preparing"))


def _clock(seconds: float | None) -> str:
    minutes, rest = divmod(round(seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
