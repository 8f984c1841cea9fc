"""Tags for what a LoRA should not learn: what is tagged is learnt by its tag, and not by the trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib_lora.core.messages import Message, say
from lib_lora.pictures.spelling import plain

LIKELY = 0.2  # from which probability on a tagger's word is worth a look, far below where tags are written
BARS = (("letterboxed", (1, 3)), ("pillarboxed", (0, 2)))  # tag, places in (left, top, right, bottom)
CENSORED = ("censored", "mosaic censoring", "bar censor", "blank censor", "convenient censoring", "light censor", "blur censor")
MARKS = (
    "signature",
    "watermark",
    "artist name",
    "web address",
    "twitter username",
    "patreon username",
    "logo",
    "dated",
    "speech bubble",
    "text focus",
    "english text",
)
MARKS += ("japanese text", "chinese text", "border", "white border", "black border")
POSES = (
    "standing",
    "sitting",
    "kneeling",
    "lying",
    "on back",
    "on side",
    "on stomach",
    "squatting",
    "walking",
    "running",
    "jumping",
    "leaning forward",
    "arched back",
)
POSES += ("all fours", "wariza", "seiza", "crossed legs", "spread legs", "bent over", "looking back", "from behind", "from above", "from below", "from side")
HANDS = (
    "hand on own hip",
    "hands on own hips",
    "hand up",
    "hands up",
    "arm up",
    "arms up",
    "arms behind back",
    "arms behind head",
    "crossed arms",
    "own hands together",
)
HANDS += (
    "interlocked fingers",
    "pointing",
    "peace sign",
    "v",
    "waving",
    "clenched hand",
    "clenched hands",
    "open hand",
    "outstretched arm",
    "outstretched arms",
    "holding",
)
HANDS += (
    "hand on own face",
    "hand on own cheek",
    "hand on own chest",
    "hand on own head",
    "finger to mouth",
    "hands in pockets",
    "hand in pocket",
    "holding hands",
)
HANDS += (
    "hand on another's shoulder",
    "fingers together",
    "thumbs up",
    "salute",
    "arm support",
    "heart hands",
    "double v",
    "hand in own hair",
    "hand to own mouth",
)


@dataclass(frozen=True)
class Hint:
    """A tag that pictures lack though it seems to be true of them. `sure`: measured in the pixels, and no tagger's guess."""

    tag: str
    group: str
    keys: tuple[str, ...]
    sure: bool


def labels() -> dict[str, Message]:
    """What each group of hints is called."""
    return {
        "bars": say("Bars around the picture"),
        "censored": say("Censoring"),
        "marks": say("Signatures, writing, borders"),
        "poses": say("Poses and views"),
        "hands": say("Hands: naming what they do makes them better"),
    }


def find(
    tags: Mapping[str, Sequence[str]], scores: Mapping[str, Mapping[str, float]], bars: Mapping[str, tuple[int, int, int, int]], likely: float = LIKELY
) -> tuple[Hint, ...]:
    """Hints for pictures with these tags, from what a tagger said of each (raw names) and from bars that were measured."""
    there = {key: {plain(tag).casefold() for tag in own} for key, own in tags.items()}
    found: list[Hint] = []
    for tag, (one, other) in BARS:
        keys = tuple(key for key, own in there.items() if (bars.get(key, (0,) * 4)[one] or bars.get(key, (0,) * 4)[other]) and tag not in own)
        found.append(Hint(tag, "bars", keys, True))
    said = {key: {plain(name).casefold(): p for name, p in scores.get(key, {}).items()} for key in there}
    for group, names in (("censored", CENSORED), ("marks", MARKS), ("poses", POSES), ("hands", HANDS)):
        for name in names:
            keys = tuple(key for key, own in there.items() if name not in own and said[key].get(name, 0.0) >= likely)
            found.append(Hint(name, group, keys, False))
    return tuple(hint for hint in found if hint.keys)
