"""A caption and its parts: tags between commas, or, where commas belong to sentences, the caption as one part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lib_lora.dataset import captions


def split(text: str, whole: bool = False) -> list[str]:
    """The parts of a caption. `whole` takes it as one part and never splits at a comma."""
    if whole:
        return [text.strip()] if text.strip() else []
    return captions.tags(text)


def joined(text: str, before: Sequence[str], after: Sequence[str]) -> str:
    """`text`, whose parts were `before`, with the parts `after`: letter for letter as it was where no part changed."""
    return text if list(before) == list(after) else ", ".join(after)


def unique(parts: Iterable[str]) -> list[str]:
    """The parts without those that came before in any letter case: text encoders read lower case."""
    seen: dict[str, str] = {}
    for part in parts:
        seen.setdefault(part.casefold(), part)
    return list(seen.values())


def wanted(tags: Iterable[str]) -> list[str]:
    """Tags as somebody typed or picked them: split at commas, trimmed, each once."""
    return unique(part for tag in tags for part in captions.tags(tag))
