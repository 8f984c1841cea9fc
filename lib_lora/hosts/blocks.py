"""Gradient checkpointing of a UNet's blocks, for the UNet classes of ldm, sgm and diffusers alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

# What a block is called: residual and transformer blocks of ldm and sgm, then those of diffusers. Both kinds are
# small enough that one of them computed again costs little memory, and together they hold nearly all activations.
BLOCKS = frozenset({"ResBlock", "AttentionBlock", "BasicTransformerBlock", "ResnetBlock2D"})


def blocks_of(unet: nn.Module) -> list[nn.Module]:
    """The blocks of a UNet, by the names of their classes (a host may have put a subclass in place of one)."""
    return [module for module in unet.modules() if BLOCKS & {base.__name__ for base in type(module).__mro__}]


@contextmanager
def checkpointed(unet: nn.Module) -> Iterator[None]:
    """While open, the blocks keep only their inputs and are computed again in the backward pass.

    Not the reentrant kind that ldm, sgm and the WebUI have: with a frozen base nothing that enters the first block
    asks for gradients, and that kind then gives none. Instance forwards that are there already are kept and put back.
    """
    undo: list[Callable[[], None]] = []
    try:
        for block in blocks_of(unet):
            undo.append(_wrap(block))
        yield
    finally:
        for restore in reversed(undo):
            restore()


def _wrap(block: nn.Module) -> Callable[[], None]:
    own = vars(block).get("forward")
    inner = block.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return inner(*args, **kwargs)
        return checkpoint(inner, *args, use_reentrant=False, **kwargs)

    def restore() -> None:
        if vars(block).get("forward") is forward:
            del block.forward
            if own is not None:
                block.forward = own

    block.forward = forward
    return restore
