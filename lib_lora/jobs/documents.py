"""Status and Plan → plain data in one language: what the API answers and the command line prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import ENGLISH, Message, say
from lib_lora.core.settings import dump, flatten, load, unflatten
from lib_lora.jobs.status import Status
from lib_lora.training.config import TrainConfig

if TYPE_CHECKING:
    from lib_lora.plan import Plan


def config_of(raw: Any) -> TrainConfig:
    """A job as plain data → its config. Settings may be nested ({"network": {"rank": 8}}) or dotted ({"network.rank": 8})."""
    if not isinstance(raw, Mapping):
        raise ConfigError(say("A job is an object of settings, such as {example}", example='{"data": {"folder": "…"}}'))
    return load(TrainConfig, unflatten(flatten(raw)))


def status_document(status: Status, words: Mapping[str, str] = ENGLISH, since: int = 0) -> dict[str, Any]:
    """A Status as JSON; only the points of the curve after step `since`. Reads nothing but the Status."""
    return {
        "job": status.job or None,
        "name": status.name,
        "trigger": status.trigger,
        # Waiting for the model is a part of preparing; the message says that it waits, and for what.
        "phase": "preparing" if status.phase == "waiting" else status.phase,
        "running": status.running,
        "asked": status.asked,
        "message": status.message.text(words) if status.message else None,
        "done": status.done,
        "total": status.total,
        "step": status.step,
        "steps": status.steps,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "loss": _number(status.loss),
        "lr": _number(status.lr),
        "speed": _number(status.speed),
        "eta_s": _seconds(status.eta_s),
        "curve": [[step, _number(loss)] for step, loss in status.curve if step > since],
        "files": [str(path) for path in status.files],
        "previews": [{"epoch": one.epoch, "url": f"preview/{status.job}/{index}"} for index, one in enumerate(status.previews)],
        "warnings": _texts(status.warnings, words),
        "error": "\n".join(_texts(status.error, words)) or None,
        "started_at": status.started_at or None,
        "ended_at": status.ended_at,
    }


def plan_document(plan: Plan, config: TrainConfig, words: Mapping[str, str] = ENGLISH) -> dict[str, Any]:
    """A Plan as JSON, with the whole job it is of under "job"."""
    return {
        "name": plan.name,
        "images": plan.images,
        "samples": plan.samples,
        "buckets": [{"bucket": list(bucket), "samples": samples} for bucket, samples in plan.buckets],
        "steps_per_epoch": plan.steps_per_epoch,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "seconds": _seconds(plan.seconds),
        "sentences": _texts(plan.sentences, words),
        "problems": _texts(plan.problems, words),
        "warnings": _texts(plan.warnings, words),
        "job": dump(config),
    }


def _texts(messages: Iterable[Message], words: Mapping[str, str]) -> list[str]:
    return [message.text(words) for message in messages]


def _number(value: float | None) -> float | None:
    # JSON has no NaN and no infinity; a loss that ran away is told by the error.
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _seconds(value: float | None) -> float | None:
    return round(value, 1) if value is not None and math.isfinite(value) else None
