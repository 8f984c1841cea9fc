"""How a tag is spelt: plain in captions, escaped in prompts, with underscores on the boards it comes from."""

from __future__ import annotations

import re

# Faces whose underscore is their mouth or nose.
FACES = frozenset(
    ("0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@", "^_^", "o_o", "u_u", "x_x", "|_|", "||_||")
)
# Words that a model was trained on with their underscores.
KEPT = re.compile(r"score_\d+(?:_up|_down)?|(?:rating|source)_\w+", re.IGNORECASE)
ESCAPED = re.compile(r"\\([()\[\]{}\\])")
WIDE = re.compile(r"\s*[，、]\s*")


def is_escaped(tag: str) -> bool:
    """Whether brackets in it are escaped."""
    return ESCAPED.search(tag) is not None


def is_underscored(tag: str) -> bool:
    """Whether it has underscores that should be spaces."""
    return _has_spaces(unescaped(tag))


def plain(tag: str) -> str:
    """The tag as a caption should have it."""
    bare = unescaped(tag)
    return " ".join(bare.replace("_", " ").split()) if _has_spaces(bare) else bare


def unescaped(tag: str) -> str:
    """The text without the backslashes of a prompt, however often it was escaped."""
    while is_escaped(tag):
        tag = ESCAPED.sub(r"\1", tag)
    return tag


def _has_spaces(tag: str) -> bool:
    if "_" not in tag or tag.casefold() in FACES or KEPT.fullmatch(tag):
        return False
    # Three signs around an underscore are a face that the list has not, and so is what has no letter.
    return len(tag) > 3 and re.search(r"[^\W_]", tag) is not None


def plain_caption(caption: str, kept: frozenset[str] = frozenset()) -> str:
    """A caption with every tag plain and ordinary commas; tags in `kept` (lower case), such as the trigger, stay as they are."""
    tags = [tag for tag in (part.strip() for part in WIDE.sub(", ", caption).split(",")) if tag]
    return ", ".join(tag if tag.casefold() in kept else plain(tag) for tag in tags)


def comparable(tag: str) -> str:
    """What two spellings of one tag have in common."""
    return plain(tag).casefold()
