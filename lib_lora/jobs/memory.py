"""How the last training ended, on disk: a server that was started anew can still tell it, in the reader's language."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lib_lora.core.files import write_text
from lib_lora.core.messages import Message
from lib_lora.jobs.status import Status
from lib_lora.training.events import Previewed

log = logging.getLogger(__name__)
FILE = "last_run.json"


def remember(state: Path, status: Status) -> None:
    """Write down how a training ended. Nothing depends on it, so that a full disk does not spoil what was trained."""
    try:
        write_text(state / FILE, json.dumps({field.name: _plain(getattr(status, field.name)) for field in fields(Status)}, ensure_ascii=False))
    except OSError:
        log.warning("how the training ended could not be written down", exc_info=True)


def forget(state: Path) -> None:
    """Another training begins: whatever becomes of it, the one before is not the last one any more."""
    try:
        (state / FILE).unlink(missing_ok=True)
    except OSError:
        log.warning("what is known of the last training could not be removed", exc_info=True)


def recall(state: Path) -> Status | None:
    """How the last training ended; files that are gone since are left out. None where nothing is known that can be read."""
    try:
        held = json.loads((state / FILE).read_text(encoding="utf-8"))
        known = {field.name: held[field.name] for field in fields(Status) if field.name in held}
        status = replace(Status(**known), **_typed(known))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return status if status.ended and status.job else None


def _typed(known: Mapping[str, Any]) -> dict[str, Any]:
    paths = (Path(path) for path in known["files"])
    previews = (Previewed(Path(one["path"]), int(one["epoch"])) for one in known["previews"])
    return {
        "message": None,
        "asked": None,
        "curve": tuple((int(step), float(loss)) for step, loss in known["curve"]),
        "files": tuple(path for path in paths if path.is_file()),
        "previews": tuple(one for one in previews if one.path.is_file()),
        "warnings": tuple(_message(one) for one in known["warnings"]),
        "error": tuple(_message(one) for one in known["error"]),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {"template": value.template, "params": {name: _plain(one) for name, one in value.params.items()}}
    if isinstance(value, Previewed):
        return {"path": str(value.path), "epoch": value.epoch}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _message(held: Mapping[str, Any]) -> Message:
    return Message(str(held["template"]), {name: _value(one) for name, one in held["params"].items()})


def _value(held: Any) -> Any:
    if isinstance(held, dict):
        return _message(held)
    return [_value(one) for one in held] if isinstance(held, list) else held
