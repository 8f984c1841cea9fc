"""What the user wants of captions: which tags are kept, left out, replaced, and what stands around them.

The order in which it happens is fixed: categories and thresholds, keep and exclude (raw names), replace, expand,
underscores, no tag twice; then the order of the caption.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.dataset import captions
from lib_lora.editor import patterns
from lib_lora.pictures import spelling
from lib_lora.tagging.labels import CHARACTER, GENERAL, Labels

ARROW = re.compile(r"\s*(?:->|→)\s*")
SERIES = re.compile(r"(.+)_\(([^()]+)\)")


@dataclass(frozen=True)
class Rules:
    """`keep`, `exclude` and the left sides of `replace` ("old -> new") are raw names or /expressions/ of whole names.

    `categories` are those that are written. `first` and `last` are written for every picture, the trigger not where a
    picture belongs to the regularisation set.
    """

    trigger: str = ""
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    categories: tuple[str, ...] = (CHARACTER, GENERAL)
    expand: bool = False
    underscores: bool = False
    rating: bool = False


@dataclass(frozen=True)
class Ready:
    """Rules applied to a list of tags: what each output becomes, and which are kept whatever their probability."""

    written: tuple[tuple[str, ...], ...]
    kept: frozenset[int]


@lru_cache(maxsize=8)
def ready(rules: Rules, labels: Labels) -> Ready:
    """Work the rules out for every tag there is. ConfigError for what cannot be understood."""
    names = labels.names
    gone = _fitting(rules.exclude, names)
    replaced = _replaced(rules.replace, names)
    found = []
    for at, (name, category) in enumerate(zip(names, labels.categories, strict=True)):
        parts = captions.tags(replaced.get(at, name)) if at not in gone else []
        if rules.expand and category == CHARACTER:
            parts = [part for one in parts for part in expanded(one)]
        found.append(tuple(part if rules.underscores else spelling.plain(part) for part in parts))
    return Ready(tuple(found), frozenset(_fitting(rules.keep, names)))


def expanded(name: str) -> list[str]:
    """name_(costume)_(series) → name_(costume), series."""
    found = SERIES.fullmatch(name)
    return [found.group(1), found.group(2)] if found else [name]


def unique(tags: Iterable[str]) -> list[str]:
    """Each tag once, the first of those that differ in spelling only."""
    found: dict[str, str] = {}
    for tag in tags:
        plain = tag.strip()
        if plain:
            found.setdefault(spelled(plain), plain)
    return list(found.values())


def without(tags: Iterable[str], gone: Iterable[str]) -> list[str]:
    """The tags but those, however they are spelt."""
    names = {spelled(tag) for tag in gone}
    return [tag for tag in tags if spelled(tag) not in names]


@lru_cache(maxsize=65536)
def spelled(tag: str) -> str:
    """What all spellings of a tag have in common."""
    return spelling.comparable(tag.strip())


def _fitting(entries: Sequence[str], names: Sequence[str]) -> set[int]:
    plain, expressions = _sorted_out(entries)
    found = {at for at, name in enumerate(names) if plain and spelled(name) in plain}
    for expression in expressions:
        found |= {at for at, hit in enumerate(patterns.search(rf"\A(?:{expression})\Z", names)) if hit}
    return found


def _replaced(entries: Sequence[str], names: Sequence[str]) -> Mapping[int, str]:
    """Index → the new text, by the first entry that fits."""
    found: dict[int, str] = {}
    for entry in entries:
        parts = ARROW.split(entry, maxsplit=1)
        if len(parts) != 2:
            raise ConfigError(say("Replace: “{entry}” has no arrow. Write: old -> new", entry=entry))
        old, new = parts
        left = [at for at in range(len(names)) if at not in found]
        expression = _expression(old)
        if expression is None:
            found.update({at: new for at in left if spelled(names[at]) == spelled(old)})
            continue
        hits = patterns.search(expression, [names[at] for at in left])
        hit = [at for at, is_hit in zip(left, hits, strict=True) if is_hit]
        # Letter case is ignored as it is when looking.
        found.update(zip(hit, patterns.substitute(expression, new, [names[at] for at in hit], ignore_case=True), strict=True))
    return found


def _sorted_out(entries: Sequence[str]) -> tuple[set[str], list[str]]:
    expressions = [(entry, _expression(entry)) for entry in entries]
    for _, expression in expressions:
        if expression is not None:
            patterns.check(expression)
    return {spelled(entry) for entry, expression in expressions if expression is None}, [one for _, one in expressions if one is not None]


def _expression(entry: str) -> str | None:
    """The regular expression of an entry written /…/; None where it is a plain name."""
    text = entry.strip()
    return text[1:-1] if len(text) > 2 and text.startswith("/") and text.endswith("/") else None
