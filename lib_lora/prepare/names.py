"""Names that every system takes: Windows' forbidden letters and reserved words, endings, lengths, and no two alike."""

from __future__ import annotations

import re
import unicodedata

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE)
# Hidden files are no pictures to anybody, and Windows drops dots and spaces at an end.
EDGES = re.compile(r"\A[\s.]+|[\s.]+\Z")
LETTERS, BYTES = 100, 180  # Windows counts the whole path, Linux 255 bytes a name


def safe(name: str, otherwise: str = "picture") -> str:
    """The name with what some system refuses replaced by "_"; Chinese, emoji and spaces stay."""
    kept = _fitting(FORBIDDEN.sub("_", unicodedata.normalize("NFC", name)))
    reserved = RESERVED.match(kept)
    if reserved is not None:
        kept = _fitting(f"{reserved[0]}_{kept[reserved.end() :]}")
    return kept or otherwise


def _fitting(name: str) -> str:
    kept = EDGES.sub("", name)[:LETTERS]
    while len(kept.encode("utf-8")) > BYTES:
        kept = kept[:-1]
    return EDGES.sub("", kept)


class Taken:
    """The names of one folder; systems that know no case are served too."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return _folded(name) in self._names

    def take(self, *names: str) -> None:
        """These are given."""
        self._names.update(_folded(name) for name in names)

    def free(self, name: str, *endings: str) -> str:
        """The name, or the next that is free with each of the endings: a, a_2, a_3."""
        number, found = 1, name
        while any(f"{found}{ending}" in self for ending in ("", *endings)):
            number += 1
            found = f"{name}_{number}"
        self.take(*(f"{found}{ending}" for ending in ("", *endings)))
        return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
