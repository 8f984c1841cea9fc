"""Routes of the dataset page: repeats, batches as large as the set, and what training begins with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, Route, flag, number, resolution, text, texts
from lib_lora.core.errors import ConfigError, DataError
from lib_lora.core.messages import Message, say
from lib_lora.repeats import Problem, check, solve
from lib_lora.repeats import batches as sizes
from lib_lora.repeats.explain import Line, document, lines, sentences, summary
from lib_lora.repeats.hints import conflicts, hints
from lib_lora.repeats.problem import DIFFERENTIAL, class_name
from lib_lora.workbench import Opened, Workbench
from lib_lora.workbench.opened import set_id
from lib_lora.workbench.sending import Wish, send

if TYPE_CHECKING:
    from lib_lora.editor.session import Session

PROBLEM = {"set": False, "client": False, "main": True, "face": False, "others": False, "groups": False, "flip": False, "mono": False}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = Answers(bench)
    whole = {"set": True, "client": False, "repeats": True, "limit": False, "steps": False, "regularised": False, "resolution": False}
    sent = {"set": True, "client": False, "folder": False, "trigger": False, "resolution": False, "repeats": False, "counts": False}
    return (
        Route("GET", "dataset/counts", answers.counts),
        Route("POST", "dataset/repeats", answers.repeats, PROBLEM),
        Route("POST", "dataset/repeats/check", answers.check, {**PROBLEM, "repeats": True, "group_size": False}),
        Route("POST", "dataset/batches", answers.batches, whole),
        Route("POST", "dataset/send", answers.send, sent),
    )


class Answers:
    """What the routes answer, from the workbench."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def counts(self, ask: Ask) -> dict[str, Any]:
        """Originals of each class, as the pictures are sorted now."""
        from lib_lora.workbench.counts import of_opened

        opened = self.bench.opened(ask.query.get("set", ""))
        found = of_opened(opened, _session(opened, ask.query.get("client", "")))
        return {
            "main": found.main,
            "face": found.face,
            "others": dict(found.others),
            "groups": list(found.groups),
            "mono": sorted(found.mono),
            "notes": _texts(found.notes, ask),
            "settled": opened.settled,
        }

    def repeats(self, ask: Ask) -> dict[str, Any]:
        """The repeats for these counts: numbers, and a sentence for each of them."""
        answer = solve(_problem(ask))
        told = {
            "lines": [_line(line, ask) for line in lines(answer)],
            "range": [answer.problem.low, answer.problem.high],
            "sentences": _texts(sentences(answer), ask),
            "summary": summary(answer).text(ask.words),
            "levels": [one.level for one in answer.warnings],
            "hints": _texts(hints(answer), ask),
            "conflicts": _texts(conflicts(), ask),
        }
        return document(answer, ask.words) | told

    def check(self, ask: Ask) -> dict[str, Any]:
        """What holds for repeats written by hand."""
        problem = _problem(ask)
        size = int(number(ask, "group_size", 0)) or None
        found = check(problem, _whole(ask, "repeats"), size)
        rules = [{"name": rule.name, "about": rule.about, "level": rule.level, "text": rule.text.text(ask.words)} for rule in found.rules]
        ratio = None if found.ratio is None else float(found.ratio)
        return {"holds": found.holds, "rules": rules, "total": found.total, "weighted_total": found.weighted_total, "ratio": ratio}

    def batches(self, ask: Ask) -> dict[str, Any]:
        """Batch × accumulation = repeats × pictures, with the steps that the buckets of this set give."""
        opened = self.bench.opened(text(ask, "set"))
        seen = _buckets(opened, ask)
        found = sizes.batches(list(seen.values()), int(number(ask, "limit", 4)), int(number(ask, "steps", 1)), flag(ask, "regularised"))
        pairs = [
            {"batch": one.batch, "accumulation": one.accumulation, "passes": one.passes, "steps": one.steps, "wanted": one.wanted, "reached": one.reached}
            for one in found.pairs
        ]
        told = {"product": found.product, "pictures": found.pictures, "pairs": pairs, "sentences": _texts(sizes.explain(found), ask)}
        return told | {"buckets": [{"bucket": list(bucket), "pictures": n} for bucket, n in sorted(seen.items())]}

    def send(self, ask: Ask) -> dict[str, Any]:
        """What the training form is filled with for this folder, or for the project that was made of it."""
        from lib_lora.pictures import catalog

        opened = self.bench.opened(text(ask, "set"))
        folder = text(ask, "folder", "")
        other = bool(folder) and set_id(self.bench.folder("folder", folder)) != opened.id
        read = catalog.read(self.bench.folder("folder", folder), self.bench.host.paths().roots) if other else opened.catalog
        wish = Wish(text(ask, "trigger", ""), resolution(ask), _whole(ask, "repeats"), _whole(ask, "counts"))
        client = text(ask, "client", "")
        found = send(read, wish, 0 if other or not client else opened.session(client).unsaved())
        return {"config": found.config, "told": _texts(found.told, ask), "warnings": _texts(found.warnings, ask)}


