"""Operations on one tag or on the whole order: set, add, remove, move, dedupe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lib_lora.core.messages import Message, say
from lib_lora.editor import parts

Place = Literal["front", "back", "position"]


@dataclass(frozen=True)
class Set:
    """Give a picture this caption: what was typed or dragged. `whole` keeps it as it is; else lines become tags."""

    text: str
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """The same caption for each."""
        del counts
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        new = (" " if self.whole else ", ").join(lines)
        return [new] * len(texts)

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Caption typed: {text}", text=_short(self.text))


@dataclass(frozen=True)
class Add:
    """Put tags in front, at the end or at a position (1 is the first), where they are not there yet."""

    tags: tuple[str, ...]
    place: Place = "front"
    position: int = 1
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """With the tags."""
        del counts
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> str:
        wanted = [tag.strip() for tag in self.tags if tag.strip()] if self.whole else parts.wanted(self.tags)
        # A sentence holds its words, not parts: what to add is looked for in the commas' parts as well.
        there = {part.casefold() for part in [*parts.split(text), *parts.split(text, True)]}
        new = [tag for tag in wanted if tag.casefold() not in there]
        old = parts.split(text, self.whole)
        at = _index(self.place, self.position, len(old))
        return parts.joined(text, old, [*old[:at], *new, *old[at:]])

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Tags added: {tags}", tags=_short(", ".join(self.tags)))


@dataclass(frozen=True)
class Remove:
    """Take tags out. In sentences the very words are taken out, with the space and comma around them."""

    tags: tuple[str, ...]
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """Without the tags."""
        del counts
        if self.whole:
            return [self._from_sentence(text) for text in texts]
        gone = {part for tag in self.tags for part in parts.split(tag)}
        found = []
        for text in texts:
            old = parts.split(text)
            found.append(parts.joined(text, old, [part for part in old if part not in gone]))
        return found

    def _from_sentence(self, text: str) -> str:
        left = text
        for words in filter(None, (tag.strip() for tag in self.tags)):
            left = left.replace(words, "")
        if left == text:
            return text
        left = " ".join(left.split())
        for double, single in ((" ,", ","), (",,", ","), (" .", ".")):
            left = left.replace(double, single)
        return left.strip(" ,")

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Tags removed: {tags}", tags=_short(", ".join(self.tags)))


@dataclass(frozen=True)
class Move:
    """Bring tags to the front, the end or a position, in the captions that have them."""

    tags: tuple[str, ...]
    place: Place = "front"
    position: int = 1

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """In the new order."""
        del counts
        wanted = {part for tag in self.tags for part in parts.split(tag)}
        found = []
        for text in texts:
            old = parts.split(text)
            moved, rest = [part for part in old if part in wanted], [part for part in old if part not in wanted]
            at = _index(self.place, self.position, len(rest))
            found.append(parts.joined(text, old, [*rest[:at], *moved, *rest[at:]]))
        return found

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Tags moved: {tags}", tags=_short(", ".join(self.tags)))


@dataclass(frozen=True)
class Dedupe:
    """Keep each tag once, the first of its kind in any letter case."""

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """Without repeats."""
        del counts
        return [parts.joined(text, old, parts.unique(old)) for text in texts for old in [parts.split(text)]]

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Repeated tags removed")


def _index(place: str, position: int, length: int) -> int:
    return {"front": 0, "back": length}.get(place, min(max(position - 1, 0), length))


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
