"""Routes of the dataset page: editing."""

from __future__ import annotations

from lib_lora.api.endpoint import Route
from lib_lora.workbench import Workbench


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    del bench
    return ()
