"""The attention that runs while we train: scaled dot product, whose backward pass keeps no attention maps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHOSEN = "sdp"
# What the WebUI's attention choices replace, in both code bases.
PLACES = (
    ("{package}.modules.attention", "CrossAttention", "forward"),
    ("{package}.modules.diffusionmodules.model", "AttnBlock", "forward"),
    ("{package}.modules.diffusionmodules.model", None, "nonlinearity"),
)


@contextmanager
def differentiable() -> Iterator[None]:
    """While open, ldm and sgm compute attention by sdp; then exactly what was in place is put back.

    The very functions are kept, not the name of the user's choice: somebody may have put in one that has no name, and
    the setting may have been changed while the queue was ours.
    """
    from modules import sd_hijack

    before = [(owner, name, vars(owner)[name]) for owner, name in _places()]
    chosen = sd_hijack.current_optimizer
    found = next((option for option in sd_hijack.optimizers if option.name == CHOSEN), None)
    try:
        if found is not None:
            found.apply()
            sd_hijack.current_optimizer = found
        yield
    finally:
        sd_hijack.current_optimizer = chosen
        for owner, name, value in before:
            setattr(owner, name, value)


def _places() -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    for package in ("ldm", "sgm"):
        for module_name, class_name, name in PLACES:
            module = sys.modules.get(module_name.format(package=package))
            owner = getattr(module, class_name, None) if class_name and module else module
            if owner is not None and name in vars(owner):
                found.append((owner, name))
    return found
