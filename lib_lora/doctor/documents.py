"""An examination as plain data, and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from lib_lora.core.messages import Message, count, say
from lib_lora.doctor.examine import Examination
from lib_lora.doctor.problem import SEVERITIES, Problem

SHOWN = 20  # lines of one kind for a person; a document has all


def document(found: Examination, words: Mapping[str, str]) -> dict[str, Any]:
    """What a program reads: every problem with its file, a sentence of what is wrong and one of what to do."""
    told = [{"severity": one.severity, "file": one.file, "what": one.what.text(words), "fix": one.remedy.fix.text(words)} for one in found.problems]
    return {"images": found.images, "captions": found.captions, "problems": told}


def lines(found: Examination, words: Mapping[str, str]) -> tuple[str, ...]:
    """What a person reads: by severity and kind, with what to do about each kind."""
    told = [summary(found).text(words)]
    for severity in SEVERITIES:
        of_it = [one for one in found.problems if one.severity == severity]
        if of_it:
            told += ["", f"{heading(severity, len(of_it)).text(words)}"]
        for label, group in groupby(of_it, key=lambda one: (one.remedy.label, one.remedy.fix)):
            told += _group(label[0], label[1], list(group), words)
    return tuple(told)


def summary(found: Examination) -> Message:
    """The first line: how much was looked at and found."""
    if 0 < found.trained < found.images:
        return say(
            "{pictures}, {captions}: {findings}; training would read {trained} of {images} pictures as the folders are now",
            pictures=_pictures(found.images),
            captions=_captions(found.captions),
            findings=_findings(len(found.problems)),
            trained=found.trained,
            images=found.images,
        )
    if not found.problems:
        return count(found.images, "1 picture: nothing is wrong with it.", "{n} pictures: nothing is wrong with them.")
    many = len(found.problems)
    return say("{pictures}, {captions}: {findings}", pictures=_pictures(found.images), captions=_captions(found.captions), findings=_findings(many))


def heading(severity: str, n: int) -> Message:
    """What a severity is called, with how many there are."""
    if severity == "error":
        return count(n, "1 error: training refuses it, or it spoils the result", "{n} errors: training refuses them, or they spoil the result")
    if severity == "warning":
        return count(n, "1 warning: worth mending before a long run", "{n} warnings: worth mending before a long run")
    return count(n, "1 hint", "{n} hints")


def _pictures(n: int) -> Message:
    return count(n, "1 picture", "{n} pictures")


def _captions(n: int) -> Message:
    return count(n, "1 caption", "{n} captions")


def _findings(n: int) -> Message:
    return count(n, "1 finding", "{n} findings")


def _group(label: Message, fix: Message, group: Iterable[Problem], words: Mapping[str, str]) -> list[str]:
    all_of_it = list(group)
    shown = all_of_it if len(all_of_it) <= SHOWN + 1 else all_of_it[:SHOWN]
    told = [f"  {label.text(words)}"]
    told += [f"    {one.file}: {one.what.text(words)}" if one.file else f"    {one.what.text(words)}" for one in shown]
    if len(shown) < len(all_of_it):
        told.append(f"    {say('… and {n} more of this kind', n=len(all_of_it) - len(shown)).text(words)}")
    return [*told, f"    → {fix.text(words)}"]
