"""Our place in the WebUI's queue: the lock that all work on the device waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lib_lora.core.errors import BusyError
from lib_lora.core.messages import say

POLL_SECONDS = 0.2
OURS: ContextVar[bool] = ContextVar("lora_studio_queue_is_ours", default=False)


class Ticket:
    """A place in a first-come queue that can be given up, which the WebUI's own lock does not offer.

    The lock is taken by a thread that does nothing else, so that we wait in line like everybody; whoever has it may
    release it. Not reentrant.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._gate = threading.Lock()
        self._turn = threading.Event()
        self._left = False
        threading.Thread(target=self._stand, name="lora-studio-queue", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it is our turn, after waiting that long at most."""
        return self._turn.wait(seconds)

    def leave(self) -> None:
        """Give the place up or the lock back. Calling it twice is fine."""
        with self._gate:
            if not self._left:
                self._left = True
                if self._turn.is_set():
                    self._lock.release()

    def _stand(self) -> None:
        self._lock.acquire()
        with self._gate:
            if self._left:
                self._lock.release()
            else:
                self._turn.set()


@contextmanager
def turn(waiting: Callable[[], bool]) -> Iterator[None]:
    """Hold the WebUI's queue: nobody generates or changes the model meanwhile. BusyError when `waiting` says no."""
    from modules.call_queue import queue_lock

    if OURS.get():
        yield
        return
    ticket = Ticket(queue_lock)
    try:
        while not ticket.wait(POLL_SECONDS):
            if not waiting():
                raise BusyError(say("The WebUI was still busy when the wait for it was given up. Start again when it is free."))
        yield
    finally:
        ticket.leave()


@contextmanager
def ours() -> Iterator[None]:
    """For code that the WebUI calls while it holds its queue for it: in this thread the queue counts as ours meanwhile."""
    before = OURS.set(True)
    try:
        yield
    finally:
        OURS.reset(before)


def taken() -> bool:
    """Whether somebody else holds the queue now."""
    from modules.call_queue import queue_lock

    if OURS.get():
        return False
    if queue_lock.acquire(blocking=False):
        queue_lock.release()
        return False
    return True
