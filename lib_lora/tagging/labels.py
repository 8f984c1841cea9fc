"""A tagger's list of tags: names and categories, in the order of the graph's outputs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say

GENERAL, CHARACTER, RATING = "general", "character", "rating"
# The numbers of Danbooru's categories; 9 is WD's own for ratings.
NUMBERED = {"0": GENERAL, "1": "artist", "3": "copyright", "4": CHARACTER, "5": "meta", "9": RATING}


@dataclass(frozen=True)
class Labels:
    """Names and categories by output index."""

    names: tuple[str, ...]
    categories: tuple[str, ...]

    @cached_property
    def of(self) -> Mapping[str, tuple[int, ...]]:
        """Category → the outputs that are of it."""
        found: dict[str, list[int]] = {}
        for index, category in enumerate(self.categories):
            found.setdefault(category, []).append(index)
        return {category: tuple(indices) for category, indices in found.items()}


def read(path: Path) -> Labels:
    """The list in a csv file (WD's layout, its columns looked up by their names) or a tag_mapping.json."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _unusable(path, say("it cannot be opened ({why})", why=error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, say("it is not UTF-8 text")) from error
    return _of_mapping(path, text) if path.suffix.lower() == ".json" else _of_csv(path, text)


def check_width(labels: Labels, outputs: int, path: Path) -> None:
    """A list that does not fit the graph would call every tag by another's name: an error that says so."""
    if len(labels.names) != outputs:
        why = say("it has {rows} tags, but the model gives {outputs}: the two files do not belong together", rows=len(labels.names), outputs=outputs)
        raise _unusable(path, why)


def _of_csv(path: Path, text: str) -> Labels:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    if "name" not in columns:
        raise _unusable(path, say("it has no column “name”"))
    names, categories = [], []
    for row in reader:
        name = (row[columns["name"]] or "").strip()
        if not name:
            raise _unusable(path, say("line {line} names no tag", line=reader.line_num))
        code = (row[columns["category"]] or "").strip() if "category" in columns else "0"
        names.append(name)
        categories.append(NUMBERED.get(code, code.lower() or GENERAL))
    if not names:
        raise _unusable(path, say("it is empty"))
    return Labels(tuple(names), tuple(categories))


def _of_mapping(path: Path, text: str) -> Labels:
    try:
        found = json.loads(text)
        pairs = _pairs(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(path, say("it is no list of tags ({why})", why=str(error))) from error
    if sorted(pairs) != list(range(len(pairs))) or not pairs:
        raise _unusable(path, say("the numbers of its tags have gaps"))
    rows = [pairs[index] for index in range(len(pairs))]
    return Labels(tuple(name for name, _ in rows), tuple(category.lower() for _, category in rows))


def _pairs(found: Any) -> dict[int, tuple[str, str]]:
    """Index → (tag, category), of {"0": {"tag", "category"}} or {"idx_to_tag": {"0": …}, "tag_to_category": {…}}."""
    if "idx_to_tag" in found:
        kinds = found["tag_to_category"]
        return {int(index): (str(tag), str(kinds[tag])) for index, tag in found["idx_to_tag"].items()}
    return {int(index): (str(one["tag"]), str(one["category"])) for index, one in found.items()}


def _unusable(path: Path, why: Message) -> HostError:
    return HostError(say("{file}: this list of tags cannot be used: {why}.", file=str(path), why=why))
