"""Losses against sd-scripts' numbers to 1e-5, and their edges."""

from __future__ import annotations

import pytest
import torch
from losses import golden

from lib_lora.model import Prediction
from lib_lora.training import loss, noise
from lib_lora.training.randomness import generator


@pytest.mark.parametrize("prediction", list(Prediction))
@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_losses_are_sd_scripts(prediction: Prediction, offset: float, gamma: float) -> None:
    stored = golden()
    case = f"offset{offset:g}"
    alphas, latents, t = stored["alphas"], stored["latents"], stored[f"{case}.t"]
    gauss = noise.with_offset(stored[f"{case}.plain"], stored[f"{case}.draw"], offset)
    each = loss.per_sample(stored["predicted"], noise.target(prediction, latents, gauss, alphas, t))
    if gamma:
        each = each * loss.min_snr_weights(alphas, t, gamma, prediction)
    name = f"{case}.{prediction.value}" + (".min_snr" if gamma else "")
    torch.testing.assert_close(each, stored[f"{name}.each"], rtol=0, atol=1e-5)
    torch.testing.assert_close(each.mean(), stored[f"{name}.loss"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("prediction", list(Prediction))
def test_min_snr_weights_are_sd_scripts_over_the_schedule(prediction: Prediction) -> None:
    stored = golden()
    weights = loss.min_snr_weights(stored["alphas"], stored["steps"], 5.0, prediction)
    torch.testing.assert_close(weights, stored[f"weights.{prediction.value}"], rtol=0, atol=1e-5)


def test_weights_at_pure_noise_are_the_limits() -> None:
    alphas = noise.rescale_zero_terminal(golden()["alphas"])
    last = torch.tensor([999])
    assert loss.snr(alphas, last).item() == 0
    assert loss.min_snr_weights(alphas, last, 5.0, Prediction.EPSILON).item() == 1
    assert loss.min_snr_weights(alphas, last, 5.0, Prediction.V).item() == 0
    everywhere = torch.arange(1000)
    for prediction in Prediction:
        assert bool(loss.min_snr_weights(alphas, everywhere, 5.0, prediction).isfinite().all())


def test_a_loss_is_counted_in_float32() -> None:
    """fp16 would overflow at 256² and lose what is small beside it."""
    big = torch.full((1, 4, 8, 8), 300.0, dtype=torch.float16)
    assert loss.per_sample(big, torch.zeros_like(big)).tolist() == [90000.0]


def test_each_sample_has_its_own_loss() -> None:
    draw = generator(1)
    a, b = torch.randn(5, 4, 3, 7, generator=draw), torch.randn(5, 4, 3, 7, generator=draw)
    together = loss.per_sample(a, b)
    assert together.shape == (5,)
    alone = torch.cat([loss.per_sample(a[n : n + 1], b[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone)
