"""Plan → project folder: built beside its place under another name and put there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lib_lora.core.errors import ConfigError, DataError, LoraError
from lib_lora.core.messages import Message, count, say
from lib_lora.core.settings import dump
from lib_lora.hosts.base import PictureTools
from lib_lora.pictures.picture import Catalog
from lib_lora.prepare import manifest, places
from lib_lora.prepare.build import Builder
from lib_lora.prepare.manifest import Manifest
from lib_lora.prepare.plan import Plan
from lib_lora.prepare.sentences import named

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)


class Turn(Protocol):
    """Where the work says how far it is, and asks whether to go on."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to end."""
        ...

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        ...


@dataclass(frozen=True)
class Done:
    """What was written. `made` pictures are new, `same` were there already, `kept` are named for what the user changed in them."""

    project: Path
    made: int = 0
    same: int = 0
    kept: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    cancelled: bool = False
    sentences: tuple[Message, ...] = ()
    warnings: tuple[Message, ...] = ()
    folders: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Undone:
    """What undo did: the project lies `aside` now, and where it was an update, its earlier state is back."""

    aside: Path
    restored: bool
    message: Message


def prepare(catalog: Catalog, plan: Plan, target: Path, tools: PictureTools, turn: Turn) -> Done:
    """Write or update the project. ConfigError and DataError say why not; then nothing at `target` has changed."""
    with _in_sentences(target):
        recover(target)
        wrong = (*plan.problems, *places.problems(catalog.root, target), *places.room(target, plan.bytes))
        if wrong:
            raise ConfigError(*wrong)
        part = _cleared(target)
        try:
            places.begin(part)
            builder = Builder(plan, part, tools, turn, (places.abandoned(target), target))
            finished = builder.run()
            if finished:
                _record(part, catalog, plan, builder)
                # The last moment to turn back: from here on it takes two renames.
                finished = not turn.cancelled
        except BaseException:
            places.remove(part)
            raise
        if not finished:
            places.remove(part)
            return Done(target, cancelled=True)
        _put(part, target)
        places.remove(places.abandoned(target))
        places.thin(target, "before")
        return _done(target, plan, builder)


def undo(target: Path) -> Undone:
    """Take the last prepare back: the project goes aside; what an update had replaced comes back."""
    with _in_sentences(target):
        recover(target)
        found = manifest.read(target)
        if found is None:
            raise ConfigError(say("{folder}: there is no project copy of ours here; nothing was changed", folder=str(target)))
        aside = places.aside(target, "undone")
        target.rename(aside)
        before = target.parent / places.TRASH / found.before if found.before else None
        restored = before is not None and manifest.read(before) is not None
        if restored and before is not None:
            before.rename(target)
            return Undone(aside, True, say("The project is as it was before. Its newer state lies in {folder}.", folder=str(aside)))
        return Undone(aside, False, say("The project was taken away. It lies in {folder} until you delete it.", folder=str(aside)))


def recover(target: Path) -> None:
    """Finish what a crash left between the two renames: a whole project that was not yet in its place."""
    part = places.building(target)
    if not target.exists() and manifest.read(part) is not None:
        _put(part, target)


def _cleared(target: Path) -> Path:
    """The name to build under, free. A half-made project of an earlier run is kept as a source of finished pictures."""
    part, left = places.building(target), places.abandoned(target)
    for folder in (part, left):
        if folder.exists() and not places.is_ours(folder):
            raise ConfigError(say("{folder}: this stands in the way and is not ours; move it, or choose another name for the project", folder=str(folder)))
    if part.exists():
        places.remove(left)
        part.rename(left)
    return part


def _record(part: Path, catalog: Catalog, plan: Plan, builder: Builder) -> None:
    target = builder.old
    before = places.aside(target, "before").name if manifest.read(target) is not None else ""
    folders = tuple(asdict(folder) for folder in plan.folders)
    found = Manifest(str(catalog.root), tuple(builder.entries), tuple(sorted(builder.removed)), before, dump(plan.config), folders)
    builder.finish()
    manifest.write(part, found)


def _put(part: Path, target: Path) -> None:
    """Put a whole project in its place; what was there goes to the name its record gives it."""
    found = manifest.read(part)
    assert found is not None, "a project is put in its place when its record is written"
    before = target.parent / places.TRASH / found.before if found.before else None
    if target.exists() and before is not None:
        before.parent.mkdir(exist_ok=True)
        target.rename(before)
    elif target.exists():
        target.rmdir()  # an empty folder, or an error
    try:
        part.rename(target)
    except OSError:
        if before is not None and before.exists():
            before.rename(target)
        raise
    (target / places.MARKER).unlink(missing_ok=True)


def _done(target: Path, plan: Plan, builder: Builder) -> Done:
    told = [count(len(builder.entries), "1 picture lies in {folder}.", "{n} pictures lie in {folder}.", folder=str(target))]
    if builder.same:
        told.append(count(builder.same, "1 of them was there already and was not written again.", "{n} of them were there already and were not written again."))
    warnings = list(builder.warnings)
    if builder.kept:
        warnings.append(
            count(
                len(builder.kept),
                "1 file was changed in the project by hand and stays as it is there: {names}",
                "{n} files were changed in the project by hand and stay as they are there: {names}",
                names=named(builder.kept),
            )
        )
    if builder.removed:
        warnings.append(
            count(
                len(builder.removed),
                "1 picture was taken out of the project by hand and stays out: {names}",
                "{n} pictures were taken out of the project by hand and stay out: {names}",
                names=named(identity.split(":", 2)[2] for identity in sorted(builder.removed)),
            )
        )
    folders = tuple(asdict(folder) for folder in plan.folders)
    made = len(builder.entries) - builder.same
    return Done(target, made, builder.same, tuple(builder.kept), tuple(builder.skipped), False, tuple(told), tuple(warnings), folders)


@contextlib.contextmanager
def _in_sentences(target: Path) -> Iterator[None]:
    try:
        yield
    except LoraError:
        raise
    except OSError as error:
        raise DataError(_sentence(error, target)) from error


def _sentence(error: OSError, target: Path) -> Message:
    name = str(error.filename or target)
    if error.errno in FULL:
        free = shutil.disk_usage(target.parent).free // 10**6 if target.parent.is_dir() else 0
        return say("The disk is full ({free} MB free): nothing was changed. Make room, or choose another disk, and start again.", free=free)
    if isinstance(error, PermissionError):
        return say("{file}: this computer does not let us write here; nothing was changed. Choose another place, or close what has it open.", file=name)
    return say("{file}: this did not work ({why}); nothing was changed.", file=name, why=error.strerror or str(error))
