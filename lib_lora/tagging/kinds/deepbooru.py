"""DeepBooru, where the program around us has it."""

from __future__ import annotations

from collections.abc import Sequence

from lib_lora.tagging import hosted
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.tagger import Around, Tagger


@taggers.add("deepbooru", "DeepBooru", NoOptions, order=5)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """The host's."""
    return hosted.listed(around, "deepbooru")
