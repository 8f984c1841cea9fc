"""The learning-rate schedules there are: pure functions of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lib_lora.core.registry import Registry

Factor = Callable[[int, int], float]  # (step from 0, number of steps) → what the learning rate is multiplied by
Build = Callable[[Any], Factor]
schedulers: Registry[Build] = Registry("scheduler", "lib_lora.training.scheduler_kinds")


def with_warmup(factor: Factor, warmup: int) -> Factor:
    """Rise linearly from 0 over `warmup` steps, then play `factor` over the steps that are left."""
    if warmup <= 0:
        return factor

    def warmed(step: int, steps: int) -> float:
        if step < warmup:
            return step / warmup
        return factor(step - warmup, max(1, steps - warmup))

    return warmed
