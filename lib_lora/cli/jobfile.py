"""A job file (.toml or .json) and `--set a.b=c` → TrainConfig."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib_lora.core.errors import ConfigError, MissingDependency
from lib_lora.core.messages import say
from lib_lora.core.settings import assignments, describe, dump, flatten, load, merge, unflatten
from lib_lora.jobs.documents import config_of
from lib_lora.training.config import TrainConfig


def read_job(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """The job of a file, with single settings changed. Paths in it are relative to the current folder."""
    config = config_of(_read(path))
    # On the whole job, so that a changed kind of network is told from the same kind named again.
    return load(TrainConfig, merge(dump(config), _assigned(changes))) if changes else config


def _assigned(changes: Sequence[str]) -> dict[str, Any]:
    """`["a.b=c"]` → nested data, where a text stays the text that was typed: save.name=007, caption.trigger=true."""
    texts = {setting.name for setting in describe(TrainConfig) if setting.type in ("text", "path", "choice")}
    flat = flatten(assignments(changes))
    for change in changes:
        name, _, typed = (part.strip() for part in change.partition("="))
        if name in texts and not isinstance(flat[name], str):
            flat[name] = typed
    return unflatten(flat)


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(say("{file}: the job file cannot be read ({text})", file=str(path), text=error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        raise ConfigError(say("{file}: save the job file as UTF-8 ({text})", file=str(path), text=str(error))) from error
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else _toml(text)
    except ValueError as error:
        raise ConfigError(say("{file}: {text}", file=str(path), text=str(error))) from error


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise MissingDependency(say("Python 3.10 needs the package tomli for .toml job files: install it, or write the job as .json")) from error
    return tomllib.loads(text)
