"""The way to ask a running training to end."""

from __future__ import annotations

import threading
from typing import Literal

Request = Literal["stop", "cancel"]


class Control:
    """Held by whoever started a run and asked by the run between steps; safe across threads.

    stop keeps what was learnt, cancel does not. A cancel after a stop wins, a stop after a cancel does not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._request: Request | None = None

    @property
    def request(self) -> Request | None:
        """What was asked for, or None while the run may go on."""
        return self._request

    def stop(self) -> None:
        """End after this step and save."""
        with self._lock:
            self._request = self._request or "stop"

    def cancel(self) -> None:
        """End after this step and save nothing."""
        with self._lock:
            self._request = "cancel"
