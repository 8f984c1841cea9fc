"""How wrong a prediction is, per sample: functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from lib_lora.model import Prediction


def per_sample(prediction: Tensor, target: Tensor) -> Tensor:
    """mean over (C, H, W) of (prediction − target)²  →  (B,) float32, whatever the inputs' dtype."""
    return (prediction.float() - target.float()).square().flatten(1).mean(1)


def snr(alphas: Tensor, t: Tensor) -> Tensor:
    """SNR_t = ᾱ_t/(1 − ᾱ_t)  →  (B,) float32; 0 at a zero-terminal schedule's last step."""
    chosen = alphas.float()[t.to(alphas.device)]
    return chosen / (1 - chosen)


def min_snr_weights(alphas: Tensor, timesteps: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v  →  (B,) float32.

    Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy" (2023), eq. 8 and section 3.4. The SNR is
    that of the schedule that is trained, zero-terminal ones included: there ε's weight at SNR 0 is its limit, 1, and v's is 0.
    """
    ratio = snr(alphas, timesteps)
    if prediction is Prediction.V:
        return ratio.clamp(max=gamma) / (ratio + 1)
    # γ/0 is infinite and cut to the limit 1; min(0, γ)/0 would be no number.
    return torch.clamp(gamma / ratio, max=1.0)
