"""BLIP, where the program around us has it: it writes a sentence in place of tags."""

from __future__ import annotations

from collections.abc import Sequence

from lib_lora.tagging import hosted
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.tagger import Around, Tagger


@taggers.add("blip", "BLIP", NoOptions, order=6)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """The host's."""
    return hosted.listed(around, "blip")
