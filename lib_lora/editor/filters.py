"""Which pictures are shown: by tags, by words, by folder, class, finding, or picked by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.editor import patterns

MODES = ("plain", "prefix", "suffix", "regex")
HERE = "."  # the root itself as a folder; "" is no filter


@dataclass(frozen=True)
class Search:
    """Words to look for. plain: anywhere in the caption or the file's name; prefix, suffix: of a tag; regex: in the caption."""

    text: str = ""
    mode: str = "plain"


@dataclass(frozen=True)
class Facts:
    """What is known of a picture besides its caption: where it lies, its class, and findings such as "grey" or "exact"."""

    folder: str = ""
    kind: str = ""
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Where:
    """A filter. A picture is shown where everything that is set holds.

    `all`, `any`, `none` are tags it must have all of, one of, none of. `keys` are pictures picked by hand; None: any.
    `folder` takes what lies below it too. `changed`: only what is not saved yet.
    """

    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    search: Search = field(default_factory=Search)
    folder: str = ""
    kind: str = ""
    flag: str = ""
    keys: tuple[str, ...] | None = None
    changed: bool = False

    @classmethod
    def read(cls, raw: Any) -> Where:
        """A filter from plain data, as a page sends it; ConfigError names what is wrong."""
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            raise ConfigError(say("{name}: {value} is no {type}", name="where", value=repr(raw)[:200], type="object"))
        known = [one.name for one in fields(cls)]
        unknown = [say("{name}: unknown field; known here: {known}", name=f"where.{name}", known=known) for name in raw if name not in known]
        if unknown:
            raise ConfigError(*unknown)
        keys = raw.get("keys")
        return cls(
            all=_texts(raw, "all"),
            any=_texts(raw, "any"),
            none=_texts(raw, "none"),
            search=_search(raw.get("search")),
            folder=_text(raw, "folder"),
            kind=_text(raw, "kind"),
            flag=_text(raw, "flag"),
            keys=None if keys is None else _texts(raw, "keys"),
            changed=bool(raw.get("changed", False)),
        )


@dataclass(frozen=True)
class Row:
    """A picture as a filter sees it."""

    key: str
    text: str
    tags: Sequence[str]
    changed: bool = False


def select(where: Where, rows: Iterable[Row], facts: Mapping[str, Facts]) -> list[str]:
    """The keys of the rows that a filter shows, in their order."""
    picked = None if where.keys is None else set(where.keys)
    wanted, some, none = frozenset(where.all), frozenset(where.any), frozenset(where.none)
    unknown = Facts()

    def shown(row: Row) -> bool:
        if picked is not None and row.key not in picked:
            return False
        if where.changed and not row.changed:
            return False
        tags = frozenset(row.tags)
        if not wanted <= tags or (some and some.isdisjoint(tags)) or not none.isdisjoint(tags):
            return False
        return _lies(where, facts.get(row.key, unknown), row.key)

    left = [row for row in rows if shown(row)]
    return [row.key for row in _searched(where.search, left)]


def _lies(where: Where, facts: Facts, key: str) -> bool:
    if where.kind and facts.kind != where.kind:
        return False
    if where.flag and where.flag not in facts.flags:
        return False
    if not where.folder:
        return True
    folder = key.rpartition("/")[0]
    return folder == "" if where.folder == HERE else folder == where.folder or folder.startswith(f"{where.folder}/")


def _searched(search: Search, rows: list[Row]) -> list[Row]:
    if not search.text:
        return rows
    if search.mode == "regex":
        found = patterns.search(search.text, [row.text for row in rows])
        return [row for row, hit in zip(rows, found, strict=True) if hit]
    text = search.text.casefold()
    hits: dict[str, Callable[[Row], bool]] = {
        "plain": lambda row: text in row.text.casefold() or text in row.key.casefold(),
        "prefix": lambda row: any(tag.casefold().startswith(text) for tag in row.tags),
        "suffix": lambda row: any(tag.casefold().endswith(text) for tag in row.tags),
    }
    return [row for row in rows if hits[search.mode](row)]


def _search(raw: Any) -> Search:
    if raw is None:
        return Search()
    if not isinstance(raw, Mapping):
        raise ConfigError(say("{name}: {value} is no {type}", name="where.search", value=repr(raw)[:200], type="object"))
    mode = raw.get("mode") or "plain"
    if mode not in MODES:
        raise ConfigError(say("{name}: {value} is none of {choices}", name="where.search.mode", value=repr(mode), choices=MODES))
    return Search(_text(raw, "text"), mode)


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name) or ""
    if not isinstance(value, str):
        raise ConfigError(say("{name}: {value} is no {type}", name=f"where.{name}", value=repr(value)[:200], type="text"))
    return value


def _texts(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = raw.get(name) or ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise ConfigError(say("{name}: {value} is no {type}", name=f"where.{name}", value=repr(value)[:200], type="list of texts"))
    return tuple(value)
