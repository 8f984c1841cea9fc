"""What an operation does to captions: told before it happens, done, and taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lib_lora.core.messages import Message, count
from lib_lora.editor import parts

EXAMPLES = 5


class Operation(Protocol):
    """Something that can be done to captions."""

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """The captions as they will be, in the same order. `counts`: how many pictures of the set have each tag."""
        ...

    def said(self) -> Message:
        """What it does, for the list of what can be undone."""
        ...


@dataclass(frozen=True)
class Edit:
    """One caption before and after. `file` is its path from the root with "/"; None: there is no caption file."""

    file: str
    before: str | None
    after: str | None

    def reversed(self) -> Edit:
        """The way back."""
        return Edit(self.file, self.after, self.before)


@dataclass(frozen=True)
class Change:
    """What is done to captions at once. `of` is how many caption files were looked at, `left_out` says which were not."""

    what: Message
    edits: tuple[Edit, ...] = ()
    of: int = 0
    left_out: tuple[Message, ...] = ()

    @property
    def sentence(self) -> Message:
        """How much it changes."""
        return count(self.of, "Changes {changed} of 1 caption", "Changes {changed} of {n} captions", changed=len(self.edits))

    def examples(self, most: int = EXAMPLES) -> tuple[Edit, ...]:
        """Some of the captions before and after, each kind of change once where there are many."""
        different: dict[tuple[frozenset[str], frozenset[str]], Edit] = {}
        for edit in self.edits:
            old, new = frozenset(parts.split(edit.before or "")), frozenset(parts.split(edit.after or ""))
            different.setdefault((old - new, new - old), edit)
            if len(different) == most:
                break
        chosen = list(different.values())
        return tuple(chosen + [edit for edit in self.edits if edit not in chosen][: most - len(chosen)])

    def moved(self) -> tuple[Counter[str], Counter[str]]:
        """Tags that go and tags that come, with in how many captions."""
        gone: Counter[str] = Counter()
        come: Counter[str] = Counter()
        for edit in self.edits:
            old, new = set(parts.split(edit.before or "")), set(parts.split(edit.after or ""))
            gone.update(old - new)
            come.update(new - old)
        return gone, come
