"""AdamW, the usual choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_lora.core.messages import Message
from lib_lora.core.settings import opt
from lib_lora.training.optimizers import optimizers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AdamWOptions:
    """torch.optim.AdamW's options, with its defaults."""

    weight_decay: float = opt(0.01, "Weight decay", "Pulls the weights towards 0.", min=0, max=1, advanced=True)
    beta1: float = opt(0.9, "Beta 1", "How long the mean of the gradients is remembered.", min=0, max=0.9999, advanced=True)
    beta2: float = opt(0.999, "Beta 2", "How long their size is remembered.", min=0, max=0.99999, advanced=True)


@optimizers.add("adamw", "AdamW", AdamWOptions)
def build(groups: list[dict[str, Any]], options: AdamWOptions, device: torch.device) -> tuple[torch.optim.Optimizer, tuple[Message, ...]]:
    """The optimizer over `groups`."""
    from torch.optim import AdamW

    known = {"betas": (options.beta1, options.beta2), "weight_decay": options.weight_decay}
    # A LoRA is hundreds of small tensors: the fused kernel goes over all of them once instead of ten times over each.
    try:
        # Copies, because a refusal comes only after the groups have been written into.
        return AdamW([dict(group) for group in groups], fused=True, **known), ()
    except RuntimeError:  # torch before 2.4 has that kernel for CUDA alone
        return AdamW([dict(group) for group in groups], **known), ()
