"""What a mirrored copy needs: a caption with the sides swapped, or the word that says it must not be mirrored."""

from __future__ import annotations

import re
from collections.abc import Iterable

SUFFIX = "_flip"
# left and right that name no side.
OTHER = r"right (?:now|away|behind|beside|next to|before|after|above|below|in (?:front|the middle)|at the|angles?|triangle)|(?:all|just) right|right-angled"
GONE = r"left (?:alone|behind|open|over|unbuttoned|out|untied|empty)|(?:nothing|none) left"
WORD = re.compile(rf"(?<![A-Za-z])(?:(?P<other>{OTHER}|{GONE})|(?P<side>left|right)(?P<end>most|wards?|y|ies)?)(?![A-Za-z0-9])", re.IGNORECASE)
HAN = re.compile("左右|右左|左|右")
TURNED = {"left": "right", "right": "left", "左": "右", "右": "左"}
# Mirrored letters are none, and a feature of one side would change it.
ONE_SIDED = re.compile(
    r"(?<![A-Za-z])(?<!no )(?<!without )(?!no |without )"
    r"(?:[a-z]+ text|text focus|text|texts|lettering|watermark|signature|artist name|artist logo|logo|speech bubble|calligraphy|"
    r"(?:twitter |instagram |patreon |pixiv )?username|web address|(?:copyright|character|company|group|song) name|dated|barcode|newspaper|clock|jersey|"
    r"asymmetric(?:al)?(?: [a-z]+)?|heterochromia|odd eyes|eyepatch|single [a-z]+|one side up|side ponytail|side braid|hair over (?:one|left|right) eye|"
    r"mole under (?:eye|mouth)|beauty mark|(?:left|right)-handed|tattoo|scar (?:on|across) [a-z ]+|monocle)(?![A-Za-z])",
    re.IGNORECASE,
)


def swapped(caption: str) -> str:
    """The caption with left and right changed for each other, in English and Chinese; every other word stays."""
    return HAN.sub(lambda found: TURNED.get(found[0], found[0]), WORD.sub(_turned, caption))


def one_sided(tags: Iterable[str]) -> str:
    """The first tag or phrase that a mirrored copy would make untrue; "" where there is none."""
    for tag in tags:
        found = ONE_SIDED.search(tag.replace("_", " "))
        if found is not None and not re.fullmatch(r"single (?:person|girl|boy|character|focus|view|file|subject)", found[0], re.IGNORECASE):
            return tag.strip() if len(tag) <= 40 else found[0]
    return ""


def _turned(found: re.Match[str]) -> str:
    side = found["side"]
    if side is None:
        return found[0]
    turned = TURNED[side.lower()]
    styled = turned.upper() if side.isupper() else turned.capitalize() if side[0].isupper() else turned
    return styled + (found["end"] or "")
