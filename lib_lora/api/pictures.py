"""Routes of the dataset page: its pictures, page by page; small and large copies of them; classes, groups and the trash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse, Response

from lib_lora.api.endpoint import FOREVER, Ask, Route, flag, number, resolution, text, texts
from lib_lora.api.rows import Rows
from lib_lora.core.errors import ConfigError, NotFound
from lib_lora.core.files import is_within
from lib_lora.core.messages import count, say
from lib_lora.model import Family
from lib_lora.workbench import Opened, Workbench
from lib_lora.workbench.opened import CLASS, GROUP
from lib_lora.workbench.trash import Moved

PAGE, LARGE = 500, 1600
NATIVE = {Family.SD1: 512, Family.SD2: 768, Family.SDXL: 1024}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = Answers(bench)
    where = {"set": True, "client": True, "where": False, "sort": False, "descending": False, "offset": False, "limit": False, "resolution": False}
    decision = {"set": True, "keys": False, "before": False}
    return (
        Route("POST", "dataset/view", answers.view, where),
        Route("GET", "dataset/thumb", answers.thumb),
        Route("GET", "dataset/picture", answers.picture),
        Route("GET", "dataset/progress", answers.progress, quick=True),
        Route("POST", "dataset/kind", answers.kind, {**decision, "kind": False}),
        Route("POST", "dataset/group", answers.group, {**decision, "group": False}),
        Route("POST", "dataset/copies", answers.copies, {"set": True, "client": True, "flag": True}),
        Route("POST", "dataset/trash", answers.trash, {"set": True, "keys": True}),
        Route("GET", "dataset/trash/list", answers.trash_list),
        Route("POST", "dataset/trash/undo", answers.trash_undo, {"set": True, "trash": True}),
    )


class Answers:
    """What the routes answer, from the workbench."""

    def __init__(self, bench: Workbench) -> None:
        from lib_lora.editor.tokens import Tokens

        self.bench = bench
        self.tokens = Tokens(getattr(bench.host, "count_tokens", None))

    def view(self, ask: Ask) -> dict[str, Any]:
        """One page of the pictures that a filter shows, and how many there are of everything."""
        from lib_lora.editor.filters import Where
        from lib_lora.pictures.classes import KINDS

        opened = self.bench.opened(text(ask, "set"))
        native = self._native()
        opened.resolution = native
        session = opened.session(text(ask, "client"))
        opened.show(session, resolution(ask))
        version = opened.version
        rows = Rows(opened, session, self.tokens)
        keys = rows.found(Where.read(ask.body.get("where")), text(ask, "sort", "name"), flag(ask, "descending"))
        first, limit = max(0, int(number(ask, "offset", 0))), max(1, min(PAGE, int(number(ask, "limit", 100))))
        return {
            "total": len(keys),
            "rows": rows.page(keys[first : first + limit], ask.words),
            **rows.counts(),
            "teaches": {name: kind.teaches.text(ask.words) for name, kind in KINDS.items()},
            "resolution": rows.side,
            "native": native,
            "version": version,
        }

    def thumb(self, ask: Ask) -> Response:
        """A small copy of a picture."""
        return self._copy(ask, 256)

    def picture(self, ask: Ask) -> Response:
        """A large copy of a picture, upright."""
        return self._copy(ask, LARGE)

    def progress(self, ask: Ask) -> dict[str, Any]:
        """How many pictures were looked at, and a version that changes when rows should be asked for again."""
        opened = self.bench.opened(ask.query.get("set", ""))
        done, total = opened.analyst.progress()
        opened.kin(wait=False)
        problem = opened.analyst.problem
        told = problem.text(ask.words) if problem is not None else ""
        return {"done": done, "total": total, "settled": opened.settled, "version": opened.version, "problem": told}

    def kind(self, ask: Ask) -> dict[str, Any]:
        """Put pictures into a class; null lets it be guessed again. `before` of an answer takes it back."""
        from lib_lora.pictures.classes import KINDS

        return self._decide(ask, CLASS, "kind", tuple(KINDS))

    def group(self, ask: Ask) -> dict[str, Any]:
        """Make pictures one differential group of that name; "" takes them out of theirs, null forgets what was decided."""
        return self._decide(ask, GROUP, "group", None)

    def copies(self, ask: Ask) -> dict[str, Any]:
        """Of pictures that are the same ("exact") or hardly different ("near"): the copies to `keep`, and those that may `go`."""
        from lib_lora.workbench import copies

        opened, flag = self.bench.opened(text(ask, "set")), text(ask, "flag")
        if flag not in ("exact", "near"):
            raise ConfigError(say("{name}: {value} is none of {choices}", name="flag", value=repr(flag), choices=("exact", "near")))
        session, kin, pictures = opened.session(text(ask, "client")), opened.kin(wait=False), opened.pictures
        # Variants of one drawing are wanted beside each other, whatever they look like.
        grouped = {key for members in opened.groups(wait=False).values() for key in members}
        there = [key for key, picture in pictures.items() if picture.flaw is None and (flag == "exact" or key not in grouped)]
        found = copies.sets(kin.exact if flag == "exact" else kin.near, set(there))
        decided = opened.marks.section(CLASS)
        keep = [copies.best(one, pictures, lambda key: bool(session.text(key)), decided) for one in found]
        return {"keep": keep, "go": [key for one in found for key in one if key not in keep]}

    def trash(self, ask: Ask) -> dict[str, Any]:
        """Move pictures with their captions to the trash."""
        opened = self.bench.opened(text(ask, "set"))
        moved = opened.throw_away(_there(opened, texts(ask, "keys")))
        if not moved.keys:
            raise ConfigError(*moved.problems)
        n = len(moved.keys)
        told = count(n, "1 picture lies in the trash of LoRA Studio now.", "{n} pictures lie in the trash of LoRA Studio now.")
        return self._moved(opened, moved, ask) | {"told": told.text(ask.words)}

    def trash_list(self, ask: Ask) -> dict[str, Any]:
        """What lies in the trash of this folder, the latest first."""
        opened = self.bench.opened(ask.query.get("set", ""))
        return {"trash": [{"trash": name, "keys": list(keys)} for name, keys in opened.trash.listed()]}

    def trash_undo(self, ask: Ask) -> dict[str, Any]:
        """Bring back what one act moved to the trash."""
        opened = self.bench.opened(text(ask, "set"))
        moved = opened.trash.give_back(text(ask, "trash"))
        opened.refresh()
        return self._moved(opened, moved, ask)

    def _native(self) -> int:
        """What the loaded model was made for."""
        facts = self.bench.host.facts()
        return NATIVE[facts.family] if facts else NATIVE[Family.SD1]

    def _copy(self, ask: Ask, side: int) -> Response:
        from lib_lora.pictures import thumbs

        opened = self.bench.opened(ask.query.get("set", ""))
        # Only what the catalogue holds has an address: nothing of the query becomes a path.
        picture = opened.pictures.get(ask.query.get("key", ""))
        # Links may lead elsewhere by now than they did when the folder was read.
        if picture is None or not _is_inside(picture.path, opened.roots):
            raise NotFound(say("There is no such picture in this folder any more."))
        with opened.analyst.aside():
            path = thumbs.thumb(picture, opened.thumbs, side)
        return FileResponse(path, media_type="image/jpeg", headers=FOREVER)

    def _decide(self, ask: Ask, section: str, name: str, known: tuple[str, ...] | None) -> dict[str, Any]:
        opened = self.bench.opened(text(ask, "set"))
        before = ask.body.get("before")
        if before is not None:
            decisions = _decisions(before, known)
        else:
            value = ask.body.get(name)
            decisions = _decisions(dict.fromkeys(_there(opened, texts(ask, "keys")), value), known)
        # Keys whose pictures are gone meanwhile are kept: they may come back from the trash.
        return {"before": dict(opened.decide(section, decisions)), "changed": len(decisions)}

    def _moved(self, opened: Opened, moved: Moved, ask: Ask) -> dict[str, Any]:
        problems = [problem.text(ask.words) for problem in moved.problems]
        return {"trash": moved.trash, "keys": list(moved.keys), "problems": problems, "images": len(opened.pictures)}


def _is_inside(path: Path, roots: Sequence[Path] | None) -> bool:
    try:
        return roots is None or is_within(path, list(roots))
    except (OSError, RuntimeError):  # a link in a circle
        return False


def _there(opened: Opened, keys: list[str]) -> list[str]:
    """The keys that are in the catalogue; a sentence where there is none of them."""
    found = [key for key in dict.fromkeys(keys) if key in opened.pictures]
    if not found:
        raise NotFound(say("None of these pictures is in this folder any more."))
    return found


def _decisions(raw: Any, known: tuple[str, ...] | None) -> Mapping[str, str | None]:
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        raise ConfigError(say("{name}: {value} is no {type}", name="before", value=repr(raw)[:200], type="object"))
    values = [value for value in raw.values() if value is not None]
    wrong = [value for value in values if not isinstance(value, str) or (known is not None and value not in known)]
    if wrong:
        raise ConfigError(say("{name}: {value} is none of {choices}", name="kind", value=repr(wrong[0])[:200], choices=known or ["text"]))
    return raw
