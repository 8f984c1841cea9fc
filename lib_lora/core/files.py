"""Files written whole or not at all: to a temporary name in the same folder, flushed, renamed."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_MASK = threading.Lock()


def write_atomic(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk and put it in place of `path`.

    Whatever fails, `path` holds either its old content or the whole new one, and no temporary file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".lora-studio-", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for their owner only; what a user's folder holds should be as readable as the rest.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """`write_atomic` for bytes at hand."""
    write_atomic(path, lambda file: file.write(content) and None)


def write_text(path: Path, text: str) -> None:
    """`write_atomic` for text, as UTF-8 with the line ends it has."""
    write_bytes(path, text.encode("utf-8"))


def typed_path(text: str) -> Path:
    """The path a user typed or pasted: without the quotes that Windows' "Copy as path" puts around it, "~" resolved.

    Whoever checks a path and whoever opens it read it by this one function. Raises ValueError for what is no path.
    """
    if "\0" in text:
        raise ValueError("a path holds no NUL")
    try:
        return Path(text.strip().strip('"')).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def is_special(mode: int) -> bool:
    """Whether a file's mode is that of a pipe, a socket or a device: who opens one may wait for ever."""
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def ordinary(path: Path) -> Path:
    """The path itself, to be opened; an OSError where a pipe, a socket or a device lies there."""
    if is_special(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no ordinary file", str(path))
    return path


def is_within(path: Path, roots: list[Path]) -> bool:
    """Whether `path`, with links and `..` resolved, lies in one of `roots` or is one."""
    resolved = path.resolve()
    return any(resolved == root.resolve() or root.resolve() in resolved.parents for root in roots)


def _umask() -> int:
    # There is no way to read the mask but to set it, for the whole program: two at once would leave it changed.
    with _MASK:
        mask = os.umask(0o022)
        os.umask(mask)
        return mask
