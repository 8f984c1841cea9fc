"""The demo's own small tokenizer: CLIP's bytes, and whole words for what its captions say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

# Every word of the captions and of a few prompts one may try; other words are spelt out of letters.
TEXT = """
a photo of figure drawing scene picture small large round tall wide red orange yellow green blue purple pink brown black white grey
circle square triangle star heart cross ring house tree sun moon cloud hill sea sky grass night day background left right top middle bottom
with and on in under over solo simple face eyes smile hat arms legs standing sitting looking 1girl 1boy hair long short demo tako blob
"""
WORDS = TEXT.split()


def merges() -> list[str]:
    """Pairs to join, most frequent first as byte pair encoding finds them, until each of the words is one token."""
    spelt = [[*word[:-1], f"{word[-1]}</w>"] for word in sorted(set(WORDS))]
    found: list[str] = []
    while pairs := Counter(pair for word in spelt for pair in pairwise(word)):
        # Ties by their letters: the order of a file must not hang on the order of a set.
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        found.append(f"{left} {right}")
        spelt = [_joined(word, left, right) for word in spelt]
    return found


def _joined(word: list[str], left: str, right: str) -> list[str]:
    joined: list[str] = []
    for part in word:
        if joined and joined[-1] == left and part == right:
            joined[-1] = left + right
        else:
            joined.append(part)
    return joined
