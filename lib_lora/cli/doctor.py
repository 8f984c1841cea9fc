"""The command doctor: a folder → all that is wrong with it before a long run."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.cli.console import Console, Found
from lib_lora.core.errors import DataError
from lib_lora.core.files import typed_path
from lib_lora.core.messages import Message, say
from lib_lora.core.settings import load
from lib_lora.training.config import TrainConfig

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Catalog


def doctor(values: argparse.Namespace, console: Console) -> Found:
    """A folder of pictures → what is wrong with it."""
    from lib_lora.doctor import eyes
    from lib_lora.doctor.documents import document, lines
    from lib_lora.doctor.examine import Subject, Wish, examine
    from lib_lora.editor.tokens import estimate
    from lib_lora.prepare.manifest import copies, made
    from lib_lora.workbench.origins import origins_of

    config = load(TrainConfig, {"data": {"resolution": values.resolution}, "learning": {"batch_size": values.batch}})
    catalog = _catalog(values.folder)
    wish = Wish(values.trigger or made(catalog.root).trigger, config.data.resolution, config.learning.batch_size, config.bucket)
    reg = _catalog(values.reg) if values.reg else None
    with tempfile.TemporaryDirectory(prefix="lora-studio-") as cache:
        see, origins = partial(eyes.with_cache, Path(cache)), origins_of(catalog.root) if reg is not None else None
        found = examine(Subject(catalog, see, reg, estimate, copies(catalog.root), origins=origins), wish, _Teller(console))
    return Found(document(found, console.words), lines(found, console.words))


class _Teller:
    """Says on a terminal how far it is; what a pipe gets is the result alone."""

    cancelled = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self._about = ""

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        self._about = self._console.text(message) if message else self._about
        if self._console.err.isatty():
            self._console.err.write(f"\r\033[K{self._about} {done}/{total}" if done < total else "\r\033[K")
            self._console.err.flush()


def _catalog(text: str) -> Catalog:
    from lib_lora.pictures import catalog

    try:
        folder = typed_path(text)
    except ValueError as error:
        raise DataError(say("{folder}: this is not a path ({why})", folder=text, why=str(error))) from error
    if folder.is_file():
        raise DataError(say("{folder}: this is a file; choose the folder it lies in", folder=str(folder)))
    if not folder.is_dir():
        raise DataError(say("{folder}: there is no such folder", folder=str(folder)))
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise DataError(say("{folder}: this folder cannot be read ({why})", folder=str(folder), why=error.strerror or str(error))) from error
    return catalog.read(folder)
