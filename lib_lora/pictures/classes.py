"""Tags of a picture → which of the four classes of a style set it belongs to, how sure that is, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from lib_lora.core.messages import Message, say

FACE, MAIN, FULL, DISCARD = "face", "main", "full", "discard"
LIKELY = 0.35  # tags a tagger finds less likely are none
SURE = 0.85  # how sure a tag without a probability is
WORDS, IN_SENTENCE = 3, 0.6  # a tag with so many spaces is a sentence; how sure what it names is
FACE_RATIO = 0.40  # a face that takes so much of the height is the picture's subject
FACE_SMALL = 0.25  # and one that takes less is not, whatever the tags say
SEVERAL = 3  # people, from which on a picture teaches nobody


@dataclass(frozen=True)
class Kind:
    """A class: its name, and what pictures of it teach a style."""

    label: Message
    teaches: Message


@dataclass(frozen=True)
class Judged:
    """`kind` is a key of KINDS, "" where nothing is known of the picture; `confidence` from 0 to 1."""

    kind: str
    confidence: float
    why: Message


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        FACE: Kind(say("Face close-up"), say("Face close-ups decide how alike the faces are drawn.")),
        MAIN: Kind(
            say("Main visual"),
            say("Main visuals decide composition and the final look: best a figure on about half of a picture of 2:3. Have most of these."),
        ),
        FULL: Kind(say("Full body"), say("Full bodies help with how legs and lower halves are drawn. A set can do without them.")),
        DISCARD: Kind(
            say("Discard"),
            say("Leave out: several views or people, overloaded costumes, figures that merge with the background, exaggerated poses, another style."),
        ),
    }
)
NOT_ONE_PICTURE = (
    "multiple views",
    "reference sheet",
    "character sheet",
    "turnaround",
    "expression chart",
    "comic",
    "4koma",
    "multiple 4koma",
    "photo inset",
    "collage",
)
TEXT = ("text focus", "text-only page", "text only page", "cover page", "dialogue", "wall of text")
CLOSE = ("close-up", "close up", "portrait", "face focus", "face")
WHOLE = ("full body", "wide shot", "very wide shot")
FEET = ("feet", "barefoot", "toes", "toenails", "soles", "foot", "bare feet", "single bare foot", "foot up")
FOOTWEAR = (
    "shoes",
    "boots",
    "high heels",
    "sneakers",
    "loafers",
    "sandals",
    "slippers",
    "mary janes",
    "knee boots",
    "thigh boots",
    "ankle boots",
    "geta",
    "zouri",
)
HALF = ("cowboy shot", "upper body", "lower body", "head out of frame", "feet out of frame")
PERSON = (
    "solo",
    "solo focus",
    "couple",
    "girl",
    "boy",
    "man",
    "woman",
    "person",
    "male focus",
    "female focus",
    "multiple girls",
    "multiple boys",
    "multiple others",
)
NOBODY = ("no humans", "scenery", "landscape", "still life")
# What only a figure has: where a caption says this, somebody is in the picture though nothing else in it says so.
FIGURE = ("portrait", "face focus", "face", "full body", *HALF)
COUNTED = re.compile(r"([1-9])\+?(girl|boy|other)s?")
FRAMES = frozenset((*CLOSE, *WHOLE, *FEET, *FOOTWEAR, *HALF))
MORE = {"multiple girls": 2, "multiple boys": 2, "multiple others": 2, "couple": 2, "group": 3, "crowd": SEVERAL, "everyone": SEVERAL}


def judge(tags: Mapping[str, float] | Iterable[str], face_ratio: float | None = None) -> Judged:
    """The class by tags (with a tagger's probabilities, or as captions have them) and by a detector's face.

    `face_ratio` is the height of the face's box in that of the picture; where there is one it has the last word on faces.
    A tagger names people wherever there are some. A caption need not: people are left to its trigger word, or it speaks of
    a cat, and then it says nothing about the class.
    """
    known, tagged = _plain(tags), isinstance(tags, Mapping)
    if not known and face_ratio is None:
        return Judged("", 0.0, say("Nothing is known of this picture yet: tag it, or choose a class."))
    if not tagged and face_ratio is None and not people(known) and not _first(known, (*PERSON, *FIGURE, *NOT_ONE_PICTURE, *TEXT, "no humans")):
        return Judged("", 0.0, say("Its caption does not tell the class: tag it, or choose one."))
    return _discarded(known, face_ratio, tagged) or _by_face(known, face_ratio) or _by_frame(known)


def joined(written: Iterable[str], scores: Mapping[str, float]) -> Mapping[str, float] | tuple[str, ...]:
    """A caption's tags and what a tagger said, for `judge`. The caption has the word first: who it names, and how much of them is seen."""
    tags = tuple(written)
    if not scores:
        return tags
    known = _plain(tags)
    people_told = people(known) or _first(known, PERSON) is not None
    frame_told = _first(known, FRAMES) is not None
    heard = {}
    for tag, sure in _plain(scores).items():
        of_people = COUNTED.fullmatch(tag) is not None or tag in MORE or tag in NOBODY
        if not (frame_told and tag in FRAMES) and not (people_told and of_people):
            heard[tag] = sure
    return {**heard, **known}


def _plain(tags: Mapping[str, float] | Iterable[str]) -> dict[str, float]:
    """Tags as they are compared, with how sure they are, the unlikely ones left out."""
    pairs = tags.items() if isinstance(tags, Mapping) else ((tag, SURE) for tag in tags)
    known = {tag.replace("_", " ").replace("\\", "").strip().lower(): float(sure) for tag, sure in pairs if sure >= LIKELY}
    for sentence in [tag for tag in known if tag.count(" ") >= WORDS]:
        known.update(dict.fromkeys(_vocabulary().findall(sentence), IN_SENTENCE))
    return known


@lru_cache(maxsize=1)
def _vocabulary() -> re.Pattern[str]:
    names = {*NOT_ONE_PICTURE, *TEXT, *CLOSE[:-1], *WHOLE, *FEET, *FOOTWEAR, *HALF, *PERSON, *NOBODY}
    return re.compile(r"\b(?:" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + r")\b")


def _first(known: Mapping[str, float], names: Iterable[str]) -> tuple[str, float] | None:
    """The surest tag of some."""
    found = [(known[name], name) for name in names if name in known]
    return (max(found)[1], max(found)[0]) if found else None


def people(known: Mapping[str, float] | Iterable[str]) -> int:
    """How many people tags speak of, as far as they count them."""
    counted: dict[str, int] = {}
    for tag in known:
        found = COUNTED.fullmatch(tag)
        if found:
            counted[found[2]] = max(counted.get(found[2], 0), int(found[1]))
        elif tag in MORE:
            who = tag.removeprefix("multiple ").rstrip("s") if tag.startswith("multiple") else tag
            counted[who] = max(counted.get(who, 0), MORE[tag])
    singles = sum(counted.get(who, 0) for who in ("girl", "boy", "other"))
    return max([singles, *counted.values()]) if counted else 0


def _discarded(known: Mapping[str, float], face_ratio: float | None, tagged: bool) -> Judged | None:
    found = _first(known, NOT_ONE_PICTURE)
    if found:
        return Judged(DISCARD, found[1], say("Discard: it is not one picture ({tag}).", tag=found[0]))
    found = _first(known, TEXT)
    if found:
        return Judged(DISCARD, found[1], say("Discard: it is mostly text ({tag}).", tag=found[0]))
    count = people(known)
    if count >= SEVERAL:
        sure = 0.6 if "solo focus" in known else SURE
        return Judged(DISCARD, sure, say("Discard: {n} or more people.", n=SEVERAL))
    if count or face_ratio is not None or _first(known, PERSON):
        return None
    if not tagged and "no humans" not in known:
        return None
    nobody = _first(known, NOBODY)
    if nobody:
        return Judged(DISCARD, nobody[1], say("Discard: nobody is in it ({tag}).", tag=nobody[0]))
    return Judged(DISCARD, 0.5, say("Discard: no tag speaks of a person."))


def _by_face(known: Mapping[str, float], face_ratio: float | None) -> Judged | None:
    close = _first(known, CLOSE)
    if face_ratio is not None and face_ratio >= FACE_RATIO:
        sure = min(1.0, 0.7 + face_ratio - FACE_RATIO + (0.1 if close else 0))
        return Judged(FACE, round(sure, 3), say("Face close-up: the face takes {percent} % of the height.", percent=round(100 * face_ratio)))
    if close and (face_ratio is None or face_ratio >= FACE_SMALL):
        against = _first(known, (*WHOLE, *HALF))
        return Judged(FACE, _sure(close[1], against, face_ratio), say("Face close-up: its tag {tag}.", tag=close[0]))
    return None


def _by_frame(known: Mapping[str, float]) -> Judged:
    half = _first(known, HALF)
    found = _first(known, WHOLE) or _first(known, FEET)
    if found and not ("feet out of frame" in known and found[0] in FEET):
        return Judged(FULL, _sure(found[1], half, None), say("Full body: its tag {tag}.", tag=found[0]))
    worn = _first(known, FOOTWEAR)
    if worn and half is None:
        return Judged(FULL, round(0.7 * worn[1], 3), say("Full body: {tag} can be seen.", tag=worn[0]))
    if half:
        return Judged(MAIN, half[1], say("Main visual: its tag {tag}.", tag=half[0]))
    return Judged(MAIN, 0.5, say("Main visual: no tag says that it is a close-up or a full body."))


def _sure(sure: float, against: tuple[str, float] | None, face_ratio: float | None) -> float:
    """Less where another tag or a middling face speaks against it."""
    return round(sure * (0.7 if against else 1.0) * (0.8 if face_ratio is not None else 1.0), 3)
