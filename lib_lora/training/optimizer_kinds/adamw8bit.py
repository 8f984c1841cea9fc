"""AdamW with its memory kept in 8 bits, where a card and the package for it are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_lora.core.messages import Message, say
from lib_lora.training.optimizer_kinds import adamw
from lib_lora.training.optimizers import optimizers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamW8bitOptions(adamw.AdamWOptions):
    """AdamW's options."""


@optimizers.add("adamw8bit", "AdamW 8 bit", AdamW8bitOptions)
def build(groups: list[dict[str, Any]], options: AdamW8bitOptions, device: torch.device) -> tuple[torch.optim.Optimizer, tuple[Message, ...]]:
    """bitsandbytes' AdamW, or torch's with a word about why."""
    if device.type != "cuda":
        return _plain(groups, options, device, say("AdamW 8 bit needs an NVIDIA card; plain AdamW is used."))
    try:
        # The package probes CUDA libraries when imported and fails with whatever error that gives.
        from bitsandbytes.optim import AdamW8bit

        _try(AdamW8bit, device)
    except (ImportError, OSError, RuntimeError, AttributeError, NameError) as error:
        why = say("AdamW 8 bit needs the package bitsandbytes, which cannot be used here ({reason}); plain AdamW is used.", reason=str(error))
        return _plain(groups, options, device, why)
    return AdamW8bit(groups, betas=(options.beta1, options.beta2), weight_decay=options.weight_decay), ()


def _try(kind: type[torch.optim.Optimizer], device: torch.device) -> None:
    """One step on a throwaway: a package built for another CUDA imports well and fails only here."""
    import torch

    weight = torch.nn.Parameter(torch.ones(8192, device=device))
    weight.grad = torch.ones_like(weight)
    kind([weight], lr=1e-3).step()


def _plain(groups: list[dict[str, Any]], options: AdamW8bitOptions, device: torch.device, why: Message) -> tuple[torch.optim.Optimizer, tuple[Message, ...]]:
    optimizer, notes = adamw.build(groups, options, device)
    return optimizer, (why, *notes)
