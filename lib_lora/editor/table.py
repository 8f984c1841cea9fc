"""The frequency table: tags with in how many pictures they stand, and how many tokens each takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.editor import patterns
from lib_lora.editor.filters import MODES, Search
from lib_lora.editor.tokens import Tokens

SORTS = ("frequency", "alphabet", "length", "tokens")


@dataclass(frozen=True)
class Line:
    """A tag: how many of the shown pictures have it, how many of the whole set, and its tokens."""

    tag: str
    shown: int
    all: int
    tokens: int


@dataclass(frozen=True)
class Table:
    """One page of lines, how many there are, and whether the tokens are counted or estimated."""

    lines: tuple[Line, ...]
    total: int
    exact: bool


def table(
    shown: Mapping[str, int],
    counts: Mapping[str, int],
    tokens: Tokens,
    search: Search = Search(),
    sort: str = "frequency",
    descending: bool = True,
    top: Collection[str] = (),
    page: tuple[int, int] = (0, 200),
) -> Table:
    """Tags of the shown pictures that a search finds, in order. Those in `top` stand first, even where nothing shows them."""
    if sort not in SORTS:
        raise ConfigError(say("{name}: {value} is none of {choices}", name="sort", value=repr(sort), choices=SORTS))
    found = _searched(search, list(shown))
    numbers, exact = tokens.of(found) if sort == "tokens" else ([], False)
    length = dict(zip(found, numbers, strict=False))
    keys: dict[str, Callable[[str], int]] = {"frequency": lambda tag: shown[tag], "length": len, "tokens": lambda tag: length[tag]}
    ordered = sorted(found, key=lambda tag: (tag.casefold(), tag), reverse=sort == "alphabet" and descending)
    if sort in keys:
        ordered.sort(key=keys[sort], reverse=descending)
    first = [tag for tag in dict.fromkeys(top) if tag in counts or tag in shown]
    taken = set(first)
    rest = [tag for tag in ordered if tag not in taken]
    offset, limit = page
    chosen = [*first, *rest[offset : offset + limit]] if offset == 0 else rest[offset : offset + limit]
    numbers, exact = tokens.of(chosen)
    lines = tuple(Line(tag, shown.get(tag, 0), counts.get(tag, 0), n) for tag, n in zip(chosen, numbers, strict=True))
    return Table(lines, len(first) + len(rest), exact)


def _searched(search: Search, tags: list[str]) -> list[str]:
    if not search.text:
        return tags
    if search.mode == "regex":
        return [tag for tag, hit in zip(tags, patterns.search(search.text, tags), strict=True) if hit]
    text = search.text.casefold()
    hits: dict[str, Callable[[str], bool]] = {
        "plain": lambda tag: text in tag.casefold(),
        "prefix": lambda tag: tag.casefold().startswith(text),
        "suffix": lambda tag: tag.casefold().endswith(text),
    }
    assert search.mode in MODES
    return [tag for tag in tags if hits[search.mode](tag)]
