"""A random UNet lent to the loop as a host would lend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from lib_lora.bench import unets
from lib_lora.core.messages import Message
from lib_lora.hosts.blocks import checkpointed
from lib_lora.model import Family, Layer, ModelFacts, Posterior, Precision, Prediction, SizeCond, TextCond
from lib_lora.networks.layers import unet_layers
from lib_lora.training.batches import Batch
from lib_lora.training.randomness import generator

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
TOKENS = 77


class BenchModel:
    """SD1.5's UNet alone, as a `Model`: it predicts, and has neither texts nor pictures to encode."""

    def __init__(self, backend: unets.Backend, unet: nn.Module, device: torch.device) -> None:
        self.facts = ModelFacts("random", Family.SD1, Prediction.EPSILON, False, 1, str(device), str(next(unet.parameters()).dtype))
        self.backend = backend
        self.unet = unet
        self._device = device

    def device(self) -> torch.device:
        """See `Model`."""
        return self._device

    def layers(self) -> Sequence[Layer]:
        """See `Model`."""
        return unet_layers(self.unet, Family.SD1)

    def alphas_cumprod(self) -> Tensor:
        """See `Model`."""
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        return (1 - betas).cumprod(0).float().to(self._device)

    def vae_fingerprint(self) -> str:
        """See `Model`."""
        return "none"

    def encode_images(self, pixels: Tensor) -> Posterior:
        """There is no VAE."""
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str], grad: bool = False) -> TextCond:
        """There is no text encoder."""
        raise NotImplementedError

    def predict(self, noisy: Tensor, timesteps: Tensor, cond: TextCond, sizes: Sequence[SizeCond]) -> Tensor:  # noqa: ARG002 - for SDXL
        """See `Model`."""
        dtype = next(self.unet.parameters()).dtype
        return unets.predict(self.backend, self.unet, noisy.to(dtype), timesteps, cond.context.to(dtype)).float()

    def autocast(self, precision: Precision) -> AbstractContextManager[None]:
        """See `Model`."""
        return nullcontext() if precision == "fp32" else torch.autocast(self._device.type, DTYPES[precision])

    def checkpoint_blocks(self) -> AbstractContextManager[None]:
        """See `Model`."""
        return checkpointed(self.unet)

    def place(self, *parts: Literal["unet", "te", "vae"]) -> None:
        """It lies where it lies."""

    def changed(self) -> Message | None:
        """Never."""

    def settle(self) -> None:
        """Nobody else uses it."""


class RandomBatches:
    """As many batches of random latents and contexts as are asked for."""

    def __init__(self, device: torch.device, side: int, size: int, context: int, number: int) -> None:
        draw = generator(0, "bench")
        mean = torch.randn(size, 4, side // 8, side // 8, generator=draw).to(device)
        self._cond = TextCond(torch.randn(size, TOKENS, context, generator=draw).to(device))
        whole = SizeCond((side, side), (0, 0), (side, side))
        self.batch = Batch(Posterior(mean, torch.full_like(mean, 0.1)), ("",) * size, (whole,) * size, torch.ones(size, device=device))
        self._number = number

    def epoch(self, epoch: int) -> Iterator[Batch]:  # noqa: ARG002 - every epoch is alike
        """The same batch again and again: what is in it takes no part in the time."""
        for _ in range(self._number):
            yield self.batch

    def cond(self, batch: Batch) -> TextCond:  # noqa: ARG002 - there is one
        """One random context."""
        return self._cond
