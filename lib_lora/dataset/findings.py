"""What is found wrong in a folder, by kind, so that a long list stays readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib_lora.core.messages import Message, count, say

# Of one kind so many are told one by one; who mends those has understood the rest.
SHOWN = 20
NAMED = 5


@dataclass
class Findings:
    """Messages by kind; grows while a folder is read."""

    kinds: dict[str, list[Message]] = field(default_factory=dict)

    def add(self, kind: str, message: Message) -> None:
        """One more of a kind."""
        self.kinds.setdefault(kind, []).append(message)

    def capped(self) -> tuple[Message, ...]:
        """All messages, of every kind the first ones and how many more there are."""
        return tuple(message for kind in self.kinds.values() for message in _capped(kind))


@dataclass
class Report:
    """Problems and warnings about what lies in `root`; grows while it is read."""

    root: Path
    problems: Findings = field(default_factory=Findings)
    warnings: Findings = field(default_factory=Findings)

    def name(self, path: Path) -> str:
        """A path as a message shows it: seen from the root."""
        shown = path if path == self.root else path.relative_to(self.root)
        # A file name that is no valid text in this system's encoding must still be printable.
        return str(shown).encode("utf-8", "backslashreplace").decode("utf-8")

    def names(self, paths: Sequence[Path]) -> list[str | Message]:
        """The first of many paths and how many more there are, for a message that counts them."""
        more = len(paths) - NAMED
        shown: list[str | Message] = [self.name(path) for path in (paths if more <= 1 else paths[:NAMED])]
        return shown if more <= 1 else [*shown, say("… and {n} more", n=more)]

    def animated(self, moving: Sequence[Path]) -> None:
        """Warn of pictures that move."""
        if moving:
            message = count(
                len(moving),
                "1 picture is animated, its first frame is used: {names}",
                "{n} pictures are animated, their first frames are used: {names}",
                names=self.names(moving),
            )
            self.warnings.add("animated", message)


def _capped(messages: list[Message]) -> list[Message]:
    more = len(messages) - SHOWN
    return messages if more <= 1 else [*messages[:SHOWN], say("… and {n} more of this kind", n=more)]
