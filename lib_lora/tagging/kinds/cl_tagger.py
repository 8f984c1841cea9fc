"""cl_tagger: channels first, values around 0, logits, and a tag_mapping.json in place of the csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lib_lora.tagging import locate
from lib_lora.tagging.profile import CL
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.start import identified, starting
from lib_lora.tagging.tagger import Around, Tagger, Wanted

REPO = "cella110n/cl_tagger"
NAME = "cl_tagger"
VERSION = "cl_tagger_1_02"  # the sub-folder of the repository
MODELS = ("model.onnx", "model_optimized.onnx")


@taggers.add("cl_tagger", "cl_tagger", NoOptions, order=1)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """Each version that is there under its folder's name; without any, what would have to be put where."""
    found: dict[str, Tagger] = {}
    for folder in _folders(around):
        pair = locate.pair_in(folder, CL.labels, MODELS)
        if pair:
            start, identity = starting(pair, CL, around, folder.name), identified(pair, around)
            found.setdefault(folder.name, Tagger(folder.name, folder.name, "cl_tagger", start, identity, place=str(folder)))
    if found:
        return list(found.values())
    files = [Wanted(file, locate.url(REPO, f"{VERSION}/{file}", around)) for file in ("model.onnx", "tag_mapping.json")]
    missing = locate.missing(NAME, files, around)
    return [Tagger(NAME, NAME, "cl_tagger", starting(None, CL, around, NAME, missing), identified(None, around), missing)]


def _folders(around: Around) -> Iterator[Path]:
    """Folders that may hold a version: the user's, ours, other programs', then what a hub's cache has of the repository."""
    owner, _, name = REPO.partition("/")
    for base in (*around.given, *around.folders):
        yield from (base, *locate.folders_in(base))
        for inner in (base / name, base / f"{owner}_{name}"):
            yield from locate.folders_in(inner)
    for base in (*around.folders, *around.hubs):
        for snapshot in locate.folders_in(base / f"models--{owner}--{name}" / "snapshots"):
            yield from locate.folders_in(snapshot)
