"""A module's forward replaced on its instance and put back; and how a change is laid onto a base output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lib_lora.model import Delta

Undo = Callable[[], None]


def override(module: nn.Module, delta: Delta) -> Undo:
    """Give `module` a forward of its own that adds `delta`; undone, its __dict__ is as it was.

    Hosts replace forwards on classes while a job runs; an instance's forward wins over those and calls them.
    """
    own = module.__dict__.get("forward")
    base = module.forward
    add = onto(delta)
    living = True

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = base(x, *args, **kwargs)
        return add(x, out) if living else out

    def undo() -> None:
        nonlocal living
        living = False
        if module.__dict__.get("forward") is not forward:
            return  # undone before, or somebody hung another forward over this one: it passes through from now on
        restore(module, own)

    module.forward = forward
    return undo


def restore(module: nn.Module, own: object) -> None:
    """Take our forward off: the instance's own is put back, or the class's shows again."""
    if own is None:
        del module.forward
    else:
        module.forward = own


def onto(delta: Delta) -> Callable[[Tensor, Tensor], Tensor]:
    """(input, base output) → base output + delta(input), by the delta's own `onto` where it has a faster one."""
    return getattr(delta, "onto", None) or (lambda x, out: out + delta(x))
