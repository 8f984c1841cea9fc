"""Gradient checkpointing for any module tree: blocks keep their inputs only and are computed again on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While open, each of `modules` is checkpointed where gradients are wanted; without gradients it runs as it is.

    Works for ldm's, sgm's and diffusers' blocks alike: it replaces the instance's forward, and puts back what was there
    (nothing, or somebody else's patch). Non-reentrant, so inputs need no gradient of their own and autocast is as it was.
    """
    with ExitStack() as stack:
        for module in modules:
            stack.callback(_wrap(module))
        yield


def _wrap(module: nn.Module) -> Callable[[], None]:
    had = module.__dict__.get("forward")
    inner = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return inner(*args, **kwargs)
        return checkpoint(inner, *args, use_reentrant=False, **kwargs)

    module.forward = forward

    def unwrap() -> None:
        if had is None:
            del module.forward
        else:
            module.forward = had

    return unwrap
