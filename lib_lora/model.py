"""All that training asks of a diffusion model, whoever lends it; every host wraps its own model in this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from lib_lora.core.messages import Message

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Precision = Literal["fp32", "fp16", "bf16"]
Part = Literal["unet", "te1", "te2"]
Delta = Callable[["Tensor"], "Tensor"]


class Family(str, Enum):
    """The model families we train; the value is used in cache keys and job status."""

    SD1 = "sd1"
    SD2 = "sd2"
    SDXL = "sdxl"


class Prediction(str, Enum):
    """What the UNet predicts: the noise, or the velocity √ᾱ·noise − √(1−ᾱ)·latents."""

    EPSILON = "epsilon"
    V = "v"


@dataclass(frozen=True)
class ModelFacts:
    """What a host knows of the model it lends. `sha256`, `old_hash` (the WebUI's first, eight digits of a piece of the
    file) and `file` are None where the host does not know them.

    `clip_skip` counts as the WebUI does: 1 is the last layer. `notes` are sentences the user should read before a run.
    """

    name: str
    family: Family
    prediction: Prediction
    zero_terminal: bool
    clip_skip: int
    device: str
    dtype: str
    file: Path | None = None
    sha256: str | None = None
    old_hash: str | None = None
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class ConvSpec:
    """The geometry of a convolution a LoRA follows."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)


class Layer(Protocol):
    """A place a network can hang on. `key` is the file key without suffix ("lora_unet_…_attn1_to_q").

    `site` is "attention" for what a plain LoRA trains (transformer blocks, text encoders) and "resnet" for what a
    convolution rank adds. `conv` is None for a linear layer.
    """

    key: str
    part: Part
    site: Literal["attention", "resnet"]
    in_features: int
    out_features: int
    conv: ConvSpec | None

    def attach(self, delta: Delta) -> Callable[[], None]:
        """Make the layer's output base(x) + delta(x) until the returned function is called (calling it twice is fine).

        `delta` gets the input as the layer gets it and returns something of the output's shape. Where it has a method
        `onto(x, base)`, a layer may call that instead: the same sum, without a tensor in between.
        """
        ...


@dataclass(frozen=True)
class Posterior:
    """The VAE's answer for a batch, scaled as the UNet wants it: mean and std, each (B, 4, H/8, W/8) float32."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class TextCond:
    """Encoded captions: `context` (B, T, C); `pooled` (B, 1280) for SDXL, else None. Ordinary tensors."""

    context: Tensor
    pooled: Tensor | None = None


@dataclass(frozen=True)
class SizeCond:
    """SDXL's size conditioning of one picture, in pixels: (width, height) before and after, (left, top) cut off."""

    original: tuple[int, int]
    crop: tuple[int, int]
    target: tuple[int, int]


class Model(Protocol):
    """A lent diffusion model: frozen, on its device, base weights free of other networks. See `Host.borrow`."""

    facts: ModelFacts

    def device(self) -> torch.device:
        """Where latents and conditioning are expected."""
        ...

    def layers(self) -> Sequence[Layer]:
        """Every place a network can hang on, UNet first, in the order of the file."""
        ...

    def alphas_cumprod(self) -> Tensor:
        """The training schedule ᾱ, (1000,) float32 on `device()`, rescaled where the model is zero-terminal-SNR."""
        ...

    def vae_fingerprint(self) -> str:
        """A short digest of the VAE's weights: latents cached under another one are not used."""
        ...

    def encode_images(self, pixels: Tensor) -> Posterior:
        """(B, 3, H, W) in −1…1 → latents' posterior. Raises HostError where the VAE gives NaN even in float32."""
        ...

    def encode_texts(self, texts: Sequence[str], grad: bool = False) -> TextCond:
        """Captions as generation would encode them; with `grad`, gradients reach networks on the text encoders."""
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, cond: TextCond, sizes: Sequence[SizeCond]) -> Tensor:
        """The UNet's raw prediction in float32, (B, 4, h, w). `timesteps` (B,) int64. `sizes` matters to SDXL only."""
        ...

    def autocast(self, precision: Precision) -> AbstractContextManager[None]:
        """Mixed precision on this device; nothing for fp32."""
        ...

    def checkpoint_blocks(self) -> AbstractContextManager[None]:
        """While open, the UNet's blocks keep only their inputs and are computed again in the backward pass."""
        ...

    def place(self, *parts: Literal["unet", "te", "vae"]) -> None:
        """Have these parts on the device, the others wherever the host likes them."""
        ...

    def changed(self) -> Message | None:
        """Why this is no longer the model that was lent (unloaded, swapped), or None. Cheap: asked every step."""
        ...

    def settle(self) -> None:
        """Make the lease's promises true again after the host used the model (a preview, an encode)."""
        ...
