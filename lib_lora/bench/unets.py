"""UNets of the real sizes with random weights, and attention that both code bases compute alike."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib_lora.core.errors import MissingDependency
from lib_lora.core.messages import say

Backend = Literal["ldm", "diffusers"]


@dataclass(frozen=True)
class Shape:
    """The widths of a UNet of SD1's topology; these are SD1.5's."""

    channels: int = 320
    factors: tuple[int, ...] = (1, 2, 4, 4)
    context: int = 768


SD15 = Shape()
SMALL = Shape(32, (1, 1, 2, 2), 32)
SHAPES = {"sd15": SD15, "small": SMALL}


def make(backend: Backend, shape: Shape, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A frozen UNet. Weights are drawn so that activations stay in every format's range."""
    unet = _ldm(shape) if backend == "ldm" else _diffusers(shape)
    unet = unet.to_empty(device=device).to(dtype).requires_grad_(False).eval()
    draw = torch.Generator(device).manual_seed(0)
    for parameter in unet.parameters():
        parameter.normal_(0, parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.02, generator=draw)
    for module in unet.modules():
        if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            module.weight.fill_(1)
    return unet


def twin(unet: nn.Module) -> nn.Module:
    """The same UNet on the same weights, in modules of its own: what is hung on one is not on the other."""
    return copy.deepcopy(unet, {id(tensor): tensor for tensor in (*unet.parameters(), *unet.buffers())})


def predict(backend: Backend, unet: nn.Module, noisy: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
    """The UNet's answer, whichever class it is."""
    if backend == "ldm":
        return unet(noisy, timesteps, context=context)
    return unet(noisy, timesteps, encoder_hidden_states=context).sample


@contextmanager
def scaled_dot_product(backend: Backend) -> Iterator[None]:
    """While open, ldm's attention is torch's scaled dot product, as the WebUI's host has it; diffusers' is anyway."""
    if backend != "ldm":
        yield
        return
    from ldm.modules.attention import CrossAttention

    before = CrossAttention.forward
    CrossAttention.forward = _attend
    try:
        yield
    finally:
        CrossAttention.forward = before


def _attend(self: Any, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    context = x if context is None else context
    q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.to_q(x), self.to_k(context), self.to_v(context)))
    return self.to_out(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


def _ldm(shape: Shape) -> nn.Module:
    try:
        from ldm.modules.diffusionmodules.openaimodel import UNetModel
    except ImportError as error:
        raise MissingDependency(
            say("The benchmark of ldm's UNet needs the package stable-diffusion-sdkit (pip install --no-deps stable-diffusion-sdkit).")
        ) from error
    with torch.device("meta"):
        return UNetModel(
            image_size=32,
            in_channels=4,
            out_channels=4,
            model_channels=shape.channels,
            attention_resolutions=[4, 2, 1],
            num_res_blocks=2,
            channel_mult=list(shape.factors),
            num_heads=8,
            use_spatial_transformer=True,
            transformer_depth=1,
            context_dim=shape.context,
            use_checkpoint=False,
            legacy=False,
        )


def _diffusers(shape: Shape) -> nn.Module:
    try:
        from diffusers import UNet2DConditionModel
    except ImportError as error:
        raise MissingDependency(say("The benchmark of diffusers' UNet needs the package diffusers.")) from error
    with torch.device("meta"):
        widths = tuple(shape.channels * factor for factor in shape.factors)
        return UNet2DConditionModel(block_out_channels=widths, cross_attention_dim=shape.context, attention_head_dim=8)
