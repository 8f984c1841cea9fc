"""Linear: falls evenly to 0."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.training.schedulers import Factor, schedulers


@dataclass(frozen=True)
class LinearOptions:
    """Nothing to choose."""


@schedulers.add("linear", "Linear", LinearOptions)
def build(options: LinearOptions) -> Factor:
    """1 − step/steps"""
    return lambda step, steps: max(0.0, 1 - step / steps)
