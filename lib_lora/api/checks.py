"""Routes of the dataset page: what is wrong with the set, and the clicks that mend it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, Route, flag, number, resolution, text, texts
from lib_lora.core.errors import ConfigError, NotFound
from lib_lora.core.messages import say
from lib_lora.workbench import Opened, Turn, Workbench
from lib_lora.workbench.patience import Patience

if TYPE_CHECKING:
    from lib_lora.doctor.examine import Examination, Wish
    from lib_lora.doctor.pixels import Memory
    from lib_lora.doctor.problem import Problem
    from lib_lora.pictures.picture import Catalog

LONGEST = 16 * 2**20  # bytes of a body that names every picture of a large set
REMEMBERED = 16
LOWEST = 64  # of a resolution that is only looked at
LISTED = 500  # of one kind; a page shows some and counts the rest
EXAMPLES = 5
WHO = {"set": True, "client": True}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = Answers(bench)
    return (
        Route("POST", "dataset/doctor", answers.doctor, {**WHO, "reg": False, "trigger": False, "resolution": False, "batch": False}),
        Route("POST", "dataset/fix", answers.fix, {**WHO, "fix": True, "keys": False, "kind": False, "preview": False, "backup": False}, longest=LONGEST),
    )


@dataclass(frozen=True)
class _Held:
    """The last examination of a set for a browser, so that a fix knows what it is about."""

    found: Examination
    wish: Wish
    memory: Memory


class Answers:
    """What the routes answer, from the workbench."""

    def __init__(self, bench: Workbench) -> None:
        from lib_lora.editor.tokens import Tokens

        self.bench = bench
        self._tokens = Tokens(getattr(bench.host, "count_tokens", None))
        self._held: dict[tuple[str, str], _Held] = {}
        self._lock = threading.Lock()

    def doctor(self, ask: Ask) -> dict[str, Any]:
        """Look for everything that is wrong: a task whose result lists it by kind, worst first."""
        from lib_lora.dataset.config import BucketConfig
        from lib_lora.doctor.examine import Wish
        from lib_lora.prepare.manifest import made

        opened, client = self.bench.opened(text(ask, "set")), text(ask, "client")
        side, batch = resolution(ask, LOWEST) or opened.side(opened.session(client)), int(number(ask, "batch", 1))
        reg = self.bench.folder("reg", text(ask, "reg")) if text(ask, "reg", "").strip() else None
        wish = Wish(text(ask, "trigger", "").strip() or made(opened.root).trigger, (side, side), max(1, batch), BucketConfig())

        def work(turn: Turn) -> Mapping[str, Any]:
            from lib_lora.doctor.pixels import Memory
            from lib_lora.pictures import catalog

            other = catalog.read(reg, self.bench.host.paths().roots, Patience(reg)) if reg is not None else None
            before = self._held.get((opened.id, client))
            memory = before.memory if before else Memory()
            found = self._examined(opened, client, wish, other, memory, turn)
            with self._lock:
                kept = dict(list(self._held.items())[-(REMEMBERED - 1) :])
                self._held = {**kept, (opened.id, client): _Held(found, wish, memory)}
            return _document(found, opened, ask.words) | {"resolution": side}

        return {"task": self.bench.tasks.start("doctor", f"{opened.id} {client}", work)}

    def fix(self, ask: Ask) -> dict[str, Any]:
        """Mend what the last look found: all that `fix` can mend, or of it what is of one `kind`, or the files in `keys`.

        The trash takes nothing that is not named by one of the two. `preview` says what would change.
        """
        from lib_lora.doctor import fixes

        opened, client, act = self.bench.opened(text(ask, "set")), text(ask, "client"), text(ask, "fix")
        if act == "undo":
            return self._took_back(opened, text(ask, "backup"), ask)
        held = self._held.get((opened.id, client))
        if held is None:
            raise NotFound(say("Look first: it is not known any more what was found."))
        if act not in (*fixes.OF_CAPTIONS, *fixes.OF_TEXTS, *fixes.OF_FILES):
            raise ConfigError(
                say("{name}: {value} is none of {choices}", name="fix", value=repr(act)[:200], choices=fixes.OF_CAPTIONS + fixes.OF_TEXTS + fixes.OF_FILES)
            )
        kind = text(ask, "kind", "")
        if act in fixes.OF_FILES and not kind and ask.body.get("keys") is None:
            raise ConfigError(say("Say which files go to the trash: by their names (keys), or by what is wrong with them (kind)."))
        files = list(dict.fromkeys(one.file for one in held.found.problems if one.remedy.act == act and kind in ("", one.kind)))
        chosen = [name for name in files if name in set(texts(ask, "keys"))] if ask.body.get("keys") is not None else files
        if act in fixes.OF_CAPTIONS:
            return self._captions(opened, client, act, chosen, held.wish, ask)
        if act in fixes.OF_TEXTS:
            return self._texts(opened, client, act, chosen, held.found, ask)
        return self._trash(opened, act, chosen, held, ask)

    def _examined(self, opened: Opened, client: str, wish: Wish, reg: Catalog | None, memory: Memory, turn: Turn) -> Examination:
        from lib_lora.doctor import eyes
        from lib_lora.doctor.examine import Subject, examine
        from lib_lora.doctor.problem import Problem, ordered
        from lib_lora.prepare.manifest import copies
        from lib_lora.workbench.origins import origins_of

        session = opened.session(client)
        now = opened.refresh()
        edited = {one.key: session.text(one.key) for one in now.pictures if session.changed(one.key)}
        pictures = [replace(one, text=_with_first_line(one.text, edited[one.key])) if one.key in edited else one for one in now.pictures]
        shown = replace(now, pictures=tuple(pictures))

        def see(catalog: Catalog, teller: Turn) -> Mapping[str, Any]:
            if catalog.root == opened.root:
                return eyes.awaited(opened.analyst, teller)
            return eyes.with_cache(self.bench.host.paths().state / "pictures", catalog, teller)

        origins = origins_of(opened.root, self.bench.host.paths().roots) if reg is not None else None
        found = examine(Subject(shown, see, reg, self._count, copies(opened.root), memory, origins), wish, turn)
        unsaved = [Problem("unsaved", "warning", key, say("its caption was edited and is not saved")) for key in edited]
        return replace(found, problems=ordered([*found.problems, *unsaved]))

    def _count(self, caption: str) -> int:
        return self._tokens.of([caption])[0][0]

    def _captions(self, opened: Opened, client: str, act: str, keys: list[str], wish: Wish, ask: Ask) -> dict[str, Any]:
        from lib_lora.doctor import fixes, sets

        session, pictures = opened.session(client), opened.pictures
        keys = [key for key in keys if key in pictures and pictures[key].text_flaw is None]
        bars: list[tuple[str, ...]] = []
        if act == "bars":
            seen = opened.analyst.seen()
            files = {pictures[key].text_path: key for key in reversed(keys) if key in seen}
            keys = [key for key in keys if files.get(pictures[key].text_path) == key]
            bars = [sets.bar_tags(seen[key]) for key in keys]
        op = fixes.operation(act, wish.trigger, bars)
        change = session.preview(op, keys) if flag(ask, "preview") else session.apply(op, keys)
        examples = [{"file": one.file, "before": one.before, "after": one.after} for one in change.examples(EXAMPLES)]
        undo, redo = session.history()
        state = {"unsaved": session.unsaved(), "undo": undo.text(ask.words) if undo else "", "redo": redo.text(ask.words) if redo else ""}
        told = {"problems": [one.text(ask.words) for one in change.left_out]}
        return _fixed("captions", len(change.edits), change.what.text(ask.words), examples) | state | told

    def _texts(self, opened: Opened, client: str, act: str, keys: list[str], found: Examination, ask: Ask) -> dict[str, Any]:
        from lib_lora.core.messages import count
        from lib_lora.doctor import fixes

        session = opened.session(client)
        edited = [key for key in keys if session.changed(key)]
        keys = [key for key in keys if key not in set(edited)]
        if flag(ask, "preview"):
            examples = [
                {"file": file, "before": before, "after": after} for file, before, after in fixes.preview(act, opened.catalog, keys[:EXAMPLES], found.renames)
            ]
            return _fixed("texts", len(keys), "", examples) | {"problems": []}
        done = fixes.mend_texts(act, opened.catalog, set(keys), found.renames, opened.state)
        opened.refresh()
        problems = list(done.problems)
        if edited:
            problems.append(
                count(len(edited), "1 caption has edits that are not saved: save it first.", "{n} captions have edits that are not saved: save them first.")
            )
        n = len(done.files) // 2 if act == "rename" else len(done.files)
        what = fixes.label(act, n)
        return _fixed("texts", n, what.text(ask.words) if what and n else "", []) | {
            "backup": done.backup,
            "problems": [one.text(ask.words) for one in problems],
        }

    def _took_back(self, opened: Opened, backup: str, ask: Ask) -> dict[str, Any]:
        from lib_lora.doctor import fixes

        done = fixes.take_back(opened.catalog, opened.state, backup)
        opened.refresh()
        return _fixed("texts", len(done.files), "", []) | {"backup": done.backup, "problems": [one.text(ask.words) for one in done.problems]}

    def _trash(self, opened: Opened, act: str, files: list[str], held: _Held, ask: Ask) -> dict[str, Any]:
        from lib_lora.doctor import fixes

        # The look may be long ago: what is on the disk now decides.
        doubled = {one.file for one in held.found.problems if one.kind in fixes.COPIES}
        going, stays = fixes.going(files, opened.refresh(), doubled, opened.analyst.seen(), held.memory)
        if flag(ask, "preview"):
            examples = [{"file": one.key, "before": one.key, "after": None} for one in going[:EXAMPLES]]
            return _fixed("trash", len(going), "", examples) | {"problems": [one.text(ask.words) for one in stays]}
        gone = {one.key for one in going}
        moved = opened.trash.take(going, [one for key, one in opened.pictures.items() if key not in gone])
        opened.refresh()
        told = {"trash": moved.trash, "problems": [one.text(ask.words) for one in (*stays, *moved.problems)]}
        return _fixed("trash", len(moved.keys), fixes.done(act, len(moved.keys)).text(ask.words) if moved.keys else "", []) | told


def _fixed(where: str, changed: int, what: str, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """`where` says how it is undone: "captions" by dataset/undo, "texts" by fix undo with `backup`, "trash" by dataset/trash/undo."""
    return {"where": where, "changed": changed, "what": what, "examples": examples, "backup": "", "trash": ""}


def _document(found: Examination, opened: Opened, words: Mapping[str, str]) -> dict[str, Any]:
    from lib_lora.doctor.documents import summary
    from lib_lora.doctor.problem import SEVERITIES

    groups = [_group(list(group), opened, words) for _, group in groupby(found.problems, key=lambda one: (one.severity, one.kind))]
    counts = {severity: sum(one.severity == severity for one in found.problems) for severity in SEVERITIES}
    return {"images": found.images, "captions": found.captions, "summary": summary(found).text(words), "counts": counts, "groups": groups}


def _group(problems: list[Problem], opened: Opened, words: Mapping[str, str]) -> dict[str, Any]:
    from lib_lora.doctor import fixes

    first = problems[0]
    files = [one.file for one in problems]
    shown = fixes.label(first.remedy.act, len(set(files)))
    # What is not in the gallery cannot be shown there.
    keys = [name for name in files if name in opened.pictures]
    leads = first.remedy.act in (*fixes.OF_CAPTIONS, *fixes.OF_TEXTS, *fixes.OF_FILES, "prepare") or keys
    return {
        "kind": first.kind,
        "severity": first.severity,
        "label": first.remedy.label.text(words),
        "fix": first.remedy.fix.text(words),
        "act": first.remedy.act if shown is not None and leads else "",
        "button": shown.text(words) if shown is not None and leads else "",
        "total": len(problems),
        "problems": [{"file": one.file, "key": one.file in opened.pictures, "what": one.what.text(words)} for one in problems[:LISTED]],
        "keys": keys,
        "files": list(dict.fromkeys(files)),
    }


def _with_first_line(whole: str | None, caption: str) -> str:
    lines = (whole or "").splitlines()[1:]
    return "\n".join([caption, *lines])
