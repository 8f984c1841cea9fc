"""Routes of the dataset page: captions in work. Nothing of it reaches the disk before `dataset/save`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, Route, flag, number, text, texts
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import count, say
from lib_lora.workbench import Opened, Workbench

if TYPE_CHECKING:
    from lib_lora.editor.change import Change
    from lib_lora.editor.saving import Saved
    from lib_lora.editor.session import Session

LONGEST = 16 * 2**20  # bytes of a body that names every picture of a large set
PAGE = 500
TEXTS = 1000
NAMED = 200
WHO = {"set": True, "client": True}
WHICH = {**WHO, "keys": False, "where": False}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = Answers(bench)
    table = {**WHICH, "search": False, "sort": False, "descending": False, "top": False, "offset": False, "limit": False}
    return (
        Route("GET", "dataset/editing", answers.editing),
        Route("POST", "dataset/tags", answers.tags, table, longest=LONGEST),
        Route("POST", "dataset/edit", answers.edit, {**WHICH, "op": True, "preview": False, "before": False}, longest=LONGEST),
        Route("POST", "dataset/undo", answers.undo, WHO),
        Route("POST", "dataset/redo", answers.redo, WHO),
        Route("POST", "dataset/save", answers.save, {**WHO, "overwrite": False, "take": False}, longest=LONGEST),
        Route("GET", "dataset/backups", answers.backups),
        Route("POST", "dataset/restore", answers.restore, {**WHO, "backup": True}),
        Route("POST", "dataset/settle", answers.settle, {**WHO, "backup": True, "finish": True}),
        Route("POST", "dataset/trigger", answers.trigger, {**WHICH, "trigger": False}, longest=LONGEST),
        Route("POST", "dataset/unwanted", answers.unwanted, WHICH, longest=LONGEST),
        Route("GET", "dataset/complete", answers.complete),
        Route("POST", "dataset/count", answers.count, {"texts": True, "set": False, "client": False}),
        Route("POST", "dataset/audit", answers.audit, {**WHO, "reg": True, "trigger": False}),
    )


class Answers:
    """What the routes answer, from the workbench."""

    def __init__(self, bench: Workbench) -> None:
        from lib_lora.editor.complete import Vocabularies
        from lib_lora.editor.tokens import Tokens

        paths = bench.host.paths()
        self.bench = bench
        self.counter = Tokens(getattr(bench.host, "count_tokens", None))
        self.vocabularies = Vocabularies(paths.state, paths.models)

    def editing(self, ask: Ask) -> dict[str, Any]:
        """Where a browser's edits stand: how many are not saved, what can be undone, and whether a save was cut off."""
        from lib_lora.editor import journal

        opened = self.bench.opened(ask.query.get("set", ""))
        cut = journal.interrupted(opened.root, opened.state, opened.roots)
        found = _state(opened.session(ask.query.get("client", "")), ask) | {"exact": self.counter.of(["a"])[1]}
        if cut is not None:
            told = count(
                cut.new + cut.old + len(cut.other),
                "A save of 1 caption was cut off: {new} has its new text, {old} the old one. Finish it, or go back to the old texts.",
                "A save of {n} captions was cut off: {new} have their new text, {old} the old one. Finish it, or go back to the old texts.",
                new=cut.new,
                old=cut.old,
            )
            found["cut"] = {"backup": cut.id, "created": cut.created, "told": told.text(ask.words), "other": list(cut.other)[:NAMED]}
        return found

    def tags(self, ask: Ask) -> dict[str, Any]:
        """The tags of the shown pictures with how many have each, searched, sorted, page by page."""
        from lib_lora.editor.filters import Where
        from lib_lora.editor.table import table

        opened, session = self._who(ask)
        keys = self._keys(ask, opened, session)
        search = Where.read({"search": ask.body.get("search")}).search
        offset, limit = max(0, int(number(ask, "offset", 0))), max(1, min(PAGE, int(number(ask, "limit", 200))))
        counts = session.counts()
        shown = counts if len(keys) == len(session.keys) else session.counts(keys)
        sort, descending = text(ask, "sort", "frequency"), flag(ask, "descending", True)
        found = table(shown, counts, self.counter, search, sort, descending, texts(ask, "top"), (offset, limit))
        lines = [{"tag": line.tag, "count": line.shown, "all": line.all, "tokens": line.tokens} for line in found.lines]
        return {"tags": lines, "total": found.total, "exact": found.exact, "images": len(keys), **_state(session, ask)}

    def edit(self, ask: Ask) -> dict[str, Any]:
        """Do something to the captions of these pictures, or, with `preview`, tell what it would do.

        `before` is the caption that the page shows: where another window has changed it since, nothing is done and 409 says so.
        """
        from lib_lora.editor import operations

        opened, session = self._who(ask)
        op = operations.read(ask.body.get("op"), self.counter.numbers)
        keys = self._keys(ask, opened, session)
        if flag(ask, "preview"):
            return _told(session.preview(op, keys), ask) | _state(session, ask)
        before = text(ask, "before") if ask.body.get("before") is not None else None
        return _told(session.apply(op, keys, before), ask) | _state(session, ask)

    def undo(self, ask: Ask) -> dict[str, Any]:
        """Take the last change of captions back."""
        session = self._who(ask)[1]
        return _back(session.undo(), session, ask)

    def redo(self, ask: Ask) -> dict[str, Any]:
        """Do again what was taken back last."""
        session = self._who(ask)[1]
        return _back(session.redo(), session, ask)

    def save(self, ask: Ask) -> dict[str, Any]:
        """Write the captions that changed. What others changed meanwhile is named, and written only when it is in `overwrite`."""
        opened, session = self._who(ask)
        saved = session.save(texts(ask, "overwrite"), texts(ask, "take"))
        return _saved(saved, opened, ask) | _state(session, ask)

    def backups(self, ask: Ask) -> dict[str, Any]:
        """The saves of this folder that can be taken back, the newest first."""
        from lib_lora.editor import journal

        opened = self.bench.opened(ask.query.get("set", ""))
        found = journal.backups(opened.state)
        listed = [{"backup": one.id, "created": one.created, "count": len(one.files), "files": list(one.files)[:5]} for one in found]
        kept = say("The last {n} backups stay, and all of the last {days} days.", n=journal.KEPT, days=journal.DAYS)
        return {"backups": listed, "folder": str(opened.state / journal.BACKUPS), "kept": kept.text(ask.words)}

    def restore(self, ask: Ask) -> dict[str, Any]:
        """Put the captions of a backup back on the disk. What stands there now goes into a backup of its own."""
        opened, session = self._who(ask)
        saved = session.restore(text(ask, "backup"))
        return _saved(saved, opened, ask) | _state(session, ask)

    def settle(self, ask: Ask) -> dict[str, Any]:
        """Finish a save that was cut off, or go back to the texts before it."""
        opened, session = self._who(ask)
        saved = session.settle(text(ask, "backup"), flag(ask, "finish"))
        return _saved(saved, opened, ask) | _state(session, ask)

    def trigger(self, ask: Ask) -> dict[str, Any]:
        """Which tags seem to be the character, and what is to be said of a trigger word."""
        from lib_lora.editor import trigger

        opened, session = self._who(ask)
        keys, word = self._keys(ask, opened, session), text(ask, "trigger", "").strip()
        counts = session.counts(keys)
        found = trigger.features(counts, len(keys), word)
        features = [
            {"tag": one.tag, "kind": one.category.name, "label": one.category.label.text(ask.words), "born": one.category.born, "count": one.count}
            | {"share": round(one.share, 3), "chosen": one.chosen}
            for one in found
        ]
        told = trigger.judge(word, self.counter, self.vocabularies.used().counts, list(counts)) if word else ()
        return {"features": features, "warnings": [one.text(ask.words) for one in told], "images": len(keys)}

    def unwanted(self, ask: Ask) -> dict[str, Any]:
        """Tags for what should not be learnt with the trigger, which these pictures seem to lack."""
        from lib_lora.editor import unwanted

        opened, session = self._who(ask)
        keys = self._keys(ask, opened, session)
        seen = opened.analyst.seen()
        bars = {key: seen[key].bars for key in keys if key in seen}
        scores = {key: opened.scores(key) for key in keys}
        labels = {name: label.text(ask.words) for name, label in unwanted.labels().items()}
        found = unwanted.find({key: session.tags(key) for key in keys}, scores, bars)
        hints = [{"tag": one.tag, "group": one.group, "count": len(one.keys), "keys": list(one.keys), "sure": one.sure} for one in found]
        return {"hints": hints, "labels": labels, "tagged": sum(bool(found) for found in scores.values()), "images": len(keys)}

    def complete(self, ask: Ask) -> dict[str, Any]:
        """Tags that may be meant by the first letters of one."""
        from lib_lora.editor.complete import complete

        session = self.bench.opened(ask.query.get("set", "")).session(ask.query.get("client", ""))
        found = complete(ask.query.get("text", "")[:200], session.counts(), self.vocabularies.used())
        return {"tags": [{"tag": one.tag, "set": one.set_count, "count": one.count, "of": one.of} for one in found]}

    def count(self, ask: Ask) -> dict[str, Any]:
        """How many tokens texts take; `exact` where the host counted, else it is an estimate."""
        asked = texts(ask, "texts")
        if len(asked) > TEXTS:
            raise ConfigError(say("At most {n} texts at once.", n=TEXTS))
        numbers, exact = self.counter.of(asked)
        return {"tokens": numbers, "exact": exact}

    def audit(self, ask: Ask) -> dict[str, Any]:
        """Compare with a regularisation set: count, pictures in both, the trigger in it, and which tags it lacks."""
        from dataclasses import replace

        from lib_lora.doctor import regularisation
        from lib_lora.workbench.origins import origins_of

        opened, session = self._who(ask)
        other, word = self.bench.open(text(ask, "reg")), text(ask, "trigger", "").strip()
        if other is opened:
            raise ConfigError(say("reg: this is the training set itself; choose the folder of the regularisation pictures"))
        ours = [replace(one, text=session.text(one.key)) for one in opened.catalog.pictures]
        pixels = [{key: seen.pixels for key, seen in one.analyst.seen().items()} for one in (opened, other)]
        origins = origins_of(opened.root, self.bench.host.paths().roots)
        found = regularisation.audit(ours, other.catalog.pictures, pixels[0], pixels[1], word or (origins.trigger if origins else ""))
        found = replace(found, alike=regularisation.alike(found, opened.analyst.seen(), other.analyst.seen()))
        problems = regularisation.problems(found, "", word)
        progress = [sum(part) for part in zip(opened.analyst.progress(), other.analyst.progress(), strict=True)]
        return {
            "count": found.count,
            "wanted": found.wanted,
            "shared": [list(pair) for pair in found.shared[:NAMED]],
            "alike": [list(pair) for pair in found.alike[:NAMED]],
            "leaks": list(found.leaks[:NAMED]),
            "coverage": found.coverage,
            "missing": [list(one) for one in found.missing[:NAMED]],
            "problems": [{"severity": one.severity, "file": one.file, "what": one.what.text(ask.words)} for one in problems[:NAMED]],
            "looked": progress[0],
            "pictures": progress[1],
        }

    def _who(self, ask: Ask) -> tuple[Opened, Session]:
        opened = self.bench.opened(text(ask, "set"))
        return opened, opened.session(text(ask, "client"))

    def _keys(self, ask: Ask, opened: Opened, session: Session) -> list[str]:
        """The pictures that are meant: those named, or those a filter shows, or all."""
        from lib_lora.editor.filters import Where

        if ask.body.get("keys") is not None:
            there = opened.pictures
            return [key for key in texts(ask, "keys") if key in there]
        where = Where.read(ask.body.get("where"))
        # What is known of pictures is asked for only where the filter goes by it.
        return session.find(where, opened.facts(session=session) if where.kind or where.flag else {})


