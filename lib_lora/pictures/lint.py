"""One picture and its caption → what about them would spoil a training, without a look at the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lib_lora.core.messages import Message, say
from lib_lora.dataset import captions
from lib_lora.pictures.contradictions import contradictions
from lib_lora.pictures.picture import Picture
from lib_lora.pictures.spelling import comparable, is_escaped, is_underscored

ERROR, WARNING, HINT = "error", "warning", "hint"
CHUNK, LONGEST = 75, 225  # tokens: what a text encoder reads at once, and what most trainers read at all
OF_BARS = ("letterboxed", "pillarboxed")  # how a picture was padded, not what it shows
WIDE_COMMAS = re.compile("[，、]")
PROMPT_SYNTAX = re.compile(r"<\w+:[^<>]+>|\([^()]+:\s*\d+(?:\.\d+)?\s*\)")

Count = Callable[[str], int]


@dataclass(frozen=True)
class Finding:
    """Something wrong. `fix` is what mends it by a click: an id that the check page knows, "" where a person has to look."""

    kind: str
    severity: str
    what: Message
    fix: str = ""


def findings(picture: Picture, trigger: str = "", count_tokens: Count | None = None) -> tuple[Finding, ...]:
    """All of one picture. Without `trigger` nothing is said about it; without `count_tokens` nothing about lengths."""
    if picture.flaw is not None:
        return (Finding("unreadable", ERROR, say("cannot be read: {reason}", reason=picture.flaw)),)
    moving = [Finding("animated", WARNING, say("is animated; only its first frame is trained"))] if picture.animated else []
    if picture.text_flaw is not None:
        return (*moving, Finding("text_unreadable", ERROR, say("its caption cannot be used: {reason}", reason=picture.text_flaw), "utf8"))
    if picture.text is None:
        return (*moving, _bare(picture))
    lines = captions.lines(picture.text)
    if not any(lines):
        return (*moving, Finding("empty_caption", ERROR, say("its caption is empty")))
    if not lines[0]:
        return (*moving, Finding("first_line", ERROR, say("the first line of its caption is empty, and only that line is used"), "first_line"))
    longer = [Finding("lines", WARNING, say("its caption has more than one line, and only the first is used"), "join")] if any(lines[1:]) else []
    return (*moving, *longer, *of_caption(lines[0], trigger, count_tokens))


def of_caption(caption: str, trigger: str = "", count_tokens: Count | None = None) -> tuple[Finding, ...]:
    """What is wrong with the text that is trained."""
    tags = captions.tags(caption)
    front = {tag.casefold() for tag in captions.tags(trigger)}
    others = [tag for tag in tags if tag.casefold() not in front]
    found = [*_spelling(caption, others), *_repeated(tags)]
    against = contradictions(tags)
    if against:
        pairs = _some([f"{first} / {second}" for first, second in against])
        found.append(Finding("contradiction", WARNING, say("tags contradict each other: {pairs}", pairs=pairs)))
    if front:
        alone = tags and all(comparable(tag) in OF_BARS for tag in others)
        what = say("its caption says nothing but the trigger word, which then stands for all of the picture")
        found += _trigger(tags, captions.tags(trigger), count_tokens) or ([Finding("trigger_only", WARNING, what)] if alone else [])
    if count_tokens is not None:
        found += _length(count_tokens(caption))
    return tuple(found)


def _bare(picture: Picture) -> Finding:
    concept = _concept(picture)
    if concept:
        return Finding("no_caption", WARNING, say("has no caption and is trained as “{text}”, the name of its folder", text=concept))
    return Finding("no_caption", ERROR, say("has no caption"))


def _concept(picture: Picture) -> str:
    # N_concept, as training reads a folder's name.
    first, _, concept = picture.path.parent.name.partition("_")
    try:
        int(first)
    except ValueError:
        return ""
    return concept


def _spelling(caption: str, tags: Iterable[str]) -> list[Finding]:
    tags = list(tags)
    found: list[Finding] = []
    escaped = [tag for tag in tags if is_escaped(tag)]
    if escaped:
        found.append(Finding("escaped", WARNING, say("brackets are escaped, which only prompts understand: {tags}", tags=_some(escaped)), "normalise"))
    underscored = [tag for tag in tags if is_underscored(tag)]
    if underscored:
        found.append(Finding("underscores", WARNING, say("tags are written with underscores: {tags}", tags=_some(underscored)), "normalise"))
    if WIDE_COMMAS.search(caption):
        found.append(Finding("commas", WARNING, say("a Chinese comma parts nothing: what stands around it is one tag"), "normalise"))
    syntax = PROMPT_SYNTAX.findall(caption)
    if syntax:
        found.append(Finding("syntax", WARNING, say("weights and LoRAs of a prompt are only letters in a caption: {text}", text=_some(syntax))))
    return found


def _repeated(tags: Iterable[str]) -> list[Finding]:
    seen: set[str] = set()
    twice: list[str] = []
    for tag in tags:
        if comparable(tag) in seen:
            twice.append(tag)
        seen.add(comparable(tag))
    if not twice:
        return []
    return [Finding("duplicates", WARNING, say("tags stand there more than once: {tags}", tags=_some(list(dict.fromkeys(twice)))), "dedupe")]


def _trigger(tags: list[str], front: list[str], count_tokens: Count | None) -> list[Finding]:
    trigger = ", ".join(front)
    if begins(tags, front):
        return []
    lower = [tag.casefold() for tag in tags]
    if not all(tag.casefold() in lower for tag in front):
        return [Finding("trigger_missing", WARNING, say("the trigger word {trigger} is missing", trigger=trigger), "trigger")]
    before = ", ".join(tags[: lower.index(front[0].casefold())])
    if count_tokens is not None and count_tokens(before) >= CHUNK:
        what = say("the trigger word {trigger} stands after token {n}, where it is hardly heard", trigger=trigger, n=CHUNK)
        return [Finding("trigger_cut", WARNING, what, "trigger")]
    return [Finding("trigger_late", WARNING, say("the trigger word {trigger} is not the first tag", trigger=trigger), "trigger")]


def begins(tags: Iterable[str], front: Iterable[str]) -> bool:
    """Whether the tags begin with the trigger's, as training reads it: "ohwx man" begins with ohwx, "ohwxy" does not."""
    return re.match(re.escape(", ".join(front)) + r"(?!\w)", ", ".join(tags), re.IGNORECASE) is not None


def _length(tokens: int) -> list[Finding]:
    if tokens > LONGEST:
        return [Finding("too_long", WARNING, say("about {n} tokens: most trainers cut off what comes after {most}", n=tokens, most=LONGEST))]
    if tokens > CHUNK:
        return [Finding("long", HINT, say("about {n} tokens: a text encoder reads {most} at once, later ones weigh less", n=tokens, most=CHUNK))]
    return []


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= 5 else [*names[:5], "…"]
