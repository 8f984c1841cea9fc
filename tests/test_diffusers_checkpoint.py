"""What a checkpoint is, by its header and its yaml alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from lib_lora.core.errors import HostError
from lib_lora.demo.tables import TextSize, UNetSize, VAESize, clip, openclip, unet, vae
from lib_lora.hosts.diffusers.checkpoint import inspect, listing
from lib_lora.hosts.diffusers.structure import unet_config, vae_config
from lib_lora.model import Family, Prediction

SD1 = {**dict(unet(UNetSize())), **dict(vae(VAESize())), **dict(clip(TextSize(100), "cond_stage_model.transformer."))}
SD2 = {**dict(unet(UNetSize(linear=True))), **dict(vae(VAESize())), **dict(openclip(TextSize(100), "cond_stage_model.model."))}
SDXL = {
    **dict(unet(UNetSize(multipliers=(1, 2, 4), depths=(0, 2, 10), middle=10, linear=True, vector=2816))),
    **dict(vae(VAESize())),
    **dict(chain(clip(TextSize(100), "conditioner.embedders.0.transformer."), openclip(TextSize(100), "conditioner.embedders.1.model."))),
}


def header_only(path: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    """A file with a true header and no data: nothing here may read weights."""
    header = {name: {"dtype": "F16", "shape": list(shape), "data_offsets": [0, 0]} for name, shape in shapes.items()}
    content = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    return path


def yaml_beside(path: Path, params: Mapping[str, Any]) -> None:
    path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": params}}))


@pytest.mark.parametrize(("shapes", "family"), [(SD1, Family.SD1), (SD2, Family.SD2), (SDXL, Family.SDXL)], ids=["sd1", "sd2", "sdxl"])
def test_family_is_read_from_tensor_names(tmp_path: Path, shapes: Mapping[str, Any], family: Family) -> None:
    assert inspect(header_only(tmp_path / "a.safetensors", shapes)).family is family


@pytest.mark.parametrize(
    ("shapes", "params", "prediction"),
    [
        (SD1, None, Prediction.EPSILON),
        (SD1, {"parameterization": "v"}, Prediction.V),
        (SD2, None, None),
        (SD2, {"parameterization": "v"}, Prediction.V),
        (SD2, {"linear_start": 0.00085}, Prediction.EPSILON),
        (SDXL, None, Prediction.EPSILON),
        (SDXL, {"denoiser_config": {"params": {"scaling_config": {"target": "sgm.modules.diffusionmodules.denoiser_scaling.VScaling"}}}}, Prediction.V),
        (SDXL, {"denoiser_config": {"params": {"scaling_config": {"target": "sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling"}}}}, Prediction.EPSILON),
    ],
)
def test_prediction_is_what_the_yaml_says(tmp_path: Path, shapes: Mapping[str, Any], params: Mapping[str, Any] | None, prediction: Prediction | None) -> None:
    path = header_only(tmp_path / "a.safetensors", shapes)
    if params is not None:
        yaml_beside(path, params)
    assert inspect(path).prediction is prediction


def test_marks_in_the_header_win_and_say_that_the_webui_misses_them(tmp_path: Path) -> None:
    path = header_only(tmp_path / "a.safetensors", {**SDXL, "v_pred": (0,), "ztsnr": (0,)})
    found = inspect(path)
    assert found.prediction is Prediction.V
    assert found.zero_terminal
    assert "yaml" in found.notes[0].text()
    yaml_beside(path, {"denoiser_config": {"params": {"scaling_config": {"target": "x.VScaling"}}}})
    assert inspect(path).notes == ()


LABEL = "model.diffusion_model.label_emb.0.0.weight"
REFUSED = {
    "SD3": ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (8, 8)}, "SD3"),
    "LoRA": ({"lora_unet_down_blocks_0.lora_up.weight": (8, 8)}, "layout"),
    "refiner": ({**dict(unet(UNetSize(linear=True))), **dict(vae(VAESize())), "conditioner.embedders.0.model.ln_final.bias": (8,)}, "refiner"),
    "inpainting": ({**SD1, "model.diffusion_model.input_blocks.0.0.weight": (32, 9, 3, 3)}, "inpainting"),
    "unCLIP": ({**SD2, LABEL: (128, 2048)}, "unCLIP"),
    "no VAE": (dict(unet(UNetSize())), "VAE"),
    "no text encoder": ({**dict(unet(UNetSize())), **dict(vae(VAESize()))}, "text encoder"),
}


@pytest.mark.parametrize(("shapes", "word"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_trained_is_refused_by_name(tmp_path: Path, shapes: Mapping[str, Any], word: str) -> None:
    with pytest.raises(HostError, match=word):
        inspect(header_only(tmp_path / "a.safetensors", shapes))


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".bin", ".CKPT"])
def test_files_that_can_carry_code_are_refused_unopened(tmp_path: Path, ending: str) -> None:
    with pytest.raises(HostError, match="run code"):
        inspect(tmp_path / f"a{ending}")


@pytest.mark.parametrize("content", [b"", b"1234", struct.pack("<Q", 100) + b"{", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_a_broken_file_is_an_error_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(HostError, match="get it again"):
        inspect(path)


def test_a_broken_yaml_is_named(tmp_path: Path) -> None:
    path = header_only(tmp_path / "a.safetensors", SD1)
    path.with_suffix(".yaml").write_text("model: [")
    with pytest.raises(HostError, match=r"a\.yaml"):
        inspect(path)


def test_listing_has_checkpoints_only(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "c.ckpt", ".a.safetensors", "a.yaml"):
        (tmp_path / name).touch()
    assert [path.name for path in listing(tmp_path)] == ["a.safetensors", "b.safetensors"]
    assert listing(tmp_path / "nowhere") == ()


# The widths of the published models; the expected configs are those of their diffusers repositories (unet/config.json).
REAL = {
    "sd15": (UNetSize(320, context=768), "cond_stage_model.transformer.", (320, 640, 1280, 1280), 8, 768, [1, 1, 1, 1], 859_520_964),
    "sd21": (UNetSize(320, context=1024, linear=True), "cond_stage_model.model.", (320, 640, 1280, 1280), [5, 10, 20, 20], 1024, [1, 1, 1, 1], 865_910_724),
    "sdxl": (
        UNetSize(320, (1, 2, 4), (0, 2, 10), 10, context=2048, linear=True, vector=2816),
        "conditioner.embedders.1.model.",
        (320, 640, 1280),
        [5, 10, 20],
        2048,
        [1, 2, 10],
        2_567_463_684,
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_published_models_are_recognised_by_their_shapes(tmp_path: Path, name: str) -> None:
    """Every tensor finds its place in diffusers' UNet of the config we derive; the count is the published one."""
    pytest.importorskip("diffusers")
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    size, text, channels, heads, context, depths, count = REAL[name]
    shapes = {**dict(unet(size)), **dict(vae(VAESize(128))), f"{text}token_embedding.weight": (8, 8)}
    config = unet_config(inspect(header_only(tmp_path / "a.safetensors", shapes)))
    assert tuple(config["block_out_channels"]) == channels
    assert config["attention_head_dim"] == heads
    assert config["cross_attention_dim"] == context
    assert config["transformer_layers_per_block"] == depths
    with torch.device("meta"):
        module = UNet2DConditionModel(**config)
        tensors = {key: torch.empty(shape) for key, shape in unet(size)}
    converted = convert_ldm_unet_checkpoint(tensors, config)
    assert {key: value.shape for key, value in converted.items()} == {key: value.shape for key, value in module.state_dict().items()}
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_the_vae_of_a_published_model_is_recognised(tmp_path: Path) -> None:
    shapes = {**SD1, **dict(vae(VAESize(128)))}
    config = vae_config(inspect(header_only(tmp_path / "a.safetensors", shapes)))
    assert config["block_out_channels"] == [128, 256, 512, 512]
    assert (config["layers_per_block"], config["latent_channels"], config["scaling_factor"]) == (2, 4, 0.18215)
