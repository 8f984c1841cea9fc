"""A loaded checkpoint as training sees it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Literal

import torch

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.blocks import checkpointed
from lib_lora.hosts.diffusers import text
from lib_lora.hosts.schedule import training_schedule
from lib_lora.model import Family, Layer, ModelFacts, Posterior, Precision, SizeCond, TextCond

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lib_lora.hosts.diffusers.tokens import Tokens
    from lib_lora.hosts.diffusers.weights import Modules

PartName = Literal["unet", "te", "vae"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class DiffusersModel:
    """The modules of one checkpoint on one device. `facts` may be replaced for a lease."""

    def __init__(self, facts: ModelFacts, modules: Modules, tokenizer: Tokens, scale: float, betas: tuple[float, float], device: torch.device) -> None:
        self.facts = facts
        self.modules = modules
        self.tokenizer = tokenizer
        self.betas = betas
        self._scale = scale
        self._device = device
        self._layers: list[Layer] | None = None
        self._fingerprint: str | None = None
        self._narrow: torch.dtype | None = None
        self._placed: tuple[PartName, ...] = ("unet", "te", "vae")

    def device(self) -> torch.device:
        """Where latents and conditioning are expected."""
        return self._device

    def layers(self) -> Sequence[Layer]:
        """UNet first, then the text encoders."""
        from lib_lora.networks.layers import clip_layers, unet_layers

        if self._layers is None:
            found = list(unet_layers(self.modules.unet, self.facts.family))
            if self.modules.te2 is None:
                found += clip_layers(self.modules.te1, "lora_te", "te1")
            else:
                found += clip_layers(self.modules.te1, "lora_te1", "te1")
                found += clip_layers(self.modules.te2, "lora_te2", "te2")
            self._layers = found
        return self._layers

    def alphas_cumprod(self) -> Tensor:
        """ᾱ of the scaled linear schedule, made in float64 as ldm makes it."""
        first, last = self.betas
        betas = torch.linspace(first**0.5, last**0.5, 1000, dtype=torch.float64) ** 2
        alphas = torch.cumprod(1 - betas, dim=0)
        return training_schedule(alphas, self.facts.zero_terminal).to(self._device)

    def vae_fingerprint(self) -> str:
        """Digest of the VAE's tensors and of the factor its latents are scaled with."""
        if self._fingerprint is None:
            digest = hashlib.sha256(repr(self._scale).encode())
            for name, tensor in sorted(self.modules.vae.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint

    def encode_images(self, pixels: Tensor) -> Posterior:
        """The VAE's posterior times the scale factor; the VAE is float32 throughout."""
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            found = self.modules.vae.encode(pixels.to(self._device, torch.float32)).latent_dist
        mean, std = found.mean * self._scale, found.std * self._scale
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all()):
            raise HostError(say("The VAE of {name} gives no valid numbers for these pictures; choose a checkpoint with another VAE.", name=self.facts.name))
        return Posterior(mean, std)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents → pixels in −1…1, one picture at a time."""
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            return torch.cat([self.modules.vae.decode(one.float() / self._scale).sample for one in latents.split(1)])

    def encode_texts(self, texts: Sequence[str], grad: bool = False) -> TextCond:
        """Chunks of 75 tokens as the WebUI makes them, each with its own start and end."""
        with torch.set_grad_enabled(grad), self._half(self.modules.te1):
            return text.encode(self.modules, self.facts.family, self.tokenizer, list(texts), self.facts.clip_skip)

    def predict(self, noisy: Tensor, timesteps: Tensor, cond: TextCond, sizes: Sequence[SizeCond]) -> Tensor:
        """The UNet's raw prediction in float32."""
        added = self._added(cond, sizes, noisy.shape[0]) if self.facts.family is Family.SDXL else None
        with self._half(self.modules.unet):
            return self.modules.unet(noisy, timesteps, encoder_hidden_states=cond.context, added_cond_kwargs=added, return_dict=False)[0].float()

    def autocast(self, precision: Precision) -> AbstractContextManager[None]:
        """Mixed precision; for fp32 weights that are kept in half precision become float32 until the lease ends."""
        if precision != "fp32":
            return torch.autocast(self._device.type, dtype=DTYPES[precision])
        self._widen()
        return contextlib.nullcontext()

    def checkpoint_blocks(self) -> AbstractContextManager[None]:
        """The UNet's residual and transformer blocks are computed again in the backward pass."""
        return checkpointed(self.modules.unet)

    def place(self, *parts: PartName) -> None:
        """These parts on the device; the others in main memory, where that is not the same."""
        self._placed = parts
        for name, modules in self.modules.parts().items():
            for module in modules:
                module.to(self._device if name in parts else "cpu")

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """All parts on the device for a picture, then again as they were placed."""
        before = self._placed
        self.place("unet", "te", "vae")
        try:
            yield
        finally:
            self.place(*before)

    def changed(self) -> Message | None:
        """Never: nobody but us has this model."""
        return None

    def settle(self) -> None:
        """Nothing to mend: pictures are sampled with the lent modules as they are."""

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Frozen while open; afterwards every flag, dtype, device and forward is what it was."""
        before = [
            (module, module.training, [(p, p.requires_grad) for p in module.parameters(recurse=False)], module.__dict__.get("forward"))
            for module in self._every()
        ]
        with ExitStack() as stack:
            stack.callback(self._put_back, before)
            stack.callback(self.place, "unet", "te", "vae")
            stack.callback(self._narrow_again)
            for module in self.modules.all():
                module.eval().requires_grad_(False)
            yield

    def _every(self) -> Iterator[nn.Module]:
        for top in self.modules.all():
            yield from top.modules()

    @staticmethod
    def _put_back(before: list[tuple[nn.Module, bool, list[tuple[nn.Parameter, bool]], object]]) -> None:
        for module, training, parameters, forward in before:
            module.training = training
            for parameter, requires_grad in parameters:
                parameter.requires_grad_(requires_grad)
                parameter.grad = None
            # A network that was left attached, by an error at a bad moment, hangs on the instance's forward.
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = forward

    def _half(self, module: nn.Module) -> AbstractContextManager[None]:
        """Weights in half precision compute in it, unless the caller has chosen already."""
        dtype = next(module.parameters()).dtype
        if dtype is torch.float32 or torch.is_autocast_enabled():
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=dtype)

    def _widen(self) -> None:
        dtype = next(self.modules.unet.parameters()).dtype
        if dtype is torch.float32:
            return
        self._narrow = dtype
        for module in self._computing():
            module.to(torch.float32)

    def _narrow_again(self) -> None:
        if self._narrow is None:
            return
        # Exact: every number was one of that type before.
        for module in self._computing():
            module.to(self._narrow)
        self._narrow = None

    def _computing(self) -> list[nn.Module]:
        return [module for name, modules in self.modules.parts().items() if name != "vae" for module in modules]

    def _added(self, cond: TextCond, sizes: Sequence[SizeCond], batch: int) -> dict[str, Tensor]:
        assert cond.pooled is not None, "SDXL is conditioned on a pooled vector"
        assert len(sizes) == batch, f"{batch} latents with {len(sizes)} sizes"
        rows = [(size.original[1], size.original[0], size.crop[1], size.crop[0], size.target[1], size.target[0]) for size in sizes]
        return {"text_embeds": cond.pooled, "time_ids": torch.tensor(rows, dtype=torch.float32, device=self._device)}