def _state(session: Session, ask: Ask) -> dict[str, Any]:
    undo, redo = session.history()
    told = {"undo": undo.text(ask.words) if undo else "", "redo": redo.text(ask.words) if redo else ""}
    return {"unsaved": session.unsaved(), "version": session.version, **told}


def _told(change: Change, ask: Ask) -> dict[str, Any]:
    gone, come = change.moved()
    return {
        "what": change.what.text(ask.words),
        "sentence": change.sentence.text(ask.words),
        "changed": len(change.edits),
        "of": change.of,
        "examples": [{"file": edit.file, "before": edit.before, "after": edit.after} for edit in change.examples()],
        "gone": [[tag, n] for tag, n in gone.most_common(20)],
        "come": [[tag, n] for tag, n in come.most_common(20)],
        "left_out": [message.text(ask.words) for message in change.left_out],
    }


def _back(change: Change | None, session: Session, ask: Ask) -> dict[str, Any]:
    if change is None:
        return {"done": False, "what": "", "changed": 0} | _state(session, ask)
    return {"done": True, "what": change.what.text(ask.words), "changed": len(change.edits)} | _state(session, ask)


def _saved(saved: Saved, opened: Opened, ask: Ask) -> dict[str, Any]:
    """What a save did; the others who look at this folder are told of the new texts."""
    from lib_lora.editor.saving import with_texts

    on_disk = {**saved.texts, **saved.taken}
    if on_disk:
        opened.take(with_texts(opened.catalog, on_disk))
    told = [count(saved.files, "1 caption saved", "{n} captions saved")]
    if saved.conflicts:
        told.append(
            count(
                len(saved.conflicts),
                "1 caption was changed on the disk by somebody else meanwhile and was not overwritten: choose which text to keep.",
                "{n} captions were changed on the disk by somebody else meanwhile and were not overwritten: choose which texts to keep.",
            )
        )
    return {
        "saved": saved.files,
        "told": [message.text(ask.words) for message in told],
        "conflicts": [{"file": one.file, "mine": one.mine, "theirs": one.theirs} for one in saved.conflicts],
        "failed": [message.text(ask.words) for message in saved.failed[:NAMED]],
        "backup": saved.backup or "",
    }
