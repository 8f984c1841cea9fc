"""The WebUI's loaded model as training sees it: the UNet of ldm or sgm itself, called without the WebUI's wrappers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.blocks import checkpointed
from lib_lora.hosts.schedule import training_schedule
from lib_lora.hosts.webui import facts as facts_of
from lib_lora.hosts.webui import program
from lib_lora.hosts.webui.frozen import fingerprint
from lib_lora.model import Family, Layer, ModelFacts, Posterior, Precision, SizeCond, TextCond
from lib_lora.networks.layers import clip_layers, openclip_layers, unet_layers

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
LOG_VARIANCE = (-30.0, 20.0)  # the range both code bases cut the VAE's log-variance to


class WebUIModel:
    """Fulfils `lib_lora.model.Model` for SD1 and SD2 (ldm); see `SDXLModel` for what sgm does another way."""

    def __init__(self, sd: Any, facts: ModelFacts, settle: Callable[[], None]) -> None:
        self.facts = facts
        self.sd = sd
        self._settle = settle
        self._vae_in_float32 = False
        self._device = self._home()
        self.placed: tuple[Literal["unet", "te", "vae"], ...] = ("unet", "te", "vae")

    def device(self) -> torch.device:
        """Where latents and conditioning are expected."""
        return self._device

    def layers(self) -> Sequence[Layer]:
        """Every place a network can hang on, UNet first, in the order of the file."""
        return [*unet_layers(self.unet, self.facts.family), *self._text_layers()]

    def alphas_cumprod(self) -> Tensor:
        """The schedule the model learnt with, not the one the user samples with."""
        alphas = getattr(self.sd, "alphas_cumprod_original", self.sd.alphas_cumprod)
        return training_schedule(alphas, self.facts.zero_terminal).to(self._device)

    def vae_fingerprint(self) -> str:
        """A short digest of the VAE's weights."""
        return fingerprint(self.vae)

    def encode_images(self, pixels: Tensor) -> Posterior:
        """(B, 3, H, W) in −1…1 → latents' posterior, in the VAE's precision or, where that gives NaN, in float32."""
        self._wake(self.vae)
        with torch.no_grad(), _autocast_off(self._device):
            moments = None if self._vae_in_float32 else self._moments(pixels, _dtype(self.vae))
            if moments is None or not torch.isfinite(moments).all():
                self._vae_in_float32 = True
                moments = self._moments(pixels, torch.float32)
        if not torch.isfinite(moments).all():
            raise HostError(say("The VAE of this checkpoint turns pictures into NaN, even in float32. Choose another VAE in Settings > VAE."))
        mean, log_variance = moments.chunk(2, dim=1)
        std = (0.5 * log_variance.clamp(*LOG_VARIANCE)).exp()
        scale = float(self.sd.scale_factor)
        return Posterior(mean * scale, std * scale)

    def encode_texts(self, texts: Sequence[str], grad: bool = False) -> TextCond:
        """Captions through the WebUI's own chunks of 75 tokens, taken literally: brackets and BREAK are only text."""
        with torch.enable_grad() if grad else torch.no_grad(), self._literal(), self._working(self._text_encoders()[0]):
            return self._encode(list(texts))

    def predict(self, noisy: Tensor, timesteps: Tensor, cond: TextCond, sizes: Sequence[SizeCond]) -> Tensor:
        """The UNet's raw prediction in float32. The WebUI's `apply_model` is passed by: it rounds what goes in."""
        self._wake(self.sd.model)
        with self._working(self.unet):
            out = self.unet(noisy.float(), timesteps, context=cond.context.to(self._device).float(), **self._extra(cond, sizes))
        return out.float()

    def autocast(self, precision: Precision) -> AbstractContextManager[None]:
        """Mixed precision on this device; nothing for fp32."""
        if precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=DTYPES[precision])

    def checkpoint_blocks(self) -> AbstractContextManager[None]:
        """While open, the UNet's blocks keep only their inputs."""
        return checkpointed(self.unet)

    def place(self, *parts: Literal["unet", "te", "vae"]) -> None:
        """Have these parts on the device. The others stay where they are, unless the user's setting sends them away.

        With --medvram the WebUI's own hooks move one part in and the last one out as each is used.
        """
        from modules import shared

        self.placed = parts
        if getattr(self.sd, "lowvram", False):
            return
        away = bool(getattr(shared.opts, "unload_models_when_training", False))
        for module, wanted in [(self.vae, "vae" in parts), *((encoder, "te" in parts) for encoder in self._text_encoders())]:
            if wanted:
                module.to(self._device)
            elif away:
                module.to("cpu")

    def changed(self) -> Message | None:
        """Why this is no longer the model that was lent, or None: some of the WebUI's doors do not ask the queue."""
        if facts_of.loaded() is not self.sd:
            return say("Another checkpoint was loaded or this one unloaded while it was trained.")
        home = next(self.unet.parameters()).device
        if home.type == "meta" or (home.type != self._device.type and not getattr(self.sd, "lowvram", False)):
            return say("The checkpoint was moved off the device while it was trained.")
        return None

    def settle(self) -> None:
        """Take out of the model what a picture has put in."""
        self._settle()

    @property
    def unet(self) -> nn.Module:
        """The denoising network."""
        return self.sd.model.diffusion_model

    @property
    def vae(self) -> nn.Module:
        """The autoencoder."""
        return self.sd.first_stage_model

    def _home(self) -> torch.device:
        from modules import devices

        return torch.device(devices.device) if getattr(self.sd, "lowvram", False) else next(self.unet.parameters()).device

    def _text_encoders(self) -> list[nn.Module]:
        return [self.sd.cond_stage_model]

    def _text_layers(self) -> list[Layer]:
        wrapped = self.sd.cond_stage_model.wrapped
        if self.facts.family is Family.SD2:
            return list(openclip_layers(wrapped.model, "lora_te", "te1"))
        return list(clip_layers(wrapped.transformer, "lora_te", "te1"))

    def _encode(self, texts: list[str]) -> TextCond:
        return TextCond(self.sd.cond_stage_model(texts))

    def _extra(self, cond: TextCond, sizes: Sequence[SizeCond]) -> dict[str, Tensor]:  # noqa: ARG002 - SDXL's alone
        return {}

    def _literal(self) -> AbstractContextManager[None]:
        # The old parser has no way to take brackets literally.
        return program.parsing_pinned({"emphasis": "None", "use_old_emphasis_implementation": False, "CLIP_stop_at_last_layers": self.facts.clip_skip})

    def _moments(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        vae, home = self.vae, self._device
        hidden = _call(vae.encoder, pixels.to(home, dtype), dtype)
        return _call(vae.quant_conv, hidden, dtype).float()

    def _wake(self, module: nn.Module) -> None:
        # --medvram moves a part in when its forward is called; where we call something inside, its hook is asked here.
        if getattr(self.sd, "lowvram", False):
            for hook in list(vars(module)["_forward_pre_hooks"].values()):
                hook(module, ())

    @contextmanager
    def _working(self, module: nn.Module) -> Iterator[None]:
        # Half-precision weights need an autocast; the caller's is taken where there is one.
        dtype = _dtype(module)
        if dtype is torch.float32 or _autocast_on(self._device):
            yield
        elif self._device.type in ("cuda", "cpu"):
            with torch.autocast(self._device.type, dtype=dtype):
                yield
        else:
            from modules import devices

            with devices.autocast():
                yield


class SDXLModel(WebUIModel):
    """SDXL (sgm): two text encoders, and a vector of pooled text and sizes."""

    def _text_encoders(self) -> list[nn.Module]:
        return [embedder for embedder in self.sd.conditioner.embedders if hasattr(embedder, "wrapped")]

    def _text_layers(self) -> list[Layer]:
        first, second = self._text_encoders()
        return [*clip_layers(first.wrapped.transformer, "lora_te1", "te1"), *openclip_layers(second.wrapped.model, "lora_te2", "te2")]

    def _encode(self, texts: list[str]) -> TextCond:
        # The encoders themselves: the conditioner around them runs each that is not its own to train without gradients.
        self._wake(self.sd.conditioner)
        first, second = self._text_encoders()
        context, (more, pooled) = first(texts), second(texts)
        return TextCond(torch.cat((context, more), dim=2), pooled)

    def _extra(self, cond: TextCond, sizes: Sequence[SizeCond]) -> dict[str, Tensor]:
        return {"y": torch.cat((cond.pooled.to(self._device).float(), self._sizes(sizes)), dim=1)}

    def _sizes(self, sizes: Sequence[SizeCond]) -> Tensor:
        values = {
            "original_size_as_tuple": [size.original[::-1] for size in sizes],
            "crop_coords_top_left": [size.crop[::-1] for size in sizes],
            "target_size_as_tuple": [size.target[::-1] for size in sizes],
        }
        embedders = [embedder for embedder in self.sd.conditioner.embedders if getattr(embedder, "input_key", "") in values]
        with torch.no_grad():
            parts = [embedder(torch.tensor(values[embedder.input_key], device=self._device, dtype=torch.float32)) for embedder in embedders]
        return torch.cat([part.float() for part in parts], dim=1)


def wrap(sd: Any, facts: ModelFacts, settle: Callable[[], None]) -> WebUIModel:
    """The model of the right kind around the WebUI's."""
    return (SDXLModel if facts.family is Family.SDXL else WebUIModel)(sd, facts, settle)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _call(module: nn.Module, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    # In another precision than its own with copies of the weights: the host's own stay untouched.
    if _dtype(module) is dtype:
        return module(inputs)
    copies = {name: value.to(dtype) for name, value in module.named_parameters()}
    return torch.func.functional_call(module, copies, (inputs,))


def _autocast_on(device: torch.device) -> bool:
    return torch.is_autocast_cpu_enabled() if device.type == "cpu" else torch.is_autocast_enabled()


def _autocast_off(device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, enabled=False) if _autocast_on(device) else nullcontext()
