"""Small random checkpoints of every family, from the demo's tables: narrow, but with every kind of block."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib_lora.demo import checkpoint, weights
from lib_lora.demo.tables import Shape, TextSize, UNetSize, VAESize, clip, openclip, unet, vae
from lib_lora.networks.keys import stored_as_convolution

WIDTH = 64
SD2_UNET = UNetSize(context=WIDTH, linear=True)
SDXL_UNET = UNetSize(multipliers=(1, 2, 4), depths=(0, 1, 2), middle=2, context=2 * WIDTH, linear=True, vector=WIDTH + 6 * 256)
SMALL_VAE = VAESize(multipliers=(1, 1, 1, 1), blocks=1)
OPENCLIP_LAYERS = 4


def sd1(folder: Path) -> Path:
    """SD1, without a yaml: its text encoder comes from `clip/`."""
    rows = checkpoint.write_clip(folder / "clip", WIDTH, 12)
    table = chain(unet(UNetSize(context=WIDTH)), vae(SMALL_VAE), clip(TextSize(rows, WIDTH), checkpoint.TEXT))
    return write(folder / "sd1.safetensors", table, 1)


def sd2(folder: Path, parameterization: str | None = "v") -> Path:
    """SD2 with 24 layers of OpenCLIP, of which the last is not read; None writes no yaml."""
    rows = checkpoint.write_clip(folder / "clip", WIDTH, 12)
    table = chain(unet(SD2_UNET), vae(SMALL_VAE), openclip(TextSize(rows, WIDTH, 24), "cond_stage_model.model."))
    path = write(folder / "sd2.safetensors", table, 2)
    if parameterization:
        write_yaml(path, {"parameterization": parameterization, "unet_config": {"params": {"num_head_channels": 32}}})
    return path


def sdxl(folder: Path, marks: Iterable[str] = (), params: Mapping[str, Any] | None = None) -> Path:
    """SDXL with both text encoders; `marks` are empty tensors in its header (v_pred, ztsnr)."""
    rows = checkpoint.write_clip(folder / "clip", WIDTH, 12)
    texts = chain(
        clip(TextSize(rows, WIDTH), "conditioner.embedders.0.transformer."),
        openclip(TextSize(rows, WIDTH, OPENCLIP_LAYERS), "conditioner.embedders.1.model."),
    )
    table = chain(unet(SDXL_UNET), vae(SMALL_VAE), texts, ((mark, (0,)) for mark in marks))
    path = write(folder / "sdxl.safetensors", table, 3)
    write_yaml(path, {"network_config": {"params": {"num_head_channels": 32}}, **(params or {})})
    return path


def write(path: Path, table: Iterable[tuple[str, Shape]], seed: int) -> Path:
    """Random half-precision tensors for a table."""
    checkpoint.write_tensors(path, weights.fill(table, seed, torch.float16))
    return path


def write_yaml(path: Path, params: Mapping[str, Any]) -> None:
    """The yaml beside a checkpoint."""
    path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": params}}), encoding="utf-8")


def network(layers: Iterable[Any], rank: int = 4, alpha: float = 2.0, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A random LoRA on these layers: the file's tensors, and what it should change each layer by."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    changes: dict[str, Tensor] = {}
    for layer in layers:
        kernel = layer.conv.kernel if layer.conv else ()
        # sd-scripts stores SD2's projections with kernels though they are linear.
        stored = (1, 1) if not kernel and stored_as_convolution(layer.key) else kernel
        down = (torch.randn(rank, layer.in_features, *stored, generator=generator) / layer.in_features**0.5).half()
        up = (torch.randn(layer.out_features, rank, *(1 for _ in stored), generator=generator) / rank**0.5).half()
        tensors |= {f"{layer.key}.lora_down.weight": down, f"{layer.key}.lora_up.weight": up, f"{layer.key}.alpha": torch.tensor(alpha)}
        product = up.float().flatten(1) @ down.float().flatten(1) * (alpha / rank)
        changes[layer.key] = product.view(layer.out_features, layer.in_features, *kernel)
    return tensors, changes
