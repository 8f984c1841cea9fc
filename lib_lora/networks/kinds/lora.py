"""LoRA: ΔW = up @ down · alpha/rank on linear layers and 1×1 convolutions, with `conv_rank` on the others too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_lora.core.settings import opt
from lib_lora.model import Layer
from lib_lora.networks.registry import Network, networks

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LoraOptions:
    """Size and strength of the factors."""

    rank: int = opt(16, "Rank", "Size of the low-rank factors: more holds more detail and makes a larger file.", min=1, max=1024)
    alpha: float = opt(8.0, "Alpha", "Strength of the LoRA while it learns, against the rank. Half the rank is usual.", min=0.001, max=1024)
    conv_rank: int = opt(0, "Convolution rank", "Size of the factors on 3×3 convolutions (LoCon). 0 leaves them as they are.", min=0, max=1024)
    conv_alpha: float = opt(1.0, "Convolution alpha", "The alpha of the convolution rank.", min=0.001, max=1024)


@networks.add("lora", "LoRA", LoraOptions)
def build(layers: Sequence[Layer], options: LoraOptions, device: torch.device, generator: torch.Generator) -> Network:
    """A LoRA on `layers`, which is nothing until it has learnt (up is zero)."""
    from lib_lora.networks.lora import make

    return make(layers, options.rank, options.alpha, options.conv_rank, options.conv_alpha, device, generator)
