"""The same weights in ldm's own classes and in ours give the same numbers."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
import torch
from checkpoints import SD2_UNET, SMALL_VAE, WIDTH, sd1, sd2
from safetensors.torch import load_file

from lib_lora.hosts.base import Lease
from lib_lora.hosts.diffusers import DiffusersHost
from lib_lora.model import TextCond

pytestmark = [
    pytest.mark.skipif(util.find_spec("diffusers") is None, reason="diffusers belongs to the stand-alone environment"),
    pytest.mark.skipif(util.find_spec("ldm") is None, reason="the package stable-diffusion-sdkit holds ldm"),
]
TOLERANCE = 1e-5


def ldm_unet(path: Path, linear: bool) -> torch.nn.Module:
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    heads = {"num_head_channels": 32} if linear else {"num_heads": 8}
    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=SD2_UNET.channels,
        attention_resolutions=[4, 2, 1],
        num_res_blocks=2,
        channel_mult=SD2_UNET.multipliers,
        use_spatial_transformer=True,
        use_linear_in_transformer=linear,
        transformer_depth=1,
        context_dim=WIDTH,
        use_checkpoint=False,
        legacy=False,
        **heads,
    )
    prefix = "model.diffusion_model."
    unet.load_state_dict({key.removeprefix(prefix): value.float() for key, value in load_file(path).items() if key.startswith(prefix)})
    return unet.eval()


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_unet(tmp_path: Path, family: str) -> None:
    path = sd1(tmp_path) if family == "sd1" else sd2(tmp_path)
    noisy = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(1))
    context = torch.randn(2, 154, WIDTH, generator=torch.Generator().manual_seed(2))
    times = torch.tensor([3, 871])
    with DiffusersHost(path, tmp_path).borrow(Lease()) as model, torch.no_grad():
        ours = model.predict(noisy, times, TextCond(context), [])
        theirs = ldm_unet(path, family == "sd2")(noisy, timesteps=times, context=context)
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < TOLERANCE * theirs.abs().max()


def test_vae(tmp_path: Path) -> None:
    from ldm.modules.diffusionmodules.model import Decoder, Encoder

    path = sd1(tmp_path)
    size = {"ch": SMALL_VAE.channels, "ch_mult": SMALL_VAE.multipliers, "num_res_blocks": SMALL_VAE.blocks, "attn_resolutions": [], "z_channels": 4}
    parts = {
        "encoder": Encoder(in_channels=3, out_ch=3, resolution=64, double_z=True, **size),
        "decoder": Decoder(in_channels=3, out_ch=3, resolution=64, **size),
        "quant_conv": torch.nn.Conv2d(8, 8, 1),
        "post_quant_conv": torch.nn.Conv2d(4, 4, 1),
    }
    tensors = load_file(path)
    for name, part in parts.items():
        prefix = f"first_stage_model.{name}."
        part.load_state_dict({key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)})
        part.eval()
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with DiffusersHost(path, tmp_path).borrow(Lease()) as model, torch.no_grad():
        posterior = model.encode_images(pixels)
        mean, log_variance = parts["quant_conv"](parts["encoder"](pixels)).chunk(2, dim=1)
        assert torch.allclose(posterior.mean, mean * 0.18215, rtol=TOLERANCE, atol=TOLERANCE)
        assert torch.allclose(posterior.std, torch.exp(0.5 * log_variance.clamp(-30, 20)) * 0.18215, rtol=1e-4, atol=1e-7)
        latents = posterior.mean
        theirs = parts["decoder"](parts["post_quant_conv"](latents / 0.18215))
        assert torch.allclose(model.decode(latents), theirs, rtol=TOLERANCE, atol=TOLERANCE)


def test_every_tensor_of_ldm_has_its_row_in_the_tables(tmp_path: Path) -> None:
    """The demo's tables are ldm's own names and shapes."""
    path = sd2(tmp_path)
    stored = {key.removeprefix("model.diffusion_model."): tuple(value.shape) for key, value in load_file(path).items() if key.startswith("model.")}
    real = {key: tuple(value.shape) for key, value in ldm_unet(path, True).state_dict().items()}
    assert stored == real
