"""A few real steps on random latents, to tell how long all of them will take."""

from __future__ import annotations

import logging
import statistics
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lib_lora.core.errors import BusyError, HostError
from lib_lora.core.messages import say
from lib_lora.hosts.base import Host
from lib_lora.jobs.failure import short_of_memory
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Stepped

if TYPE_CHECKING:
    from lib_lora.dataset.buckets import Placed
    from lib_lora.model import Model, TextCond
    from lib_lora.training.batches import Batch

log = logging.getLogger(__name__)
STEPS = 4
ENOUGH_S = 5.0  # on a slow device the first step has to do


def seconds_per_step(config: TrainConfig, host: Host, placed: Sequence[Placed]) -> float | None:
    """Median seconds of a step on the most frequent bucket, through the real loop; None when the model is not free.

    The first step also warms the device up, so it counts only where it is the only one.
    """
    from lib_lora import plan, train
    from lib_lora.training import loop

    control, seconds = Control(), []
    try:
        with host.borrow(plan.lease_of(config), lambda: False) as model:
            network = train.build(model.layers(), config, model)
            source, started = _RandomBatches(model, config, placed), time.perf_counter()
            for event in loop.run(model, network, source, config, loop.Steps(STEPS, 1), control):
                if isinstance(event, Stepped):
                    seconds.append(event.seconds)
                    if len(seconds) == STEPS or time.perf_counter() - started > ENOUGH_S:
                        # Cancelling is the way out without an event that asks for a file.
                        control.cancel()
    except BusyError:
        return None
    except Exception as error:
        short = short_of_memory(error, say("the console"))
        if short is None:
            raise
        # As text: a record that holds the exception holds its frames, and those hold the memory there is too little of.
        log.warning("the measurement ended\n%s", traceback.format_exc())
        raise HostError(short) from None
    return statistics.median(seconds[1:] or seconds) if seconds else None


class _RandomBatches:
    """Batches of the shape most steps will have, without a picture being read or encoded."""

    def __init__(self, model: Model, config: TrainConfig, placed: Sequence[Placed]) -> None:
        from lib_lora.training.texts import CachedTexts, LiveTexts

        counted: Counter[tuple[int, int]] = Counter()
        for one in placed:
            counted[one.bucket] += one.item.repeats
        bucket = counted.most_common(1)[0][0]
        of_bucket = [one for one in placed if one.bucket == bucket]
        size = config.learning.batch_size
        self._model = model
        self._placed = [of_bucket[index % len(of_bucket)] for index in range(size)]
        self._number = STEPS * config.learning.accumulation
        self._texts = LiveTexts(model) if config.learning.text_encoder_lr > 0 else CachedTexts(model)
        model.place("unet", "te") if config.learning.text_encoder_lr > 0 else self._texts.ahead([one.item.caption for one in self._placed])

    def epoch(self, epoch: int) -> Iterator[Batch]:
        import torch

        from lib_lora.model import Posterior
        from lib_lora.training.batches import Batch
        from lib_lora.training.randomness import generator

        device, (width, height) = self._model.device(), self._placed[0].bucket
        for index in range(self._number):
            mean = torch.randn(len(self._placed), 4, height // 8, width // 8, generator=generator(0, "probe", epoch, index)).to(device)
            texts = tuple(one.item.caption for one in self._placed)
            sizes = tuple(one.size_cond for one in self._placed)
            yield Batch(Posterior(mean, torch.zeros_like(mean)), texts, sizes, torch.ones(len(texts), device=device))

    def cond(self, batch: Batch) -> TextCond:
        return self._texts.encode(batch.texts)
