"""A path that somebody typed → a Path inside the folders that are opened to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib_lora.core.errors import ConfigError, PathError
from lib_lora.core.files import is_within, typed_path
from lib_lora.core.messages import say


def opened_path(name: str, text: str, roots: Sequence[Path] | None) -> Path:
    """The typed path. ConfigError where it is none, PathError outside of `roots`; None opens everything."""
    try:
        path = typed_path(text)
    except ValueError as error:
        raise ConfigError(say("{name}: this is not a path ({why})", name=name, why=str(error))) from error
    if roots is not None and not is_within(path, list(roots)):
        opened = [str(root) for root in roots]
        raise PathError(say("{name}: {path} is outside the folders this server has opened: {roots}", name=name, path=text, roots=opened))
    return path


def opened_folder(name: str, text: str, roots: Sequence[Path] | None) -> Path:
    """`opened_path` for a folder that is there."""
    if not text.strip():
        raise ConfigError(say("{name}: choose a folder", name=name))
    path = opened_path(name, text, roots)
    if path.is_file():
        raise ConfigError(say("{folder}: this is a file; choose the folder it lies in", folder=str(path)))
    if not path.is_dir():
        raise ConfigError(say("{folder}: there is no such folder", folder=str(path)))
    return path
