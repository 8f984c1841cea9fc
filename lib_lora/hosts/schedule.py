"""The noise schedule a training uses: float32, whatever precision the host keeps its own in."""

from __future__ import annotations

import torch
from torch import Tensor


def training_schedule(alphas_cumprod: Tensor, zero_terminal: bool) -> Tensor:
    """ᾱ as float32 on the device it is on, a copy; rescaled to zero SNR at the last step where the model learnt that.

    The rescaling is linear in √ᾱ: the first step stays as it is, the last becomes 0 (Lin et al. 2023, algorithm 1).
    """
    alphas = alphas_cumprod.detach().to(torch.float64, copy=True)
    if zero_terminal:
        roots = alphas.sqrt()
        first, last = roots[0].clone(), roots[-1].clone()
        alphas = ((roots - last) * (first / (first - last))) ** 2
    return alphas.to(torch.float32)
