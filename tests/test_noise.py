"""Noise and targets against sd-scripts' numbers, and what must hold whatever the numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import golden

from lib_lora.model import Posterior, Prediction
from lib_lora.training import noise
from lib_lora.training.randomness import generator, rng


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_noise_and_targets_are_sd_scripts(offset: float) -> None:
    stored = golden()
    case = f"offset{offset:g}"
    alphas, latents, t = stored["alphas"], stored["latents"], stored[f"{case}.t"]
    drawn = noise.with_offset(stored[f"{case}.plain"], stored[f"{case}.draw"], offset)
    torch.testing.assert_close(drawn, stored[f"{case}.noise"], rtol=0, atol=1e-6)
    torch.testing.assert_close(noise.add(latents, drawn, alphas, t), stored[f"{case}.noisy"], rtol=0, atol=1e-6)
    for prediction in Prediction:
        expected = stored[f"{case}.{prediction.value}.target"]
        torch.testing.assert_close(noise.target(prediction, latents, drawn, alphas, t), expected, rtol=0, atol=1e-6)


def test_zero_terminal_schedule_is_sd_scripts() -> None:
    stored = golden()
    rescaled = noise.rescale_zero_terminal(stored["alphas"])
    # theirs multiplies a thousand float32 factors, which costs some digits
    torch.testing.assert_close(rescaled, stored["alphas.zero_terminal"], rtol=0, atol=2e-6)
    assert rescaled[-1] == 0
    assert rescaled.dtype == torch.float32
    assert bool((rescaled.diff() < 0).all())


@settings(max_examples=30, deadline=None)
@given(step=st.integers(0, 999), seed=st.integers(0, 2**32))
def test_latents_and_noise_follow_from_noisy_and_velocity(step: int, seed: int) -> None:
    alphas = golden()["alphas"]
    draw = torch.Generator().manual_seed(seed)
    latents, gauss, t = torch.randn(2, 4, 4, 4, generator=draw), torch.randn(2, 4, 4, 4, generator=draw), torch.tensor([step, step])
    noisy, velocity = noise.add(latents, gauss, alphas, t), noise.velocity(latents, gauss, alphas, t)
    a, s = alphas[step].sqrt(), (1 - alphas[step]).sqrt()
    torch.testing.assert_close(a * noisy - s * velocity, latents, rtol=0, atol=1e-5)
    torch.testing.assert_close(s * noisy + a * velocity, gauss, rtol=0, atol=1e-5)


def test_low_precision_latents_are_computed_in_float32() -> None:
    alphas, t = golden()["alphas"], torch.tensor([3])
    half = torch.randn(1, 4, 8, 8, generator=generator(1)).half()
    gauss = torch.randn(1, 4, 8, 8, generator=generator(2)).half()
    noisy = noise.add(half, gauss, alphas.double(), t)
    assert noisy.dtype == torch.float32
    assert torch.equal(noisy, noise.add(half.float(), gauss.float(), alphas, t))


def test_a_draw_has_the_posteriors_mean_and_spread() -> None:
    posterior = Posterior(torch.full((1, 4, 64, 64), 3.0), torch.full((1, 4, 64, 64), 0.5))
    drawn = noise.sample(posterior, generator(7))
    assert abs(drawn.mean().item() - 3) < 0.02
    assert abs(drawn.std().item() - 0.5) < 0.02
    assert not torch.equal(drawn, noise.sample(posterior, generator(8)))


def test_offset_shifts_whole_channels_and_leaves_the_rest_of_the_draw() -> None:
    latents = torch.zeros(3, 4, 16, 16)
    plain, shifted = noise.like(latents, generator(5)), noise.like(latents, generator(5), 0.1)
    shift = shifted - plain
    torch.testing.assert_close(shift, shift[..., :1, :1].expand_as(shift), rtol=0, atol=1e-6)
    assert shift.std() > 0.02


def test_timesteps_cover_the_whole_schedule_evenly() -> None:
    drawn = noise.timesteps(20000, torch.zeros(1000), generator(3))
    assert (drawn.min(), drawn.max()) == (0, 999)
    counts = torch.bincount(drawn // 100, minlength=10)
    assert bool(((counts > 1800) & (counts < 2200)).all())


def test_random_numbers_are_functions_of_seed_and_purpose_alone() -> None:
    torch.manual_seed(0)
    first = torch.randn(4, generator=generator(1, "noise", 11))
    torch.manual_seed(99)
    assert torch.equal(first, torch.randn(4, generator=generator(1, "noise", 11)))
    others = [generator(1, "noise", 1), generator(11, "noise", 1), generator(1, "caption", 11)]
    assert not any(torch.equal(first, torch.randn(4, generator=other)) for other in others)
    state = torch.random.get_rng_state()
    noise.like(torch.zeros(1, 4, 8, 8), generator(4), 0.1)
    assert torch.equal(state, torch.random.get_rng_state())
    assert rng(3, "x").random() == rng(3, "x").random() != rng(4, "x").random()
