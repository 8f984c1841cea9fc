"""Caption text → the text of one training step: trigger first, kept tags, shuffled tags."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lib_lora.dataset.config import CaptionConfig

if TYPE_CHECKING:
    from lib_lora.dataset.scan import Item


def tags(text: str) -> list[str]:
    """The parts between commas without the space around them; empty ones (a comma at the end) are none."""
    return [tag for tag in (part.strip() for part in text.split(",")) if tag]


def lines(text: str) -> list[str]:
    """The lines of a caption file, trimmed. The caption is the first, as sd-scripts reads it; further ones are notes."""
    return [line.strip() for line in re.split(r"\r\n|\r|\n", text)]


def first_text(item: Item, config: CaptionConfig) -> str:
    """The item's caption with the trigger in its place and nothing shuffled: what a preview or a card shows."""
    return with_trigger(item.caption, config)


def draw(caption: str, config: CaptionConfig, rng: random.Random) -> str:
    """The text of one step. Only the first line counts.

    The trigger stands first and once: where the caption holds it as a tag it is moved, where the caption begins with it
    nothing is added. Without shuffling the rest stays letter for letter; with it, tags after the kept ones are mixed
    with `rng` and all joined by ", ", as sd-scripts does. The trigger's own tags are always kept.
    """
    text = with_trigger(lines(caption)[0], config)
    if not config.shuffle:
        return text
    parts = tags(text)
    keep = max(config.keep_tokens, len(tags(config.trigger)))
    loose = parts[keep:]
    rng.shuffle(loose)
    return ", ".join(parts[:keep] + loose)


def with_trigger(caption: str, config: CaptionConfig) -> str:
    """A caption with the trigger first and once, the rest in its order."""
    front = tags(config.trigger)
    if not front:
        return caption
    parts = tags(caption)
    begins = _begins(parts, front)
    head, rest = (parts[: len(front)], parts[len(front) :]) if begins else (front, parts)
    others = _without(rest, front)
    if len(others) < len(rest):
        return ", ".join(head + others)
    return caption if begins else ", ".join([*front, caption] if parts else front)


def _begins(parts: list[str], front: list[str]) -> bool:
    # "ohwx man in a hat" begins with the trigger ohwx as much as "ohwx, man" does; "ohwxy" does not.
    return re.match(re.escape(", ".join(front)) + r"(?!\w)", ", ".join(parts), re.IGNORECASE) is not None


def _without(parts: Iterable[str], front: list[str]) -> list[str]:
    # Text encoders read lower case, so that a tag differing in case only is the same tag.
    gone = {tag.casefold() for tag in front}
    return [part for part in parts if part.casefold() not in gone]
