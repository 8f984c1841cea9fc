"""A few real steps on random latents, to tell how long all of them will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lib_lora.hosts.base import Host
from lib_lora.training.config import TrainConfig

if TYPE_CHECKING:
    from lib_lora.dataset.buckets import Placed


def seconds_per_step(config: TrainConfig, host: Host, placed: Sequence[Placed]) -> float | None:
    """Median seconds of a step; None when the model is not free."""
    return None
