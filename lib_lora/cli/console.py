"""What a command says: one document on stdout, or lines for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TextIO

from lib_lora.core.messages import Message, language_of, words


@dataclass(frozen=True)
class Found:
    """A command's result: the document (None where it was shown already), the same in lines, and the exit code."""

    document: Any = None
    lines: tuple[str, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Console:
    """The streams of a command. With `json`, stdout carries the document and nothing else."""

    json: bool
    words: Mapping[str, str]
    out: TextIO
    err: TextIO

    @classmethod
    def of(cls, argv: Sequence[str]) -> Console:
        """From the arguments as typed, so that a wrong argument is answered in the way that was asked for, too."""
        language = next((after for option, after in pairwise(argv) if option == "--lang"), "")
        language = next((option.partition("=")[2] for option in argv if option.startswith("--lang=")), language)
        return cls("--json" in argv, words(language_of(language)), sys.stdout, sys.stderr)

    def text(self, message: Message) -> str:
        """A sentence in the console's language."""
        return message.text(self.words)

    def tell(self, line: str, passing: bool = False) -> None:
        """Say how far it is. A `passing` line is overwritten by the next one where that is a terminal."""
        stream = self.err if self.json else self.out
        if stream.isatty():
            stream.write(f"\r\033[K{line}" + ("" if passing else "\n"))
        else:
            stream.write(f"{line}\n")
        stream.flush()

    def note(self, line: str) -> None:
        """Say something beside the result: always on stderr."""
        self.err.write(f"{line}\n")
        self.err.flush()

    def show(self, found: Found) -> None:
        """The result."""
        if self.json and found.document is None:
            return
        if self.json:
            self.out.write(json.dumps(found.document, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
        else:
            stream = self.err if found.exit_code else self.out
            stream.write("".join(f"{line}\n" for line in found.lines))
            stream.flush()
        self.out.flush()

    def fail(self, sentence: str) -> None:
        """What went wrong: the document itself, or a line on stderr."""
        if self.json:
            self.show(Found({"error": sentence}))
        else:
            self.err.write(f"{sentence}\n")
            self.err.flush()


def lines_of(document: Any, indent: str = "") -> tuple[str, ...]:
    """Plain nested data as indented lines; what is empty has none."""
    if isinstance(document, Mapping):
        return tuple(line for key, value in document.items() if value not in (None, "", [], {}) for line in _entry(f"{key}:", value, indent))
    if isinstance(document, list):
        return tuple(line for value in document for line in _entry("-", value, indent))
    return (f"{indent}{document}",)


def _entry(head: str, value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, (Mapping, list)) and not _is_short(value):
        return (f"{indent}{head}", *lines_of(value, indent + "  "))
    return (f"{indent}{head} {_shown(value)}",)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _is_short(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 8 and not any(isinstance(part, (Mapping, list)) for part in value)
