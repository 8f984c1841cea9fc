"""A training from folder to file: scan → place → borrow → encode → learn → save, as one stream of events."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from lib_lora import output, plan
from lib_lora.core.errors import ConfigError, DataError, HostError
from lib_lora.core.messages import Message, say
from lib_lora.dataset.buckets import Placed
from lib_lora.hosts.base import Host
from lib_lora.model import Layer, Model, Part
from lib_lora.networks.registry import Network, networks
from lib_lora.training import feed, loop, precision
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Event, Phased, Planned, PreviewDue, SaveDue, Warned
from lib_lora.training.loop import Steps
from lib_lora.training.randomness import generator

log = logging.getLogger(__name__)


def train(config: TrainConfig, host: Host, control: Control) -> Generator[Event, None, None]:
    """Run a job on the host's model. The last event is Ended; errors are raised, and the model goes back in every way out.

    Everything that can be known to be wrong is raised before the model is asked for.
    """
    yield Phased("preparing", say("Reading pictures and captions"))
    prepared = plan.prepare(config)
    if prepared.problems:
        raise DataError(*prepared.problems)
    for warning in prepared.scan.warnings:
        yield Warned(warning)
    lease = plan.lease_of(config)
    _refuse(host.refusals(lease), HostError)
    name = plan.name_of(config, prepared.scan.items)
    _refuse(plan.name_problems(name, config, host.paths()), ConfigError)
    yield Phased("waiting", say("Waiting until the model is free"))
    written: list[Path] = []
    try:
        with host.borrow(lease, lambda: control.request is None) as model:
            for note in model.facts.notes:
                yield Warned(note)
            yield from _on(model, config, host, control, prepared.placed, name, written)
    finally:
        # Listed only now: before the lease ends nobody else can load them, and afterwards nothing of ours is in the weights.
        if written:
            host.forget(written)


def _refuse(problems: Sequence[Message], error: type[ConfigError] | type[HostError]) -> None:
    if problems:
        raise error(*problems)


def _on(model: Model, config: TrainConfig, host: Host, control: Control, placed: Sequence[Placed], name: str, written: list[Path]) -> Iterator[Event]:
    """The part of a run that holds the model."""
    _refuse(plan.precision_problems(config, model.facts), ConfigError)
    precision.resolve(config.run.precision, model.device())  # a choice the device cannot follow is told before anything is encoded
    network = build(model.layers(), config, model)
    pictures = feed.make(model, placed, config, host.paths().cache / "latents")
    yield from pictures.prepare(control)
    if control.request:
        yield Ended("cancelled" if control.request == "cancel" else "stopped", 0)
        return
    steps = Steps(plan.steps_of(config, placed), config.learning.epochs)
    writer = output.Writer(config, host, model, network, placed, name)
    for event in loop.run(model, network, pictures, config, steps, control):
        if isinstance(event, SaveDue):
            yield Phased("saving", say("Saving, and reading the file back"), event.step, steps.total)
            saved = writer.save(event)
            written.append(saved.path)
            yield saved
            if not event.final:
                yield Phased("training", None, event.step, steps.total)
        elif isinstance(event, PreviewDue):
            yield Phased("training", say("Sampling a preview"), event.step, steps.total)
            yield from _previewed(writer, event, model)
        else:
            if isinstance(event, Planned):
                writer.planned(event)
            yield event


def _previewed(writer: output.Writer, due: PreviewDue, model: Model) -> Iterator[Event]:
    """The preview, or why there is none: a picture that fails must not cost the training."""
    try:
        previewed: Event = writer.preview(due)
    except HostError as error:
        if model.changed() is not None:
            raise
        for message in error.messages:
            yield Warned(say("No preview of epoch {epoch}: {why}", epoch=due.epoch, why=message))
        return
    yield previewed


def build(layers: Sequence[Layer], config: TrainConfig, model: Model) -> Network:
    """The network the job asks for, on the parts whose learning rate is not 0."""
    learns: set[Part] = set()
    if config.learning.unet_lr > 0:
        learns.add("unet")
    if config.learning.text_encoder_lr > 0:
        learns |= {"te1", "te2"}
    chosen = [layer for layer in layers if layer.part in learns]
    card = networks.get(config.network.kind)
    return card.build(chosen, config.network.options, model.device(), generator(config.learning.seed, "network"))
