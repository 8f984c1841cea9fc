"""What a user should know of one picture before it is trained, as short marks with a sentence each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib_lora.core.messages import Message, count, say
from lib_lora.workbench.kin import Kin

if TYPE_CHECKING:
    from lib_lora.pictures.lint import Finding
    from lib_lora.pictures.picture import Picture
    from lib_lora.pictures.places import Preview
    from lib_lora.pictures.seen import Seen

# In the order in which they are shown.
KINDS = ("flaw", "exact", "near", "flip", "group", "no_caption", "lint", "bars", "small", "cropped", "grey", "tinted", "outlier", "animated")
OF_CAPTION = ("no_caption", "lint")  # what follows from the text alone
ENLARGED, CROPPED = 1.05, 0.15  # from which factor and which share of lost pixels it is worth a word
TOLD_ELSEWHERE = ("unreadable", "no_caption", "empty_caption", "animated")
NAMED = 3


@dataclass(frozen=True)
class Flag:
    """A mark: `kind` is what filters call it."""

    kind: str
    text: Message


def of_file(picture: Picture, findings: Sequence[Finding]) -> list[Flag]:
    """What the file and its caption say."""
    if picture.flaw is not None:
        return [Flag("flaw", picture.flaw)]
    found = []
    if not picture.caption and picture.text_flaw is None:
        found.append(Flag("no_caption", say("There is no caption: a tagger writes one, or you do.")))
    odd = [finding.what for finding in findings if finding.kind not in TOLD_ELSEWHERE]
    if odd:
        found.append(Flag("lint", say("Its caption: {findings}", findings=odd)))
    if picture.animated:
        found.append(Flag("animated", say("It is animated; only its first frame is trained.")))
    return found


def of_place(place: Preview | None) -> list[Flag]:
    """What its bucket does to it."""
    found = []
    if place is not None and place.upscale >= ENLARGED:
        found.append(Flag("small", say("It is smaller than training wants and would be enlarged ×{factor}.", factor=f"{place.upscale:.2f}")))
    if place is not None and place.lost >= CROPPED:
        found.append(Flag("cropped", say("{percent} % of it would be cut off: crop or pad it yourself.", percent=round(100 * place.lost))))
    return found


def of_pixels(seen: Seen | None, flaw: Message | None = None) -> list[Flag]:
    """What its pixels say, or why they cannot be decoded."""
    found = [Flag("flaw", flaw)] if flaw is not None else []
    if seen is not None and any(seen.bars):
        left, top, right, bottom = seen.bars
        told = say(
            "Bars are around it already: {left} px left, {top} px above, {right} px right, {bottom} px below.", left=left, top=top, right=right, bottom=bottom
        )
        found.append(Flag("bars", told))
    if seen is not None and seen.tone == "grey":
        found.append(Flag("grey", say("Black and white: it strengthens lines and lighting; there should not be more of these than of coloured ones.")))
    if seen is not None and seen.tone == "tinted":
        found.append(Flag("tinted", say("In one colour only: for training it counts as black and white.")))
    return found


def of_kin(key: str, kin: Kin, group: Sequence[str]) -> list[Flag]:
    """What the other pictures say."""
    found = []
    if key in kin.exact:
        found.append(Flag("exact", say("The very same picture: {names}", names=_some(kin.exact[key]))))
    if key in kin.near:
        found.append(Flag("near", say("Hardly another picture: {names}", names=_some(kin.near[key]))))
    if key in kin.flip:
        found.append(Flag("flip", say("A mirrored copy: {names}", names=_some(kin.flip[key]))))
    if group:
        others = len(group) - 1
        found.append(Flag("group", count(others, "Differential images: one other is a variant of it.", "Differential images: {n} others are variants of it.")))
    if key in kin.outliers:
        found.append(Flag("outlier", say("Its style differs from the others: perhaps from another period of the artist, or by somebody else.")))
    return found


def ordered(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    """The weightiest first."""
    return tuple(sorted(flags, key=lambda flag: KINDS.index(flag.kind)))


def counted(flags: Mapping[str, Sequence[Flag]]) -> dict[str, int]:
    """How many pictures have each mark."""
    kinds = [flag.kind for found in flags.values() for flag in found]
    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def _some(keys: Sequence[str]) -> list[str]:
    return [*keys[:NAMED], "…"] if len(keys) > NAMED else list(keys)
