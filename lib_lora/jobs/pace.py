"""How long a step takes: remembered from runs of the same kind, or measured on a few."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lib_lora.core.settings import dump
from lib_lora.hosts.base import Host
from lib_lora.jobs import probe
from lib_lora.model import ModelFacts
from lib_lora.training.config import TrainConfig

if TYPE_CHECKING:
    from lib_lora.dataset.buckets import Placed


class Pace:
    """Seconds per step, by everything a step's time depends on."""

    def __init__(self) -> None:
        self._seconds: dict[Hashable, float] = {}

    def known(self, config: TrainConfig, facts: ModelFacts | None) -> float | None:
        """What was measured for settings and a model like these."""
        return self._seconds.get(_key(config, facts))

    def learn(self, config: TrainConfig, facts: ModelFacts | None, seconds: float | None) -> None:
        """Remember what a run took."""
        if seconds is not None and facts is not None:
            self._seconds[_key(config, facts)] = seconds

    def measure(self, config: TrainConfig, facts: ModelFacts | None, host: Host, placed: Sequence[Placed]) -> float | None:
        """Measure a few steps on the model, and remember; None where there is no model or it is not free."""
        if facts is None:
            return None
        self.learn(config, facts, probe.seconds_per_step(config, host, placed))
        return self.known(config, facts)


def _key(config: TrainConfig, facts: ModelFacts | None) -> Hashable:
    learning, model = config.learning, facts and (facts.name, facts.family, facts.device, facts.dtype)
    parts = (learning.batch_size, learning.accumulation, learning.unet_lr > 0, learning.text_encoder_lr > 0, config.data.resolution)
    plain = dump(config)
    return model, parts, json.dumps([plain[name] for name in ("network", "optimizer", "run", "bucket")], sort_keys=True)
