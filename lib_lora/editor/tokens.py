"""How many tokens a caption takes: from the host's tokenizer, or estimated where it has none at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

# What a host offers: a number for each text, or None while it has no tokenizer.
Count = Callable[[Sequence[str]], "list[int] | None"]
CHUNK = 75
REMEMBERED = 50_000
# CLIP's tokenizer cuts at spaces and signs; common words are one token, rare and long ones about one for each five letters.
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)
LETTERS = 5
COMMON = 8


def estimate(text: str) -> int:
    """About how many tokens a text takes."""
    return sum(_of_piece(piece) for piece in PIECES.findall(text))


def _of_piece(piece: str) -> int:
    if not piece[0].isalpha():
        return 1
    if piece.isascii():
        return 1 if len(piece) <= COMMON else -(-len(piece) // LETTERS)
    return 2 * len(piece)  # letters of other scripts take two or three tokens each


class Tokens:
    """Counts of texts by a host. CLIP's tokenizer encodes each word alone, so that a word once counted is known in any text."""

    def __init__(self, count: Count | None = None) -> None:
        self._count = count
        self._known: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> tuple[list[int], bool]:
        """The number of tokens of each text, and whether these are the host's own counts and no estimates."""
        cut, known = [pieces(text) for text in texts], self._known
        missing = [piece for piece in dict.fromkeys(piece for one in cut for piece in one) if piece not in known]
        if missing or self._count is None:
            found = self._count(missing) if self._count is not None else None
            if found is None:
                return [sum(known[piece] if piece in known else estimate(piece) for piece in one) for one in cut], False
            if len(known) > REMEMBERED:
                known = {piece: known[piece] for one in cut for piece in one if piece in known}
            known = {**known, **dict(zip(missing, found, strict=True))}
            self._known = known
        return [sum(known[piece] for piece in one) for one in cut], True

    def numbers(self, texts: Sequence[str]) -> list[int]:
        """The numbers alone."""
        return self.of(texts)[0]


def pieces(text: str) -> list[str]:
    """What CLIP's tokenizer encodes by itself. Of texts beyond ASCII it is not known so surely where it cuts: they stay whole."""
    return PIECES.findall(text.lower()) if text.isascii() else [text]
