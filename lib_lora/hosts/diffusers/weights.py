"""LDM tensors → diffusers' UNet and VAE and transformers' text encoders, every tensor accounted for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.diffusers import structure
from lib_lora.hosts.diffusers.checkpoint import UNET, VAE, Checkpoint
from lib_lora.model import Family

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch import Tensor, nn

CHUNK = 2**24
# What text encoders carry that generation never reads.
UNUSED = ("logit_scale", "position_ids", "text_projection")


@dataclass(frozen=True)
class Modules:
    """The parts of a loaded checkpoint. `te2` is there for SDXL."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    te1: nn.Module
    te2: nn.Module | None
    sha256: str

    def parts(self) -> dict[str, list[nn.Module]]:
        """Modules by the name `Model.place` uses."""
        return {"unet": [self.unet], "vae": [self.vae], "te": [te for te in (self.te1, self.te2) if te is not None]}

    def all(self) -> list[nn.Module]:
        """The modules of every part."""
        return [module for modules in self.parts().values() for module in modules]


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device, heads: int | None) -> Modules:
    """Read the file once and build every part. The VAE is float32: in half precision SDXL's overflows.

    `heads` are the CLIP text encoder's attention heads where its own config names them.
    """
    from safetensors.torch import load_file

    tensors = load_file(checkpoint.path)
    te1, te2 = _text_encoders(checkpoint, tensors, dtype, device, heads)
    return Modules(
        _unet(checkpoint, tensors, dtype, device),
        _vae(checkpoint, tensors, device),
        te1,
        te2,
        _sha256(checkpoint.path),
    )


def _unet(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device) -> UNet2DConditionModel:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = structure.unet_config(checkpoint)
    mine = {key: value for key, value in tensors.items() if key.startswith(UNET)}
    converted = convert_ldm_unet_checkpoint(dict(mine), config)
    return _filled(checkpoint, "UNet", lambda: UNet2DConditionModel(**config), converted, len(mine), dtype, device)


def _vae(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], device: torch.device) -> AutoencoderKL:
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = structure.vae_config(checkpoint)
    # A VAE's own training leaves its loss in some files.
    mine = {key: value for key, value in tensors.items() if key.startswith(VAE) and not key.startswith(f"{VAE}loss.")}
    converted = convert_ldm_vae_checkpoint(dict(mine), config)
    return _filled(checkpoint, "VAE", lambda: AutoencoderKL(**config), converted, len(mine), torch.float32, device)


def _text_encoders(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device, heads: int | None
) -> tuple[nn.Module, nn.Module | None]:
    if checkpoint.family is Family.SD2:
        return _openclip(checkpoint, tensors, "cond_stage_model.model.", dtype, device), None
    if checkpoint.family is Family.SD1:
        return _clip(checkpoint, tensors, "cond_stage_model.transformer.", dtype, device, heads), None
    te1 = _clip(checkpoint, tensors, "conditioner.embedders.0.transformer.", dtype, device, heads)
    return te1, _openclip(checkpoint, tensors, "conditioner.embedders.1.model.", dtype, device)


def _clip(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], prefix: str, dtype: torch.dtype, device: torch.device, heads: int | None) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**structure.clip_config(checkpoint.shapes, prefix, heads))
    mine = {key: value for key, value in tensors.items() if key.startswith(prefix) and not key.endswith(UNUSED)}
    converted = convert_ldm_clip_checkpoint(dict(mine))
    # Checkpoints of older tools lack the level "text_model".
    converted = {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in converted.items()}
    return _filled(checkpoint, "CLIP", lambda: CLIPTextModel(config), converted, len(mine), dtype, device)


def _openclip(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], prefix: str, dtype: torch.dtype, device: torch.device) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(**structure.openclip_config(checkpoint, prefix))
    pooled = checkpoint.family is Family.SDXL
    build = CLIPTextModelWithProjection if pooled else CLIPTextModel
    with torch.device("meta"):
        blank = build(config)
    converted = convert_open_clip_checkpoint(blank, dict(tensors), prefix=prefix)
    if not pooled:
        converted.pop("text_projection.weight", None)
    return _filled(checkpoint, "OpenCLIP", lambda: build(config), converted, None, dtype, device)


def _filled(
    checkpoint: Checkpoint, name: str, build: Callable[[], Any], converted: Mapping[str, Tensor], count: int | None, dtype: torch.dtype, device: torch.device
) -> Any:
    """A module with exactly these tensors; HostError names what is missing, left over or of another shape."""
    with torch.device("meta"):
        module = build()
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in converted.items()}
    wrong = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))
    if wrong or (count is not None and count != len(given)):
        named = ", ".join(wrong[:5]) or f"{count} → {len(given)}"
        raise HostError(
            say(
                "{file}: {n} tensors of its {part} do not fit ({keys}); its structure is one we do not know",
                file=checkpoint.path.name,
                n=len(wrong),
                part=name,
                keys=named,
            )
        )
    # A copy of each: the file's own memory is mapped and goes away with it.
    module.load_state_dict({key: torch.empty_like(value, dtype=dtype, device=device).copy_(value) for key, value in converted.items()}, assign=True)
    _fill_buffers(module, device)
    return module.eval().requires_grad_(False)


def _fill_buffers(module: nn.Module, device: torch.device) -> None:
    """CLIP's position ids are no part of its state dict, so they are still without memory."""
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.is_meta:
                assert name == "position_ids", f"no value known for the buffer {name}"
                setattr(owner, name, torch.arange(buffer.shape[-1], device=device).expand(buffer.shape).clone())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()