def _problem(ask: Ask) -> Problem:
    groups = ask.body.get("groups", [])
    if not isinstance(groups, list):
        raise ConfigError(say("{name}: {value} is no {type}", name="groups", value=repr(groups)[:200], type="list of numbers"))
    others = _whole(ask, "others")
    return Problem(ask.body["main"], ask.body.get("face", 0), others, tuple(groups), flag(ask, "flip", True), frozenset(texts(ask, "mono")))


def _whole(ask: Ask, name: str) -> Mapping[str, Any]:
    """Numbers by name; what they are is checked where they are used. Classes without pictures may have null."""
    found = ask.body.get(name) or {}
    if not isinstance(found, Mapping) or any(not isinstance(value, int) or isinstance(value, bool) for value in found.values() if value is not None):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(found)[:200], type="object of whole numbers"))
    return {key: value for key, value in found.items() if value is not None}


def _session(opened: Opened, client: str) -> Session | None:
    """What a browser edits, where one asks."""
    return opened.session(client) if client else None


def _buckets(opened: Opened, ask: Ask) -> Counter[tuple[int, int]]:
    """Pictures of each bucket with their repeats: one number for all, or one for each class."""
    repeats: Any = ask.body["repeats"]
    same = repeats if isinstance(repeats, int) and not isinstance(repeats, bool) else None
    by_class = {} if same is not None else _whole(ask, "repeats")
    if same is not None and not 1 <= same <= 1000:
        raise ConfigError(say("{name}: {value} is no whole number from 1 to {most}", name="repeats", value=repr(same), most=1000))
    seen: Counter[tuple[int, int]] = Counter()
    side = resolution(ask) or None
    grouped = {key for group in opened.groups(wait=False).values() for key in group}
    judged = opened.kinds(_session(opened, text(ask, "client", "")))
    for key, picture in opened.pictures.items():
        kind = (judged[key].kind if key in judged else "") or "main"
        place = None if picture.flaw is not None or kind == "discard" else opened.place(key, side)
        if place is not None:
            seen[place.bucket] += same if same is not None else by_class.get(DIFFERENTIAL if key in grouped else kind, 1)
    if not seen:
        raise DataError(say("There are no pictures to make batches of."))
    return seen


def _line(line: Line, ask: Ask) -> dict[str, Any]:
    label = _label(line.name, ask)
    return {"name": line.name, "label": label, "count": line.count, "repeats": line.repeats, "seen": line.seen, "why": line.why.text(ask.words)}


def _label(name: str, ask: Ask) -> str:
    label = class_name(name)
    return label.text(ask.words) if isinstance(label, Message) else label


def _texts(messages: Any, ask: Ask) -> list[str]:
    return [message.text(ask.words) for message in messages]
