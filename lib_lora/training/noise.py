"""Latents → noisy latents and what the UNet should say of them: functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from lib_lora.model import Posterior, Prediction


def sample(posterior: Posterior, generator: torch.Generator) -> Tensor:
    """One draw of the latents, mean + std·n  →  float32 on the posterior's device."""
    n = torch.randn(posterior.mean.shape, generator=generator, device=generator.device)
    return posterior.mean.float() + posterior.std.float() * n.to(posterior.mean.device)


def timesteps(count: int, schedule: Tensor, generator: torch.Generator) -> Tensor:
    """`count` steps, each of the schedule's as likely as any other  →  (count,) int64 on the generator's device."""
    return torch.randint(0, len(schedule), (count,), generator=generator, device=generator.device)


def like(latents: Tensor, generator: torch.Generator, offset: float = 0.0) -> Tensor:
    """Gaussian noise of the latents' shape, float32 on their device; `offset` as in `with_offset`.

    The offset's draw follows the noise's and is made only when it is asked for.
    """
    noise = torch.randn(latents.shape, generator=generator, device=generator.device)
    if offset:
        noise = with_offset(noise, torch.randn((*latents.shape[:2], 1, 1), generator=generator, device=generator.device), offset)
    return noise.to(latents.device)


def with_offset(noise: Tensor, draw: Tensor, strength: float) -> Tensor:
    """noise + strength·draw, with `draw` (B, C, 1, 1): a shift of whole channels.

    Guttenberg, "Diffusion with Offset Noise" (2023).
    """
    return noise + strength * draw


def add(latents: Tensor, noise: Tensor, alphas: Tensor, t: Tensor) -> Tensor:
    """x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε, float32.

    Ho et al., "Denoising Diffusion Probabilistic Models" (2020), eq. 4. `alphas` is ᾱ, (1000,) float32; `t` (B,).
    """
    signal, share = _roots(alphas, t)
    return signal * latents.float() + share * noise.float()


def velocity(latents: Tensor, noise: Tensor, alphas: Tensor, t: Tensor) -> Tensor:
    """v_t = √ᾱ_t·ε − √(1−ᾱ_t)·x_0, float32.

    Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), appendix D.
    """
    signal, share = _roots(alphas, t)
    return signal * noise.float() - share * latents.float()


def target(prediction: Prediction, latents: Tensor, noise: Tensor, alphas: Tensor, t: Tensor) -> Tensor:
    """What a model of that kind should predict, float32."""
    return velocity(latents, noise, alphas, t) if prediction is Prediction.V else noise.float()


def rescale_zero_terminal(alphas: Tensor) -> Tensor:
    """ᾱ shifted and stretched so that its last is 0 and its first stays: a = √ᾱ, a ← (a − a_T)·a_0/(a_0 − a_T).

    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2023), algorithm 1. float32.
    """
    roots = alphas.double().sqrt()
    first, last = roots[0], roots[-1]
    return ((roots - last) * (first / (first - last))).square().float()


def _roots(alphas: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """√ᾱ_t and √(1−ᾱ_t), (B, 1, 1, 1)."""
    chosen = alphas.float()[t.to(alphas.device)].view(-1, 1, 1, 1)
    return chosen.sqrt(), (1 - chosen).sqrt()
