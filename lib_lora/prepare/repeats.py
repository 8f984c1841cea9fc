"""The repeats of the folders: as given, else computed by the rules from what really goes into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lib_lora.core.messages import Message
from lib_lora.pictures.picture import Picture
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import MAIN, Known
from lib_lora.repeats import Problem, solve
from lib_lora.repeats.problem import DIFFERENTIAL, FACE


def settled(
    pictures: Sequence[Picture], groups: Sequence[Sequence[str]], known: Known, config: PrepareConfig
) -> tuple[PrepareConfig, Known, tuple[Message, ...]]:
    """Settings and knowledge with repeats for every class, and what the rules have to say about them."""
    if config.folders.by != "classes" or known.repeats or not pictures:
        return config, known, ()
    grouped, seen = {key for group in groups for key in group}, set[str]()
    counts: Counter[str] = Counter()
    for picture in pictures:
        kind = known.classes.get(picture.key) or MAIN
        alike = {key for key in (*known.exact.get(picture.key, ()), *known.mirrored.get(picture.key, ())) if (known.classes.get(key) or MAIN) == kind}
        # A picture and its copy or mirror image that lies in the same class already are one original.
        if picture.key not in grouped and not seen.intersection(alike):
            counts[kind] += 1
            seen.add(picture.key)
    others = {kind: number for kind, number in counts.items() if kind not in (MAIN, FACE, DIFFERENTIAL)}
    answer = solve(Problem(counts[MAIN], counts[FACE], others, tuple(len(group) for group in groups), flip=config.copies.flip))
    if not answer.feasible or answer.repeats is None:
        return config, known, answer.advice
    if answer.trimmed and answer.group_size:
        # The rules find no repeats for whole groups: they are cut to the size for which there are some.
        config = replace(config, copies=replace(config.copies, groups="trim", group_size=answer.group_size))
    found = {kind: value for kind, value in answer.repeats.items() if value}
    return config, replace(known, repeats=found), tuple(one.text for one in answer.warnings)
