"""Cosine with restarts: several cosines one after the other, each from the full rate to 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lib_lora.core.settings import opt
from lib_lora.training.schedulers import Factor, schedulers


@dataclass(frozen=True)
class CosineRestartsOptions:
    """How often."""

    cycles: int = opt(3, "Cycles", "How many cosines the run is made of; each begins again at the full learning rate.", min=1, max=1000)


@schedulers.add("cosine_restarts", "Cosine with restarts", CosineRestartsOptions, sd_scripts="cosine_with_restarts")
def build(options: CosineRestartsOptions) -> Factor:
    """½·(1 + cos(π·((cycles·step/steps) mod 1))), 0 at the end."""
    cycles = options.cycles

    def factor(step: int, steps: int) -> float:
        if step >= steps:
            return 0.0
        return 0.5 * (1 + math.cos(math.pi * (cycles * step / steps % 1)))

    return factor
