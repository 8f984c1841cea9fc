"""SmilingWolf's taggers, from v1.4 to v3: one graph, one csv, one arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib_lora.tagging import locate
from lib_lora.tagging.profile import WD
from lib_lora.tagging.registry import NoOptions, taggers
from lib_lora.tagging.start import identified, starting
from lib_lora.tagging.tagger import Around, Tagger, Wanted

OWNER = "SmilingWolf"
MODEL, LABELS = "model.onnx", "selected_tags.csv"
V3_LABELS = (308_468, "298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217")


@dataclass(frozen=True)
class Release:
    """A published tagger: its P=R threshold by its card, and its graph's size and SHA-256 where they are known."""

    name: str
    hint: float | None
    bytes: int = 0
    sha256: str = ""


RELEASES = (
    Release("wd-vit-large-tagger-v3", 0.2606, 1_260_645_673, "e4c8001b000a6c98f2db10794f7c406daa79873d071d6ca924330fa053fa1845"),
    Release("wd-eva02-large-tagger-v3", 0.5296, 1_260_435_999, "9e768793060c7939b277ccb382783e8670e8a042d29d77aa736be0c8cc898bfc"),
    Release("wd-swinv2-tagger-v3", 0.2653, 467_460_978, "e6774bff34d43bd49f75a47db4ef217dce701c9847b546523eb85ff6dbba1db1"),
    Release("wd-convnext-tagger-v3", 0.2682, 394_990_732, "1b8a7abf13d9b8368267df47501d523789c4aeae66b2296ad98483239dfa32eb"),
    Release("wd-vit-tagger-v3", 0.2614, 378_536_310, "35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6"),
    Release("wd-v1-4-moat-tagger-v2", 0.3771),
    Release("wd-v1-4-swinv2-tagger-v2", 0.3771),
    Release("wd-v1-4-convnextv2-tagger-v2", 0.3710),
    Release("wd-v1-4-convnext-tagger-v2", 0.3685),
    Release("wd-v1-4-vit-tagger-v2", 0.3537),
    Release("wd-v1-4-convnext-tagger", None),
    Release("wd-v1-4-vit-tagger", None),
)


@taggers.add("wd14", "WD", NoOptions, order=0)
def build(options: NoOptions, around: Around) -> Sequence[Tagger]:
    """All of them, whether they are on this machine or not."""
    return [_tagger(release, around) for release in RELEASES]


def _tagger(release: Release, around: Around) -> Tagger:
    repo = f"{OWNER}/{release.name}"
    pair = locate.find(repo, WD.labels, around)
    labels = V3_LABELS if release.name.endswith("-v3") else (0, "")
    files = (
        Wanted(MODEL, locate.url(repo, MODEL, around), release.bytes, release.sha256),
        Wanted(LABELS, locate.url(repo, LABELS, around), *labels),
    )
    missing = None if pair else locate.missing(release.name, files, around)
    return Tagger(
        release.name,
        release.name,
        "wd14",
        starting(pair, WD, around, release.name, missing, release.bytes),
        identified(pair, around),
        missing,
        release.hint,
        str(pair.model.parent) if pair else "",
    )
