"""Sentences a user reads: an English template is the key, a dictionary of words gives the other languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

LOCALIZATIONS = Path(__file__).resolve().parents[2] / "localizations"
ENGLISH: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Message:
    """A template with its values; becomes text only where it is shown, in that reader's language."""

    template: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self, words: Mapping[str, str] = ENGLISH) -> str:
        """The sentence in the language of `words` (template → translated template); English where it has none."""
        values = {name: _shown(value, words) for name, value in self.params.items()}
        return words.get(self.template, self.template).format(**values)

    def __str__(self) -> str:
        return self.text()


def say(template: str, **params: Any) -> Message:
    """Build a Message. `template` must be a literal: a test looks every one up in each language."""
    return Message(template, params)


def count(n: int, one: str, many: str, **params: Any) -> Message:
    """A Message for a number: `one` when n is 1, else `many`; both are literal templates and may use {n}."""
    return Message(one if n == 1 else many, {"n": n, **params})


@lru_cache(maxsize=8)
def words(language: str) -> Mapping[str, str]:
    """The dictionary of a language ("zh_CN"); empty for English and for languages there is no file for."""
    name = language.replace("-", "_")
    if not name.replace("_", "").isalnum():
        return ENGLISH
    path = LOCALIZATIONS / f"{name}.json"
    if not path.is_file():
        return ENGLISH
    return MappingProxyType(json.loads(path.read_text(encoding="utf-8")))


def language_of(wanted: str) -> str:
    """The language we have for what a browser or host asks: any Chinese reads zh_CN, everybody else English."""
    return "zh_CN" if wanted.lower().startswith("zh") else "en"


def _shown(value: Any, language: Mapping[str, str]) -> Any:
    if isinstance(value, Message):
        return value.text(language)
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_shown(part, language)) for part in value)
    return value
