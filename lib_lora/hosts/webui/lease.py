"""The lease: everything that makes the WebUI's model fit to train, and that is undone in every way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.base import Lease
from lib_lora.hosts.webui import attention, facts, frozen, networks, neutral, program, queue, refusals
from lib_lora.hosts.webui.model import WebUIModel, wrap


@contextmanager
def lend(lease: Lease, waiting: Callable[[], bool], thorough: bool) -> Iterator[WebUIModel]:
    """See `Host.borrow`. `thorough` compares every byte of the model at the end instead of samples.

    Each piece undoes itself, the last one first, whether the training ended, was stopped or raised. What was there
    before is kept by object, not by name: the settings may have been changed while the queue was ours.
    """
    with ExitStack() as stack:
        stack.enter_context(queue.turn(waiting))
        sd = facts.loaded()
        against = refusals.find(sd, lease)
        if against:
            raise HostError(*against)
        stack.enter_context(program.job())
        stack.enter_context(program.randomness_kept())
        stack.enter_context(networks.cleared(sd))
        stack.enter_context(frozen.unchanged(sd, frozen.full_digest if thorough else frozen.probe))
        stack.enter_context(_in_place(sd))
        hooked = stack.enter_context(neutral.neutral(sd))
        stack.enter_context(frozen.frozen(sd))
        stack.enter_context(attention.differentiable())
        stack.enter_context(torch.enable_grad())
        yield wrap(sd, _noted(sd, lease, hooked), lambda: _settle(sd))


def _settle(sd: Any) -> None:
    networks.clear(sd)
    neutral.settle(sd)
    frozen.freeze(sd)


def _noted(sd: Any, lease: Lease, hooked: int) -> Any:
    from dataclasses import replace

    known = facts.read(sd, lease.overrides)
    if not hooked:
        return known
    note = say("Another extension has changed {n} layers of the model. They compute as the checkpoint says while it is trained.", n=hooked)
    return replace(known, notes=(*known.notes, note))


@contextmanager
def _in_place(sd: Any) -> Iterator[None]:
    # Where the user's setting sends idle parts away, they come back to the device they were on.
    homes = [] if getattr(sd, "lowvram", False) else [(part, next(part.parameters()).device) for part in (sd.first_stage_model, sd.cond_stage_model)]
    try:
        yield
    finally:
        for part, home in homes:
            part.to(home)
