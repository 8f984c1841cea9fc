"""Cosine: falls slowly, then fast, then slowly to 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lib_lora.training.schedulers import Factor, schedulers


@dataclass(frozen=True)
class CosineOptions:
    """Nothing to choose."""


@schedulers.add("cosine", "Cosine", CosineOptions)
def build(options: CosineOptions) -> Factor:
    """½·(1 + cos(π·step/steps))"""
    return lambda step, steps: 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
