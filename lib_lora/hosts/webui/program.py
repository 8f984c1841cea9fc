"""The WebUI's own state: job flags, options, random generators; kept and put back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

JOB = "LoRA Studio"
PARSERS = ("modules.sd_hijack_clip", "modules.sd_hijack_open_clip")
MISSING = object()


@contextmanager
def job() -> Iterator[None]:
    """While open, the WebUI shows our job as the one that runs, and its progress thread decodes no latents."""
    from modules import shared

    parallel = shared.parallel_processing_allowed
    shared.state.begin(job=JOB)
    shared.state.job_count = 1
    shared.parallel_processing_allowed = False
    try:
        yield
    finally:
        shared.parallel_processing_allowed = parallel
        shared.state.end()


@contextmanager
def state_kept() -> Iterator[None]:
    """While open, a picture may count its own steps; it starts without anybody's earlier Interrupt or Skip."""
    from modules import shared

    before = dict(vars(shared.state))
    shared.state.interrupted = shared.state.skipped = shared.state.stopping_generation = False
    try:
        yield
    finally:
        vars(shared.state).clear()
        vars(shared.state).update(before)


@contextmanager
def attributes_kept(owner: Any, **values: Any) -> Iterator[None]:
    """Attributes of a host object with other values while open; one that was not there is gone afterwards."""
    before = {name: vars(owner).get(name, MISSING) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is not MISSING:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)


@contextmanager
def value_kept(owner: Any, name: str) -> Iterator[None]:
    """An attribute or buffer that the WebUI may replace meanwhile; the very object goes back."""
    before = getattr(owner, name)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def options_pinned(values: Mapping[str, Any]) -> Iterator[None]:
    """Settings with other values for a moment, without their callbacks (those wait for the queue, which we hold).

    What the user sets meanwhile stays set.
    """
    from modules.shared import opts

    before = {name: opts.data.get(name, MISSING) for name in values}
    opts.data.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if opts.data.get(name, MISSING) != values[name]:
                continue
            if value is MISSING:
                opts.data.pop(name, None)
            else:
                opts.data[name] = value


@contextmanager
def parsing_pinned(values: Mapping[str, Any]) -> Iterator[None]:
    """Other settings for the text encoders alone: their modules look at a copy, and nothing can reach config.json."""
    modules = [sys.modules[name] for name in PARSERS if hasattr(sys.modules.get(name), "opts")]
    before = [module.opts for module in modules]
    for module in modules:
        module.opts = _Pinned(module.opts, values)
    try:
        yield
    finally:
        for module, opts in zip(modules, before, strict=True):
            module.opts = opts


class _Pinned:
    def __init__(self, opts: Any, values: Mapping[str, Any]) -> None:
        self._opts, self._values = opts, dict(values)

    def __getattr__(self, name: str) -> Any:
        return self._values[name] if name in self._values else getattr(self._opts, name)


@contextmanager
def randomness_kept() -> Iterator[None]:
    """While open, the WebUI may seed what it likes; afterwards all generators of the process go on as before."""
    import numpy as np
    import torch
    from modules import rng

    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    own = getattr(rng, "nv_rng", MISSING)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(cpu)
        if cards is not None:
            torch.cuda.set_rng_state_all(cards)
        if own is not MISSING:
            rng.nv_rng = own


def tokens(sd: Any, texts: Sequence[str]) -> list[int] | None:
    """How many tokens each text has for a loaded model's (first) text encoder; None where it does not tell."""
    for encoder in (getattr(sd, "cond_stage_model", None), *(getattr(getattr(sd, "conditioner", None), "embedders", None) or ())):
        if hasattr(encoder, "tokenize"):
            try:
                return [len(ids) for ids in encoder.tokenize(list(texts))] if texts else []
            except Exception:  # noqa: BLE001 - a count is a courtesy: a host that cannot is one that does not
                return None
    return None
