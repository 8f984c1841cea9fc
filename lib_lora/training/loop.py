"""The training itself: a generator of events that whoever asked for it plays through."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.model import Model
from lib_lora.networks.registry import Network
from lib_lora.training import heap
from lib_lora.training.batches import Batch, Source
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Event, Phased, Planned, PreviewDue, SaveDue, Stepped, Warned
from lib_lora.training.learner import Learner, Outcome
from lib_lora.training.schedulers import Factor, schedulers, with_warmup

PATIENCE = 16  # steps in a row without a number before a run gives up; fp16 needs a few to find its loss scale


@dataclass(frozen=True)
class Steps:
    """How long a run is, in optimizer steps."""

    per_epoch: int
    epochs: int

    @property
    def total(self) -> int:
        """All epochs' steps."""
        return self.per_epoch * self.epochs


def run(model: Model, network: Network, feed: Source, config: TrainConfig, steps: Steps, control: Control) -> Iterator[Event]:
    """Train `network` on `model` with what `feed` gives, and say what happens.

    While it runs the network is attached. It pauses at every event, outside no_grad and autocast, so whoever plays it may
    save and sample there; closing it early detaches as well. Between steps it looks at `control` and at the model.
    """
    learner = Learner(model, network, feed, config)
    for note in learner.notes:
        yield Warned(note)
    yield Planned(steps.total, steps.per_epoch, steps.epochs, learner.optimizer)
    yield Phased("training", None, 0, steps.total)
    with ExitStack() as open_:
        if model.device().type == "cpu":
            open_.enter_context(heap.kept())
        open_.enter_context(network.attached())
        if config.run.checkpointing:
            open_.enter_context(model.checkpoint_blocks())
        ended = yield from _Run(model, learner, feed, config, steps, control).events()
    yield ended


class _Run:
    """A run's counters."""

    def __init__(self, model: Model, learner: Learner, feed: Source, config: TrainConfig, steps: Steps, control: Control) -> None:
        self._model = model
        self._learner = learner
        self._feed = feed
        self._config = config
        self._steps = steps
        self._control = control
        self._factor = factor_of(config)
        self._step = 0
        self._lost = 0

    def events(self) -> Iterator[Event]:
        """All epochs; returns the last event."""
        for epoch in range(1, self._steps.epochs + 1):
            yield from self._epoch(epoch)
            # A stop that comes with the last step stops nothing.
            if self._control.request == "cancel" or (self._control.request and self._step < self._steps.total):
                return (yield from self._interrupted(epoch))
            yield from self._epoch_ended(epoch)
        return Ended("done", self._step)

    def _epoch(self, epoch: int) -> Iterator[Event]:
        batches = self._feed.epoch(epoch)
        while not self._control.request:
            started = time.perf_counter()
            if (change := self._model.changed()) is not None:
                raise HostError(change)
            outcome = self._take(batches)
            if outcome is None:
                return
            if outcome.taken:
                self._lost = 0
                yield Stepped(self._step, epoch, outcome.loss, self._learner.rate, time.perf_counter() - started)
            elif (said := self._skipped()) is not None:
                yield said

    def _take(self, batches: Iterator[Batch]) -> Outcome | None:
        """The next step, or None where the epoch has no more batches."""
        group = [batch for _, batch in zip(range(self._config.learning.accumulation), batches, strict=False)]
        if not group:
            return None
        self._step += 1
        return self._learner.step(group, self._step, self._factor(self._step - 1, self._steps.total))

    def _skipped(self) -> Event | None:
        """One step without a number is left out and reported, unless fp16's scale is being found; too many in a row end the run."""
        self._lost += 1
        if self._learner.searching:
            return None
        if self._lost < PATIENCE:
            return Warned(say("Step {step} gave no finite number and was left out.", step=self._step))
        raise HostError(
            say(
                "{n} steps in a row gave no finite number. Lower the learning rate, or choose another mixed precision: bf16, or fp32 where memory allows.",
                n=self._lost,
            )
        )

    def _epoch_ended(self, epoch: int) -> Iterator[Event]:
        last = epoch == self._steps.epochs
        if last or _is_due(epoch, self._config.save.every_epochs):
            yield from self._lend(SaveDue(self._step, epoch, final=last))
        if _is_due(epoch, self._config.preview.every_epochs):
            yield from self._lend(PreviewDue(self._step, epoch))

    def _interrupted(self, epoch: int) -> Iterator[Event]:
        if self._control.request == "cancel":
            return Ended("cancelled", self._step)
        if self._step:  # before the first step there is nothing to keep
            yield from self._lend(SaveDue(self._step, epoch, final=True))
        return Ended("stopped", self._step)

    def _lend(self, event: Event) -> Iterator[Event]:
        """An event at which others use the model."""
        yield event
        self._model.settle()


def factor_of(config: TrainConfig) -> Factor:
    """What the learning rates are multiplied by, by step (from 0) and number of steps."""
    return with_warmup(schedulers.get(config.scheduler.kind).build(config.scheduler.options), config.learning.warmup_steps)


def _is_due(epoch: int, every: int) -> bool:
    return every > 0 and epoch % every == 0
