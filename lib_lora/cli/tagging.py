"""The command tag: a folder of pictures → captions beside them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.cli.console import Console, Found
from lib_lora.core.errors import ConfigError, DataError
from lib_lora.core.files import typed_path
from lib_lora.core.messages import Message, count, say

if TYPE_CHECKING:
    from lib_lora.editor.saving import Saved
    from lib_lora.pictures.picture import Catalog
    from lib_lora.tagging.compose import Wish
    from lib_lora.tagging.tagger import Running, Tagger

STATE = ".lora-studio"  # as the stand-alone page has it, so that both know what a tagger said
POLICIES = ("skip", "overwrite", "prepend", "append")


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="the pictures; folders in it are tagged as well")
    parser.add_argument("--tagger", default="", metavar="NAME", help="which tagger (wd-vit-large-tagger-v3, or the first that is there)")
    parser.add_argument("--model-dir", default="", metavar="DIR", help="where taggers lie: a tagger's own folder, or the folder around them")
    parser.add_argument("--threshold", type=float, metavar="P", help="from which probability on a tag is written (0.5; regularisation 0.35)")
    parser.add_argument("--character-threshold", type=float, default=0.85, metavar="P", help="the same for characters (0.85)")
    parser.add_argument("--mcut", action="store_true", help="find the thresholds anew for each picture, at the widest gap")
    parser.add_argument("--trigger", default="", metavar="T", help="the trigger word: the first tag of every caption")
    parser.add_argument("--regularisation", action="store_true", help="this is a regularisation set: more tags, and never the trigger")
    parser.add_argument("--policy", choices=POLICIES, default="skip", help="what happens to captions that are there (skip)")
    for name, help in (
        ("first", "tags before all others"),
        ("last", "tags after all others"),
        ("keep", "raw names or /expressions/ that need no threshold"),
        ("exclude", "raw names or /expressions/ that are never written"),
    ):
        parser.add_argument(f"--{name}", default="", metavar="A,B", help=help)
    parser.add_argument("--replace", action="append", default=[], metavar="OLD->NEW", help="write another tag; may be repeated")
    parser.add_argument("--expand", action="store_true", help="name_(series) becomes two tags")
    parser.add_argument("--rating", action="store_true", help="write the rating, too")
    parser.add_argument("--underscores", action="store_true", help="leave the underscores of the raw names")
    parser.add_argument("--cpu", action="store_true", help="use no graphics card")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    parser.add_argument("--output", default="outputs", metavar="FOLDER", help="where LoRAs, taggers and what is remembered lie (outputs)")


def tag(values: argparse.Namespace, console: Console) -> Found:
    """Tag a folder."""
    from lib_lora.hosts.base import HostPaths
    from lib_lora.pictures import catalog
    from lib_lora.tagging import locate, registry

    wish = _wish(values)
    root = _folder(values.folder)
    output = typed_path(values.output)
    given = [_folder(values.model_dir)] if values.model_dir.strip() else []
    tagger = registry.chosen(values.tagger, locate.around(HostPaths(output, output / STATE), None, given))
    found = catalog.read(root)
    if not found.pictures:
        raise DataError(say("{folder}: there are no pictures in it", folder=str(root)))
    return _tagged(tagger, found, wish, values, output / STATE, console)


def _tagged(tagger: Tagger, found: Catalog, wish: Wish, values: argparse.Namespace, state: Path, console: Console) -> Found:
    from lib_lora.editor.session import Session
    from lib_lora.tagging import cache, run, write
    from lib_lora.tagging.compose import SKIP, Composer
    from lib_lora.tagging.rules import ready
    from lib_lora.workbench.opened import set_id

    state = state / "sets" / set_id(found.root)
    session = Session(found, state)
    # Pictures whose captions stay as they are need no tagger.
    wanted = [one for one in found.pictures if not (wish.policy == SKIP and session.tags(one.key))]
    running = tagger.start(values.cpu)
    try:
        ready(wish.rules, running.labels)  # a rule that cannot be understood is told before hours of work, not after
        kept = cache.at(state, running.digest)
        kept.begin(running.labels, tagger.name)
        for note in running.notes:
            console.note(console.text(note))
        outcome = run.tag(running, kept, wanted, _Teller(console, say("Tagging with {tagger} on {device}", tagger=tagger.name, device=running.device)))
        # Captions that cannot be read are named and left; with skip nothing is done to those that are there.
        regularisation = {one.key for one in wanted} if values.regularisation else set()
        texts = write.captions(session, kept, Composer(kept.table, wish), wanted, regularisation)
        change = write.apply(session, texts, tagger.name)
        saved = None if values.dry_run else session.save()
        return _found(tagger, running, found, outcome, texts, change, saved, console)
    finally:
        running.close()


def _found(tagger: Tagger, running: Running, found: Catalog, outcome: Any, texts: dict[str, str], change: Any, saved: Saved | None, console: Console) -> Found:
    failed = [*change.left_out, *(saved.failed if saved else ())]
    conflicts = [conflict.file for conflict in saved.conflicts] if saved else []
    document = {
        "tagger": tagger.name,
        "device": running.device,
        "notes": [console.text(note) for note in running.notes],
        "images": len(found.pictures),
        "tagged": outcome.tagged,
        "known": outcome.known,
        "skipped": len(found.pictures) - len(texts) - len(outcome.broken),
        "written": saved.files if saved else 0,
        "captions": texts,
        "broken": [{"file": key, "why": console.text(why)} for key, why in outcome.broken.items()],
        "failed": [console.text(one) for one in failed] + conflicts,
        "backup": saved.backup if saved else None,
    }
    lines = [console.text(_told(len(change.edits), saved))]
    lines += [f"{key}: {text}" for key, text in texts.items()] if saved is None else []
    lines += [console.text(why) for why in outcome.broken.values()] + document["failed"]
    nothing = len(outcome.broken) == len(found.pictures)
    return Found(document, tuple(lines), DataError.exit_code if nothing or failed or conflicts else 0)


def _told(edits: int, saved: Saved | None) -> Message:
    if saved is None:
        return count(edits, "1 caption would be written:", "{n} captions would be written:")
    return count(saved.files, "1 caption was written.", "{n} captions were written.")


def _wish(values: argparse.Namespace) -> Wish:
    from lib_lora.dataset.captions import tags
    from lib_lora.tagging.compose import REGULARISATION, TARGET, Wish
    from lib_lora.tagging.rules import Rules

    for name in ("threshold", "character_threshold"):
        value = getattr(values, name)
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(say("{name}: {value} is not between 0 and 1", name=f"--{name.replace('_', '-')}", value=value))
    rules = Rules(
        trigger=values.trigger,
        first=tuple(tags(values.first)),
        last=tuple(tags(values.last)),
        keep=tuple(tags(values.keep)),
        exclude=tuple(tags(values.exclude)),
        replace=tuple(values.replace),
        expand=values.expand,
        underscores=values.underscores,
        rating=values.rating,
    )
    sides = [replace(side, character=values.character_threshold, mcut=values.mcut) for side in (TARGET, REGULARISATION)]
    if values.threshold is not None:
        sides = [replace(side, general=values.threshold) for side in sides]
    return Wish(rules, *sides, policy=values.policy)


class _Teller:
    """Says on a terminal how far it is; what a pipe gets is the result alone."""

    cancelled = False

    def __init__(self, console: Console, about: Message) -> None:
        self._console, self._about = console, about

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        stream = self._console.err
        if stream.isatty():
            stream.write(f"\r\033[K{self._console.text(message or self._about)} {done}/{total}" if done < total else "\r\033[K")
            stream.flush()


def _folder(text: str) -> Path:
    try:
        folder = typed_path(text)
    except ValueError as error:
        raise ConfigError(say("{name}: this is not a path ({why})", name="FOLDER", why=str(error))) from error
    if not folder.is_dir():
        raise ConfigError(say("{folder}: there is no such folder", folder=str(folder)))
    return folder
