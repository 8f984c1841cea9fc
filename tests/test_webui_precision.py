"""A WebUI that keeps its model in half precision, as it does on a card: here bf16, which a CPU can compute too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("ldm.modules.diffusionmodules.openaimodel", reason="stable-diffusion-sdkit (the real ldm) is not installed")

import webui_double
from webui_bench import TEXTS, RandomLora, borrowed, differing, inputs, our_output, snapshot

from lib_lora.hosts.webui import WebUIHost, facts

HALF = torch.bfloat16


@pytest.fixture
def in_float32(tmp_path: Path) -> Iterator[Tensor]:
    """What the model gives in float32; while the test runs it is in half precision."""
    with webui_double.running(tmp_path):
        with borrowed(WebUIHost()) as model:
            exact = our_output(model)
        sd = facts.loaded()
        schedule = sd.alphas_cumprod
        sd.to(HALF)
        for norm in [module for module in sd.modules() if isinstance(module, nn.GroupNorm)]:
            norm.float()  # autocast computes these in float32 on a card, and on a CPU not
        sd.alphas_cumprod = sd.alphas_cumprod_original = schedule  # the WebUI leaves these two out as well
        yield exact


def close(first: Tensor, second: Tensor) -> float:
    return float((first - second).norm() / second.norm())


def test_half_precision_weights_compute_by_themselves(in_float32: Tensor) -> None:
    host = WebUIHost(thorough=True)
    before = snapshot()
    with borrowed(host) as model:
        assert model.facts.dtype == "bfloat16"
        out = our_output(model)
        assert out.dtype is torch.float32
        assert 0 < close(out, in_float32) < 0.05
        assert model.alphas_cumprod().dtype is torch.float32
        posterior = model.encode_images(torch.zeros(1, 3, 64, 64))
        assert posterior.mean.dtype is torch.float32
    assert not differing(before, snapshot())


@pytest.mark.parametrize("texts", [False, True])
def test_float32_networks_learn_on_half_precision_weights(in_float32: Tensor, texts: bool) -> None:
    noisy, timesteps, sizes = inputs()
    with borrowed(WebUIHost(thorough=True), trains_text=texts) as model:
        lora = RandomLora([layer for layer in model.layers() if texts or layer.part == "unet"])
        with lora.attached(), model.autocast("bf16"), model.checkpoint_blocks():
            cond = model.encode_texts(TEXTS, grad=texts)
            model.predict(noisy, timesteps, cond, sizes).square().mean().backward()
        assert all(parameter.grad is not None and parameter.grad.dtype is torch.float32 for parameter in lora.parameters())
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in lora.parameters())
        assert next(model.unet.parameters()).dtype is HALF


def test_a_retry_in_float32_leaves_the_vae_as_it_is(in_float32: Tensor) -> None:
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    with borrowed(WebUIHost(thorough=True)) as model:
        coarse = model.encode_images(pixels)
        places = [(parameter.data_ptr(), parameter.dtype) for parameter in model.vae.parameters()]
        exact = model._moments
        model._moments = lambda values, dtype: exact(values, dtype) * (float("nan") if dtype is HALF else 1.0)
        fine = model.encode_images(pixels)
        assert close(fine.mean, coarse.mean) < 0.1
        assert not torch.equal(fine.mean, coarse.mean)
        assert [(parameter.data_ptr(), parameter.dtype) for parameter in model.vae.parameters()] == places
