"""Random tensors for a table of shapes: seeded, of a size that lets signals through, none of them zero where they end."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from lib_lora.demo.tables import Shape

# Factors on the plain 1/√fan_in, by what a name ends with. Measured on the demo's own widths: they bring latents and
# the UNet's answers to about unit size, decoded pictures into −1…1, and keep residual branches smaller than their trunk.
GAINS = {
    "out_layers.3.weight": 0.5,
    "proj_out.weight": 0.5,
    "conv2.weight": 0.5,
    "token_embedding.weight": 1.0,
    "position_embedding.weight": 0.2,
    "positional_embedding": 0.2,
}
LATENT_GAIN = 12.0
SPREAD = 0.1
LOG_VARIANCE = -8.0


def fill(table: Iterable[tuple[str, Shape]], seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors of these names and shapes. A name's numbers depend on the seed and its place in the table."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _ends(name, _tensor(name, shape, generator)).to(dtype) for name, shape in table}


def _tensor(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    if name.endswith("logit_scale"):
        return torch.tensor(math.log(100.0))
    if len(shape) == 1:
        # Never exactly the neutral element: of a norm without bias the mean is 0, and the WebUI divides by that of a text.
        return torch.randn(shape, generator=generator) * SPREAD + (1 if name.endswith("weight") else 0)
    gain = next((gain for end, gain in GAINS.items() if name.endswith(end)), 1.0)
    fan_in = 1 if "embedding" in name else math.prod(shape[1:])
    return torch.randn(shape, generator=generator) * gain / math.sqrt(fan_in)


def _ends(name: str, tensor: Tensor) -> Tensor:
    """The VAE's last word on latents: means of about unit size after scaling, spreads that are small beside them."""
    half = tensor.shape[0] // 2 if tensor.ndim else 0
    if name.endswith(".quant_conv.weight"):
        tensor[:half] *= LATENT_GAIN
        tensor[half:] *= 0.05
    if name.endswith(".quant_conv.bias"):
        tensor[half:] = LOG_VARIANCE
    return tensor
