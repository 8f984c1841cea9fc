"""Captions as text encoders should read them: no escapes, spaces for underscores, ordinary commas, nothing empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_lora.core.messages import Message, say
from lib_lora.editor import parts
from lib_lora.pictures import spelling


@dataclass(frozen=True)
class Normalise:
    """Spell tags as captions do, drop empty ones and needless spaces.

    `keep` are tags that stay as they are: a trigger may well have an underscore. `lower` makes small letters. With `whole`
    only the backslashes and the spaces of a sentence are seen to.
    """

    lower: bool = False
    keep: tuple[str, ...] = ()
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """Made plain."""
        del counts
        if self.whole:
            return [" ".join(spelling.unescaped(text).split()) for text in texts]
        keep = frozenset(part.casefold() for tag in self.keep for part in parts.split(tag))
        made = [spelling.plain_caption(" ".join(text.split()), keep) for text in texts]
        return [self._lower(text, keep) for text in made] if self.lower else made

    def _lower(self, text: str, keep: frozenset[str]) -> str:
        return ", ".join(tag if tag.casefold() in keep else tag.lower() for tag in parts.split(text))

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Captions made plain")
