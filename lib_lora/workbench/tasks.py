"""Work that takes longer than a request: a thread each, a snapshot to read, a polite way to end it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lib_lora.core.errors import BusyError, LoraError, NotFound
from lib_lora.core.messages import Message, say

log = logging.getLogger(__name__)
REMEMBERED = 50


@dataclass(frozen=True)
class Task:
    """What is known of a piece of work. `phase`: running, done, cancelled, failed. `about` names what it works on.

    `done` of `total` (0: not known yet); `result` is plain data once it is done; `problems` say why it failed.
    """

    id: str
    kind: str
    about: str
    phase: str = "running"
    done: int = 0
    total: int = 0
    message: Message | None = None
    warnings: tuple[Message, ...] = ()
    problems: tuple[Message, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.phase == "running"


class Turn:
    """What the work is given: where to say how far it is, and whether to go on. Used by the thread of the work alone."""

    def __init__(self, task: Task, asked: threading.Event) -> None:
        self.task = task
        self._asked = asked

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to end: look between two files, keep what is whole, return."""
        return self._asked.is_set()

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        self.task = replace(self.task, done=done, total=total, message=message or self.task.message)

    def warn(self, *warnings: Message) -> None:
        """Something the user should know afterwards."""
        self.task = replace(self.task, warnings=(*self.task.warnings, *warnings))


@dataclass(frozen=True)
class _Held:
    turn: Turn
    asked: threading.Event
    ended: threading.Event


class Tasks:
    """The tasks of one server. Of one kind and subject only one runs at a time."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def start(self, kind: str, about: str, work: Callable[[Turn], Mapping[str, Any] | None]) -> str:
        """Run `work` on a thread of its own; returns the task's id. BusyError while the same is under way."""
        with self._lock:
            if self.running(kind, about):
                raise BusyError(say("This is under way already: wait for its end, or cancel it first."))
            asked, ended = threading.Event(), threading.Event()
            turn = Turn(Task(uuid.uuid4().hex[:12], kind, about), asked)
            kept = dict(list(self._held.items())[-(REMEMBERED - 1) :])
            self._held = {**kept, turn.task.id: _Held(turn, asked, ended)}
        threading.Thread(target=_work, args=(turn, work, ended), name=f"lora-studio-{kind}", daemon=True).start()
        return turn.task.id

    def status(self, id: str) -> Task:
        """What is known of a task."""
        return self._found(id).turn.task

    def running(self, kind: str, about: str) -> Task | None:
        """The task of that kind and subject that has not ended."""
        tasks = [held.turn.task for held in self._held.values()]
        return next((task for task in tasks if task.running and (task.kind, task.about) == (kind, about)), None)

    def cancel(self, id: str) -> None:
        """Ask a task to end at the next good moment."""
        self._found(id).asked.set()

    def wait(self, id: str, timeout: float | None = None) -> Task:
        """Wait until it has ended or `timeout` seconds have passed."""
        self._found(id).ended.wait(timeout)
        return self.status(id)

    def shutdown(self, timeout: float = 10.0) -> None:
        """Ask all to end, and wait for that."""
        for held in self._held.values():
            held.asked.set()
        for held in self._held.values():
            held.ended.wait(timeout)

    def _found(self, id: str) -> _Held:
        if id not in self._held:
            raise NotFound(say("There is no task {task}: it was never started here, or it is too long ago.", task=id))
        return self._held[id]


def _work(turn: Turn, work: Callable[[Turn], Mapping[str, Any] | None], ended: threading.Event) -> None:
    try:
        result = work(turn)
    except LoraError as error:
        turn.task = replace(turn.task, phase="failed", problems=error.messages)
    except BaseException as error:  # the boundary of the thread: nothing above it could say what happened
        log.exception("the task %s failed", turn.task.kind)
        told = say("This did not work ({kind}: {text}). The server's log says where.", kind=type(error).__name__, text=str(error))
        turn.task = replace(turn.task, phase="failed", problems=(told,))
    else:
        turn.task = replace(turn.task, phase="cancelled" if turn.cancelled else "done", result=result or {})
    finally:
        ended.set()
