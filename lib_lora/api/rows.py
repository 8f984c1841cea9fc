"""An open folder → what the gallery shows of it: one page of rows, and how many of everything there are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.workbench import Opened, copies
from lib_lora.workbench.flags import counted
from lib_lora.workbench.opened import CLASS, UNKNOWN

if TYPE_CHECKING:
    from lib_lora.editor.filters import Facts, Where
    from lib_lora.editor.session import Session
    from lib_lora.editor.tokens import Tokens
    from lib_lora.pictures.picture import Picture

SORTS = ("name", "folder", "changed", "size", "lost", "tokens", "kind")
ORDER = ("face", "main", "full", "discard", UNKNOWN)
Words = Mapping[str, str]


class Rows:
    """The rows of one folder as one browser sees them."""

    def __init__(self, opened: Opened, session: Session, tokens: Tokens) -> None:
        self.opened = opened
        self.session = session
        self.pictures = opened.pictures
        self.tokens = tokens
        self.side = opened.side(session)
        self.flags = opened.flags(session=session)
        self.kinds = opened.kinds(session)
        self.faces = opened.analyst.faces()
        self.facts: Mapping[str, Facts] = opened.facts(session=session)
        self.groups = {key: (name, members) for name, members in opened.groups(wait=False).items() for key in members}

    def found(self, where: Where, sort: str, descending: bool) -> list[str]:
        """The keys that a filter shows, in order. Equal ones stay in the order of their names."""
        if sort not in SORTS:
            raise ConfigError(say("{name}: {value} is none of {choices}", name="sort", value=repr(sort), choices=SORTS))
        # A picture that came or went while this was asked for is there the next time.
        keys = sorted((key for key in self.session.find(where, self.facts) if key in self.pictures and key in self.facts), key=natural)
        return keys[::-1] if descending and sort == "folder" else sorted(keys, key=self._rank(sort, keys), reverse=descending)

    def page(self, keys: Sequence[str], words: Words) -> list[dict[str, Any]]:
        """Their rows."""
        tokens = self.tokens.numbers([self.session.text(key) for key in keys])
        return [self.row(self.pictures[key], words) | {"tokens": n} for key, n in zip(keys, tokens, strict=True)]

    def counts(self) -> dict[str, Any]:
        """How many pictures there are of each class, folder and mark, whatever is shown."""
        shelves = [{"key": one.key, "repeats": one.repeats, "concept": one.concept, "count": one.count} for one in self.opened.catalog.shelves]
        kinds = Counter(facts.kind for facts in self.facts.values())
        return {"kinds": {kind: kinds[kind] for kind in ORDER}, "folders": shelves, "flags": counted(self.flags), "images": len(self.pictures)}

    def row(self, picture: Picture, words: Words) -> dict[str, Any]:
        """One picture as plain data."""
        key, opened = picture.key, self.opened
        place, judged = opened.place(key, self.side), self.kinds[key]
        by_hand = key in opened.marks.section(CLASS)
        kin = opened.kin(wait=False)
        seen, group = opened.analyst.seen().get(key), self.groups.get(key)
        return {
            "key": key,
            "name": picture.path.name,
            "folder": picture.folder,
            "size": list(picture.size),
            "caption": self.session.text(key),
            "tags": self.session.tags(key),
            "changed": self.session.changed(key),
            "kind": {"name": judged.kind, "confidence": round(judged.confidence, 2), "why": judged.why.text(words), "by": "hand" if by_hand else "tags"},
            "bucket": list(place.bucket) if place else None,
            "box": [round(edge, 1) for edge in place.box] if place else None,
            "lost": round(place.lost, 4) if place else None,
            "upscale": round(place.upscale, 3) if place else None,
            "bars": list(seen.bars) if seen is not None and any(seen.bars) else None,
            "faces": [[round(edge) for edge in face.box] for face in self.faces.get(key, ())],
            "flags": [{"kind": flag.kind, "text": flag.text.text(words)} for flag in self.flags.get(key, ())],
            "group": {"name": group[0], "keys": list(group[1])} if group else None,
            "others": list(dict.fromkeys([*kin.exact.get(key, ()), *kin.near.get(key, ()), *kin.flip.get(key, ())])),
            "copies": self._copies(key),
            "flaw": picture.flaw.text(words) if picture.flaw else "",
            **addresses(opened, picture),
        }

    def _copies(self, key: str) -> list[dict[str, Any]]:
        """This picture and those that show the same, with what speaks for each; the best one first."""
        kin = self.opened.kin(wait=False)
        left = {one for one in (key, *kin.exact.get(key, ()), *kin.near.get(key, ())) if one in self.pictures}
        found = []
        while len(left) > 1 or (left and found):
            one = copies.best(left, self.pictures, lambda each: bool(self.session.text(each)), self.opened.marks.section(CLASS))
            found.append({"key": one, "size": list(self.pictures[one].size), "caption": bool(self.session.text(one))})
            left.remove(one)
        return found

    def _rank(self, sort: str, keys: Sequence[str]) -> Callable[[str], Any]:
        pictures, opened = self.pictures, self.opened
        lengths = dict(zip(keys, self.tokens.numbers([self.session.text(key) for key in keys]), strict=True)) if sort == "tokens" else {}
        ranks: dict[str, Callable[[str], Any]] = {
            "name": lambda key: natural(pictures[key].path.name),
            "folder": natural,
            "changed": lambda key: (not self.session.changed(key), -pictures[key].mark[1]),
            "size": lambda key: pictures[key].size[0] * pictures[key].size[1],
            "lost": lambda key: -_lost(opened, key, self.side),
            "tokens": lambda key: -lengths[key],
            # The least sure first: these are the ones to look at.
            "kind": lambda key: (ORDER.index(self.facts[key].kind), self.kinds[key].confidence),
        }
        return ranks[sort]


def addresses(opened: Opened, picture: Picture) -> dict[str, str]:
    """Where a picture's small and large copy are, under the routes' base. `v` changes with the file, so that they may be kept for ever."""
    if picture.flaw is not None:
        return {"thumb": "", "picture": ""}
    query = urlencode({"set": opened.id, "key": picture.key, "v": f"{picture.mark[1]:x}{picture.mark[0]:x}"})
    return {"thumb": f"dataset/thumb?{query}", "picture": f"dataset/picture?{query}"}


@lru_cache(maxsize=50_000)
def natural(text: str) -> tuple[Any, ...]:
    """An order in which 2 comes before 10."""
    parts = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text.casefold()) if part)
    return parts, text


def _lost(opened: Opened, key: str, side: int) -> float:
    place = opened.place(key, side)
    return place.lost if place else 1.0
