"""Captions in work at thousands of pictures: each operation, undo, filters, the list of tags, a save."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Catalog

TAGS, EACH, SEED = 1500, 28, 1
OPERATIONS: tuple[dict[str, Any], ...] = (
    {"kind": "add", "tags": ["trigger"]},
    {"kind": "remove", "tags": ["solo"]},
    {"kind": "replace", "find": r"tag (\d+)", "replacement": r"thing \1", "mode": "regex"},
    {"kind": "replace", "find": "thing", "replacement": "tag", "mode": "text"},
    {"kind": "sort", "by": "frequency"},
    {"kind": "dedupe"},
    {"kind": "truncate", "most": 60},
    {"kind": "normalise"},
    {"kind": "trigger", "trigger": "word", "remove": ["1girl"]},
)


def figures(catalog: Catalog, state: Path) -> Mapping[str, Any]:
    """Seconds, with captions as taggers write them. The pictures' own captions are left alone."""
    from lib_lora.editor import operations
    from lib_lora.editor.filters import Where
    from lib_lora.editor.session import Session
    from lib_lora.editor.table import table
    from lib_lora.editor.tokens import Tokens

    session, tokens = Session(_captioned(catalog, state / "captions"), state / "edits"), Tokens()
    took: dict[str, float] = {}
    for raw in OPERATIONS:
        op = operations.read(raw, tokens.numbers)
        name = f"{raw['kind']} {raw.get('mode', '')}".strip()
        took[name] = max(_seconds(lambda op=op: session.preview(op, session.keys)), _seconds(lambda op=op: session.apply(op, session.keys)))
    slowest = max(took, key=took.__getitem__)
    found = session.find(Where(all=("word",)), {})
    return {
        "caption_operation_s": took[slowest],
        "caption_slowest": slowest,
        "caption_undo_s": max(_seconds(session.undo), _seconds(session.redo)),
        "caption_filter_s": _seconds(lambda: session.find(Where.read({"all": ["word"], "search": {"text": "tag (1|2)", "mode": "regex"}}), {})),
        "caption_table_s": _seconds(lambda: table(session.counts(found), session.counts(), tokens)),
        "caption_save_s": _seconds(session.save),
    }


def _captioned(catalog: Catalog, root: Path) -> Catalog:
    chance = random.Random(SEED)  # noqa: S311 - the same captions every time
    words = [f"tag {n}" for n in range(TAGS)]
    pictures = []
    for n, one in enumerate(catalog.pictures):
        path = root / f"{n:05}.png"
        text = ", ".join(["1girl", "solo", *chance.sample(words, EACH)])
        pictures.append(replace(one, key=path.name, path=path, folder="", text=text, text_flaw=None, shares=""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    return replace(catalog, root=root, pictures=tuple(pictures), shelves=())


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
