"""Any folder with one graph and one csv in WD's layout: a tagger by the folder's name."""

from __future__ import annotations

from collections.abc import Sequence

from lib_lora.tagging import locate
from lib_lora.tagging.profile import WD
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.start import identified, starting
from lib_lora.tagging.tagger import Around, Tagger


@taggers.add("folder", "Folder", NoOptions, order=2)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """Those that lie in the folders where taggers are looked for."""
    found: dict[str, Tagger] = {}
    for name, pair in locate.folders_with_pairs(around, WD.labels):
        start, identity = starting(pair, WD, around, name), identified(pair, around)
        found.setdefault(name, Tagger(name, name, "folder", start, identity, place=str(pair.model.parent)))
    return list(found.values())
