"""cl_tagger: channels first, values around 0, logits, and a tag_mapping.json in place of the csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib_lora.tagging import locate
from lib_lora.tagging.profile import CL
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.start import starting
from lib_lora.tagging.tagger import Around, Pair, Tagger, Wanted

REPO = "cella110n/cl_tagger"
NAME = "cl_tagger"
VERSION = "cl_tagger_1_02"  # the sub-folder of the repository
MODELS = ("model.onnx", "model_optimized.onnx")


@taggers.add("cl_tagger", "cl_tagger", NoOptions, order=1)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """Each version that is there under its folder's name; without any, what would have to be put where."""
    found: dict[str, Tagger] = {}
    for name, pair in _versions(around):
        found.setdefault(name, Tagger(name, name, "cl_tagger", starting(pair, CL, around, name), place=str(pair.model.parent)))
    if found:
        return list(found.values())
    files = [Wanted(file, locate.url(REPO, f"{VERSION}/{file}", around)) for file in ("model.onnx", "tag_mapping.json")]
    missing = locate.missing(NAME, files, around)
    return [Tagger(NAME, NAME, "cl_tagger", starting(None, CL, around, NAME, missing), missing)]


def _versions(around: Around) -> list[tuple[str, Pair]]:
    found = []
    pair = locate.find(REPO, CL.labels, around, MODELS)
    if pair:
        found.append((NAME, pair))
    for base in (*around.given, *around.folders, *(hub / "models--cella110n--cl_tagger" / "snapshots" for hub in around.hubs)):
        for folder in (base, *_inside(base), *_inside(base / NAME)):
            pair = locate.pair_in(folder, CL.labels, MODELS)
            if pair and pair not in [one for _, one in found]:
                found.append((folder.name, pair))
            for inner in _inside(folder) if base.name == "snapshots" else ():
                pair = locate.pair_in(inner, CL.labels, MODELS)
                if pair and pair not in [one for _, one in found]:
                    found.append((inner.name, pair))
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
