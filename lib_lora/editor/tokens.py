"""How many tokens a caption takes: from the host's tokenizer, or estimated where it has none at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

# What a host offers: a number for each text, or None while it has no tokenizer.
Count = Callable[[Sequence[str]], "list[int] | None"]
CHUNK = 75
REMEMBERED = 200_000
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
    """Counts of texts by a host. CLIP's tokenizer encodes each word alone, so that a tag once counted is known in any caption."""

    def __init__(self, count: Count | None = None) -> None:
        self._count = count
        # What is there is exchanged and never changed: several threads may ask at once.
        self._known: dict[str, int] = {}
        self._guessed: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> tuple[list[int], bool]:
        """The number of tokens of each text, and whether these are the host's own counts and no estimates."""
        cut = [_spans(text) for text in texts]
        known = self._known
        missing = [span for span in dict.fromkeys(span for one in cut for span in one) if span not in known]
        learnt = self._learn(missing) if missing and self._count is not None else known
        exact = self._count is not None and learnt is not None
        if learnt is None or not exact:
            learnt = {**known, **self._guess(missing)}
        return [sum([learnt[span] for span in one]) for one in cut], exact

    def numbers(self, texts: Sequence[str]) -> list[int]:
        """The numbers alone."""
        return self.of(texts)[0]

    def _learn(self, spans: Sequence[str]) -> dict[str, int] | None:
        """Have the host count; None where it cannot."""
        known = self._known
        words = {span: pieces(span) for span in spans}
        new = list(dict.fromkeys(piece for own in words.values() for piece in own if piece not in known))
        found = self._count(new) if self._count is not None else None
        if found is None:
            return None
        known = {**known, **dict(zip(new, found, strict=True))}
        known.update({span: sum([known[piece] for piece in own]) for span, own in words.items()})
        self._known = known if len(known) < REMEMBERED else {}
        return known

    def _guess(self, spans: Sequence[str]) -> dict[str, int]:
        known, guessed = self._known, self._guessed if len(self._guessed) < REMEMBERED else {}
        new = {span: sum([known[one] if one in known else _of_piece(one) for one in PIECES.findall(span)]) for span in spans if span not in guessed}
        self._guessed = guessed = {**guessed, **new}
        return guessed


def _spans(text: str) -> list[str]:
    """The text cut behind its commas: words end at a space, so that each part takes the same tokens alone."""
    return text.replace(", ", ",\0").split("\0")


def pieces(text: str) -> list[str]:
    """What CLIP's tokenizer encodes by itself. Of texts beyond ASCII it is not known so surely where it cuts: they stay whole."""
    return PIECES.findall(text.lower()) if text.isascii() else [text]
