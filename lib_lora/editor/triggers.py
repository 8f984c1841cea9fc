"""Operations on the trigger word: in front of every caption, or out of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.editor import parts


@dataclass(frozen=True)
class Trigger:
    """Put the trigger first, once, and take the tags in `remove` out in the same step: what they say is then learnt with it."""

    trigger: str
    remove: tuple[str, ...] = ()
    whole: bool = False

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """With the trigger first."""
        del counts
        front = parts.split(self.trigger)
        if not front:
            raise ConfigError(say("Say what the trigger word is."))
        gone = {part.casefold() for part in front} | {part.casefold() for tag in self.remove for part in parts.split(tag)}
        return [self._in_sentence(text, front) if self.whole else self._in_tags(text, front, gone) for text in texts]

    def _in_tags(self, text: str, front: list[str], gone: set[str]) -> str:
        old = parts.split(text)
        return parts.joined(text, old, [*front, *(part for part in old if part.casefold() not in gone)])

    def _in_sentence(self, text: str, front: list[str]) -> str:
        words = ", ".join(front)
        return text if text.casefold().startswith(words.casefold()) else f"{words}, {text}" if text else words

    def said(self) -> Message:
        """For the list of what can be undone."""
        if self.remove:
            return say("Trigger word {trigger} put in for {tags}", trigger=self.trigger, tags=", ".join(self.remove)[:80])
        return say("Trigger word {trigger} put first", trigger=self.trigger)


@dataclass(frozen=True)
class Untrigger:
    """Take the trigger out, wherever it stands."""

    trigger: str

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """Without it."""
        del counts
        gone = {part.casefold() for part in parts.split(self.trigger)}
        return [parts.joined(text, old, [part for part in old if part.casefold() not in gone]) for text in texts for old in [parts.split(text)]]

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Trigger word {trigger} taken out", trigger=self.trigger)
