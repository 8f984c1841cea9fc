"""The trigger assistant: which tags are the character, so that the trigger can stand for them; and is it a good word."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lib_lora.core.messages import Message, say
from lib_lora.dataset import captions
from lib_lora.editor.features import Category, category
from lib_lora.editor.tokens import Tokens

LONG = 4  # tokens from which on a trigger takes much of what can be said
FEW = 0.2  # a feature below this share of the pictures is not shown at all


@dataclass(frozen=True)
class Feature:
    """A tag that may belong to the character. `chosen`: frequent enough for its kind to be suggested."""

    tag: str
    category: Category
    count: int
    share: float
    chosen: bool


def features(counts: Mapping[str, int], pictures: int, trigger: str = "") -> tuple[Feature, ...]:
    """The features in a set of captions, what is suggested first, then by kind and frequency."""
    front = {tag.casefold() for tag in captions.tags(trigger)}
    found = []
    for tag, n in counts.items():
        kind = category(tag)
        if kind is None or tag.casefold() in front or not pictures or n < max(2, FEW * pictures):
            continue
        share = n / pictures
        found.append(Feature(tag, kind, n, share, share >= kind.share))
    return tuple(sorted(found, key=lambda one: (not one.chosen, not one.category.born, one.category.name, -one.count, one.tag)))


def judge(trigger: str, tokens: Tokens, known: Mapping[str, int], set_tags: Collection[str] = ()) -> tuple[Message, ...]:
    """What is not so good about a trigger word. `known` are tags that models know, with how often they were seen."""
    words = captions.tags(trigger)
    if not words:
        return (say("Say what the trigger word is."),)
    told = []
    if len(words) > 1:
        told.append(say("There is a comma in it: that makes several trigger words, which all have to be kept in front (keep_tokens {n}).", n=len(words)))
    for word in words:
        seen = known.get(word.casefold().replace("_", " "))
        if seen is not None:
            told.append(
                say(
                    "“{word}” is a tag that base models know ({n} pictures): what it means there mixes with what you train. Choose a word of your own.",
                    word=word,
                    n=seen,
                )
            )
        elif category(word) is not None:
            told.append(say("“{word}” says something already: choose a word that means nothing yet.", word=word))
    numbers, exact = tokens.of([trigger])
    if numbers[0] > LONG:
        about = f"{'' if exact else '≈ '}{numbers[0]}"
        told.append(say("It takes {n} tokens: a shorter word is learnt more easily and leaves more room for tags.", n=about))
    likes = [tag for tag in set_tags if tag.casefold() != trigger.casefold() and tag.casefold().startswith(f"{trigger.casefold()} ")]
    if likes:
        told.append(say("Tags of this set begin with it: {tags}. Replace them, or the trigger stands there twice.", tags=likes[:3]))
    return tuple(told)
