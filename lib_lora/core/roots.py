"""A path that somebody typed → a Path inside the folders that are opened to them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from lib_lora.core.errors import ConfigError, PathError
from lib_lora.core.files import is_within, typed_path
from lib_lora.core.messages import say

NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)  # as pathlib has it
SHOWN = 200  # letters of a name that is too long


def opened_path(name: str, text: str, roots: Sequence[Path] | None) -> Path:
    """The typed path. ConfigError where it is none, PathError outside of `roots`; None opens everything."""
    try:
        path = typed_path(text)
        _reached(path)
    except ValueError as error:
        raise ConfigError(say("{name}: this is not a path ({why})", name=name, why=str(error))) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(say("{name}: {path} cannot be reached: {why}", name=name, path=_short(text), why=why)) from error
    if roots is not None and not is_within(path, list(roots)):
        opened = [str(root) for root in roots]
        raise PathError(say("{name}: {path} is outside the folders this server has opened: {roots}", name=name, path=text, roots=opened))
    return path


def _reached(path: Path) -> None:
    """OSError where a system cannot even ask whether it is there: a name that is too long, a folder that nobody may look into."""
    try:
        path.stat()
    except OSError as error:
        if error.errno not in NOWHERE:
            raise


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


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
