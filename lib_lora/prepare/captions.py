"""The caption of a picture in the project: its own, the trigger first, told of bars, mirrored where the picture is."""

from __future__ import annotations

from lib_lora.dataset import captions
from lib_lora.dataset.config import CaptionConfig
from lib_lora.pictures.picture import Catalog, Picture
from lib_lora.prepare.flips import swapped
from lib_lora.prepare.plan import Known


def own(picture: Picture, known: Known) -> str | None:
    """What a picture's caption says now, edits that are not saved included; None without one."""
    if picture.key in known.captions:
        return known.captions[picture.key]
    return None if picture.text is None else picture.caption


def concepts(catalog: Catalog) -> dict[str, str]:
    """What trainers read for pictures without a caption: the name of their N_name folder, by the folder's key."""
    return {shelf.key: shelf.concept for shelf in catalog.shelves if shelf.repeats is not None and shelf.concept}


def written(caption: str | None, trigger: str, tag: str, flipped: bool) -> str | None:
    """The caption as the project has it; None where there is nothing to say."""
    text = caption or ""
    if flipped:
        text = _swapped(text, trigger)
    if tag and tag not in (one.casefold() for one in captions.tags(text)):
        text = f"{text.rstrip().rstrip(',')}, {tag}" if text.strip() else tag
    text = captions.with_trigger(text, CaptionConfig(trigger=trigger))
    return text if text or caption is not None else None


def _swapped(text: str, trigger: str) -> str:
    # A trigger word is a name: its letters mean no side.
    names = {name.casefold() for name in captions.tags(trigger)}
    return ",".join(part if part.strip().casefold() in names else swapped(part) for part in text.split(","))
