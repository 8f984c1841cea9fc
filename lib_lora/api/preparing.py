"""Routes of the dataset page: preparing a project copy: its settings, one picture's preview, the plan, the writing, undo."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, Route, text, texts
from lib_lora.core.errors import ConfigError, NotFound
from lib_lora.core.messages import say
from lib_lora.core.roots import opened_path
from lib_lora.core.settings import json_schema, load, merge
from lib_lora.model import Family
from lib_lora.prepare import outlook, places, planning, project, render
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import DISCARD, FLIP, Copy, Known, Plan
from lib_lora.prepare.tools import Plain, tools_of
from lib_lora.workbench import Opened, Turn, Workbench
from lib_lora.workbench.opened import CLASS

if TYPE_CHECKING:
    from PIL import Image

FACE = "face"  # section of the marks: where a picture's face is, as somebody drew it or a detector found it
SURE = 0.35  # a tag counts from here
SEEN = 512  # px of a preview
LONGEST = 4 * 1024 * 1024
NATIVE = {Family.SD1: 512, Family.SD2: 768, Family.SDXL: 1024}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = Answers(bench)
    asked = {"set": True, "client": False, "settings": True, "target": False, "repeats": False, "names": False, "keys": False}
    return (
        Route("GET", "dataset/prepare/settings", answers.settings),
        Route("POST", "dataset/prepare/plan", answers.plan, asked, longest=LONGEST),
        Route("POST", "dataset/prepare", answers.prepare, asked, longest=LONGEST),
        Route("POST", "dataset/prepare/undo", answers.undo, {"set": True, "client": False, "target": True}),
        Route("POST", "dataset/prepare/preview", answers.preview, {**asked, "key": True}, longest=LONGEST),
        Route("POST", "dataset/prepare/face", answers.face, {"set": True, "client": False, "key": True, "box": True}),
    )


class Answers:
    """What the routes answer, from the workbench."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def settings(self, ask: Ask) -> dict[str, Any]:
        """Every setting of preparing with its words, what fits the loaded model, the upscalers, and a place for the project."""
        opened = self.bench.opened(ask.query.get("set", ""))
        schema, fitting = json_schema(PrepareConfig), self._fitting()
        words = ask.words
        settings = [
            one | {key: words.get(one[key], one[key]) for key in ("label", "help")} | {"default": fitting.get(one["name"], one["default"])}
            for one in schema["settings"]
        ]
        sections = {name: words.get(label, label) for name, label in schema["sections"].items()}
        target = places.proposed(opened.root)
        return {"sections": sections, "settings": settings, "upscalers": list(tools_of(self.bench.host).upscalers()), "target": str(target)}

    def plan(self, ask: Ask) -> dict[str, Any]:
        """What preparing would write, in numbers and sentences; nothing is written."""
        opened = self.bench.opened(text(ask, "set"))
        plan, target = self._plan(ask, opened), self._target(ask, opened)
        return self._document(plan, target, opened, ask)

    def prepare(self, ask: Ask) -> dict[str, Any]:
        """Write or update the project: {"task": id}."""
        opened = self.bench.opened(text(ask, "set"))
        plan, target = self._plan(ask, opened), self._target(ask, opened)
        problems = self._problems(plan, target, opened)
        if problems:
            raise ConfigError(*problems)
        tools, words = tools_of(self.bench.host), ask.words

        def work(turn: Turn) -> Mapping[str, Any]:
            done = project.prepare(opened.catalog, plan, target, tools, turn)
            turn.warn(*done.warnings)
            return {
                "project": str(done.project),
                "cancelled": done.cancelled,
                "pictures": done.made + done.same,
                "sentences": [sentence.text(words) for sentence in done.sentences],
                "folders": [dict(folder) for folder in done.folders],
                "kept": list(done.kept),
                "trigger": plan.config.files.trigger.strip(),
            }

        return {"task": self.bench.tasks.start("prepare", str(target), work), "target": str(target)}

    def undo(self, ask: Ask) -> dict[str, Any]:
        """Take the last prepare back."""
        opened = self.bench.opened(text(ask, "set"))
        target = self._target(ask, opened)
        if self.bench.tasks.running("prepare", str(target)):
            raise ConfigError(say("The project is being written: wait for its end, or cancel it first."))
        done = project.undo(target)
        return {"aside": str(done.aside), "restored": done.restored, "told": done.message.text(ask.words)}

    def preview(self, ask: Ask) -> dict[str, Any]:
        """What one picture becomes: what is cut out of it, the picture afterwards, its captions."""
        opened = self.bench.opened(text(ask, "set"))
        key = text(ask, "key")
        known = replace(self._known(ask, opened), keys=frozenset((key,)), groups=())
        picture = opened.pictures.get(key)
        if picture is None or picture.flaw is not None:
            raise NotFound(say("There is no such picture in this folder any more."))
        # Of a discarded picture too can be seen what would become of it.
        known = replace(known, classes={}, guessed=frozenset(), repeats=known.repeats or {"main": 1})
        plan = planning.make(opened.catalog, self._config(ask), known, tools_of(self.bench.host).upscalers())
        first = next((copy for copy in plan.copies if copy.role != FLIP), None)
        if first is None:
            raise ConfigError(*(plan.problems or (say("This picture is a copy that an earlier preparing made; it is left out."),)))
        return self._previewed(first, plan, ask)

    def face(self, ask: Ask) -> dict[str, Any]:
        """Keep where a picture's face is, in its pixels; null forgets it. `before` is what to send to take that back."""
        opened = self.bench.opened(text(ask, "set"))
        key, box = text(ask, "key"), ask.body["box"]
        picture = opened.pictures.get(key)
        if picture is None:
            raise NotFound(say("There is no such picture in this folder any more."))
        if box is not None and _box(box, picture.size) is None:
            raise ConfigError(say("{name}: {value} is no box inside the picture: left, top, right, bottom", name="box", value=repr(box)[:200]))
        before = opened.marks.change(FACE, {key: None if box is None else [int(edge) for edge in box]})
        return {"before": before[key]}

    def _config(self, ask: Ask) -> PrepareConfig:
        settings = ask.body["settings"]
        if not isinstance(settings, Mapping):
            raise ConfigError(say("{name}: {value} is no {type}", name="settings", value=repr(settings)[:200], type="object"))
        defaults: dict[str, Any] = {}
        for name, value in self._fitting().items():
            section, field = name.split(".")
            defaults.setdefault(section, {})[field] = value
        return load(PrepareConfig, merge(defaults, settings))

    def _fitting(self) -> dict[str, Any]:
        """Sizes that fit the loaded model."""
        facts = self.bench.host.facts()
        native = NATIVE[facts.family] if facts else 512
        area = native * 5 // 4
        fitting = {"size": [native, native], "side": native, "low": native * 3 // 4, "high": native * 3 // 2, "area_high": area}
        return {**{f"shape.{name}": value for name, value in fitting.items()}, "enlarge.below": native}

    def _plan(self, ask: Ask, opened: Opened) -> Plan:
        return planning.make(opened.catalog, self._config(ask), self._known(ask, opened), tools_of(self.bench.host).upscalers())

    def _known(self, ask: Ask, opened: Opened) -> Known:
        session = opened.session(text(ask, "client")) if ask.body.get("client") else None
        keys, pictures = texts(ask, "keys"), opened.pictures
        seen, kin = opened.analyst.seen(), opened.kin(wait=False)
        classes = {key: judged.kind for key, judged in opened.kinds(session).items()}
        by_hand = opened.marks.section(CLASS)
        return Known(
            captions={key: session.text(key) for key in pictures if session.has_caption(key)} if session else {},
            classes=classes,
            guessed=frozenset(key for key, kind in classes.items() if kind == DISCARD and key not in by_hand),
            groups=tuple(opened.groups(wait=False).values()),
            faces={key: box for key, found in _faces(opened).items() if key in pictures and (box := _box(found, pictures[key].size))},
            bars={key: tuple(found.bars) for key, found in seen.items() if any(found.bars)},
            tags={key: frozenset(tag for tag, score in opened.scores(key).items() if score >= SURE) for key in pictures},
            mirrored=dict(kin.flip),
            exact=dict(kin.exact),
            repeats=_table(ask, "repeats", int),
            names=_table(ask, "names", str),
            keys=frozenset(keys) if keys else None,
            edited=session.unsaved() if session else 0,
            settled=opened.settled or not pictures,
        )

    def _target(self, ask: Ask, opened: Opened) -> Path:
        named = text(ask, "target", "").strip() or str(places.proposed(opened.root))
        return opened_path("target", named, self.bench.host.paths().roots)

    def _problems(self, plan: Plan, target: Path, opened: Opened) -> list[Any]:
        return [*plan.problems, *places.problems(opened.root, target), *places.room(target, plan.bytes)]

    def _document(self, plan: Plan, target: Path, opened: Opened, ask: Ask) -> dict[str, Any]:
        problems = self._problems(plan, target, opened)
        found = outlook.outlook(plan, target) if not problems else outlook.Outlook(made=len(plan.copies))
        return {
            "target": str(target),
            "ready": not problems,
            "update": found.exists,
            "numbers": dict(plan.numbers),
            "bytes": plan.bytes,
            "folders": [asdict(folder) for folder in plan.folders],
            "sentences": [sentence.text(ask.words) for sentence in (*plan.sentences, *found.sentences())],
            "warnings": [sentence.text(ask.words) for sentence in plan.warnings],
            "problems": [problem.text(ask.words) for problem in problems],
        }

    def _previewed(self, copy: Copy, plan: Plan, ask: Ask) -> dict[str, Any]:
        from lib_lora.dataset import images

        config = replace(plan.config, enlarge=replace(plan.config.enlarge, upscaler=""))
        image = images.open_picture(copy.source)
        shaped, box = render.shape(image, replace(copy, size=image.size), config, Plain(), lambda: True)
        flip = next((other for other in plan.copies if other.role == FLIP), None)
        return {
            "key": copy.key,
            "size": list(image.size),
            "box": list(box),
            "face": list(copy.face) if copy.face else None,
            "drawn": copy.key in self.bench.opened(text(ask, "set")).marks.section(FACE),
            "result": list(copy.shape.canvas),
            "made": copy.made,
            "follows": copy.shape.follows,
            "enlarged": copy.shape.enlarges,
            "tag": copy.shape.tag,
            "picture": _address(shaped),
            "caption": copy.caption,
            "flip": {"caption": flip.caption} if flip else None,
            "warnings": [sentence.text(ask.words) for sentence in plan.warnings],
        }


def _faces(opened: Opened) -> dict[str, Any]:
    """The largest face a detector found in each picture, and over it the one that somebody drew."""
    found = {key: max((face.box for face in faces), key=lambda box: box[3] - box[1]) for key, faces in opened.analyst.faces().items() if faces}
    return {**found, **opened.marks.section(FACE)}


def _box(raw: Any, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """A box of whole pixels inside a picture; None for anything else."""
    if (
        not isinstance(raw, (list, tuple))
        or len(raw) != 4
        or not all(isinstance(edge, (int, float)) and not isinstance(edge, bool) and math.isfinite(edge) for edge in raw)
    ):
        return None
    left, top, right, bottom = math.floor(raw[0]), math.floor(raw[1]), math.ceil(raw[2]), math.ceil(raw[3])
    return (left, top, right, bottom) if 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1] else None


def _table(ask: Ask, name: str, kind: type) -> dict[str, Any]:
    found = ask.body.get(name) or {}
    if not isinstance(found, Mapping) or not all(isinstance(value, kind) and not isinstance(value, bool) for value in found.values()):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(found)[:200], type="object"))
    return dict(found)


def _address(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((SEEN, SEEN))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
