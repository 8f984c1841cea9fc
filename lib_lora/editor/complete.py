"""Completion of tags while they are typed: from a list of tags, where the user has one, and from the set itself."""

from __future__ import annotations

import csv
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib_lora.pictures.spelling import plain

MOST_ROWS = 500_000
LONGEST_FILE = 64 * 2**20
OURS = "tags"
# Where lists of tags lie: of a1111's tag completion, and beside taggers.
EXTENSIONS = ("extensions/*tagcomplete*/tags/*.csv", "extensions/*tag-complete*/tags/*.csv", "extensions/*autocomplete*/tags/*.csv")
TAGGERS = ("*/selected_tags.csv", "*/*/selected_tags.csv", "*/tags-selected.csv")


@dataclass(frozen=True)
class Known:
    """A tag of a list, with in how many pictures it was seen there. `of` is the tag that another spelling stands for."""

    tag: str
    count: int
    of: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """A list of tags, most seen first, and the way into it from the first letters."""

    rows: tuple[Known, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    _starts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Known]) -> Vocabulary:
        """From rows in any order."""
        ordered = tuple(sorted(rows, key=lambda row: -row.count))
        starts = sorted((row.tag.casefold(), place) for place, row in enumerate(ordered))
        counts: dict[str, int] = {}
        for row in ordered:
            if not row.of:
                counts.setdefault(row.tag.casefold(), row.count)
        return cls(ordered, counts, tuple(starts))

    def starting(self, text: str) -> Iterator[Known]:
        """Rows whose tag begins with a text, most seen first."""
        first = bisect_left(self._starts, (text, -1))
        places = []
        for name, place in self._starts[first:]:
            if not name.startswith(text):
                break
            places.append(place)
        return (self.rows[place] for place in sorted(places))

    def holding(self, text: str, most: int) -> list[Known]:
        """Rows with a later word that begins with a text, most seen first."""
        word, found = f" {text}", []
        for row in self.rows:
            if word in row.tag.casefold():
                found.append(row)
                if len(found) == most:
                    break
        return found


@dataclass(frozen=True)
class Match:
    """A completion. `set_count`: how many pictures of the set have it; `count`: of the list; `of` as in Known."""

    tag: str
    set_count: int = 0
    count: int = 0
    of: str = ""


def complete(text: str, counts: Mapping[str, int], vocabulary: Vocabulary, most: int = 20) -> list[Match]:
    """What may be meant by a text: tags of the set first, then of the list, those that begin with it before the others."""
    asked = " ".join(text.casefold().replace("_", " ").split())
    if not asked:
        return []
    own = sorted(counts, key=lambda tag: (-counts[tag], tag))
    begins = [tag for tag in own if tag.casefold().startswith(asked)]
    holds = [tag for tag in own if f" {asked}" in tag.casefold() and not tag.casefold().startswith(asked)]
    found = {tag.casefold(): Match(tag, counts[tag], vocabulary.counts.get(tag.casefold(), 0)) for tag in begins[:most]}
    for row in vocabulary.starting(asked):
        if len(found) >= most:
            break
        tag = row.of or row.tag
        found.setdefault(tag.casefold(), Match(tag, counts.get(tag, 0), row.count, row.tag if row.of else ""))
    for tag in holds:
        found.setdefault(tag.casefold(), Match(tag, counts[tag], vocabulary.counts.get(tag.casefold(), 0)))
    if len(found) < most:
        for row in vocabulary.holding(asked, most):
            tag = row.of or row.tag
            found.setdefault(tag.casefold(), Match(tag, counts.get(tag, 0), row.count, row.tag if row.of else ""))
    return list(found.values())[:most]


class Vocabularies:
    """The lists of tags on this machine; the longest is used. Looked for and read when first asked, read anew when it changes."""

    def __init__(self, state: Path, models: Path | None = None) -> None:
        self._state = state
        self._models = models
        self._lock = threading.Lock()
        self._read: tuple[tuple[str, int], Vocabulary] = (("", 0), Vocabulary())

    def files(self) -> list[Path]:
        """The lists there are: of ours if somebody put one there, else of others, the longest first."""
        ours = sorted((self._state / OURS).glob("*.csv"), key=_length)
        if ours:
            return ours[::-1]
        data = self._state.parent
        found = {path for pattern in EXTENSIONS for path in data.glob(pattern)}
        found |= {path for pattern in TAGGERS for folder in self._tagger_folders() for path in folder.glob(pattern)}
        return sorted((path for path in found if 0 < _length(path) <= LONGEST_FILE), key=lambda path: (_length(path), str(path)), reverse=True)

    def used(self) -> Vocabulary:
        """The list that completes."""
        with self._lock:
            for file in self.files():
                try:
                    stamp = (str(file), file.stat().st_mtime_ns)
                    if stamp != self._read[0]:
                        self._read = (stamp, Vocabulary.of(read(file)))
                except (OSError, ValueError, csv.Error):
                    continue  # a csv of something else: the next one may be a list of tags
                if self._read[1].rows:
                    return self._read[1]
            return Vocabulary()

    def _tagger_folders(self) -> Sequence[Path]:
        models = self._models or self._state.parent / "models"
        return (self._state, models)


def read(file: Path) -> list[Known]:
    """The tags of a csv: of a tagger (a header with name and count) or of a completion (name, kind, count, other names)."""
    with file.open(encoding="utf-8-sig", newline="", errors="strict") as text:
        rows = csv.reader(text)
        first = next(rows, [])
        if "name" in first:
            name, number = first.index("name"), first.index("count") if "count" in first else -1
            columns, body = (name, number, -1), rows
        else:
            columns = (0, 2, 3)
            body = (row for part in ([first], rows) for row in part)
        found: list[Known] = []
        for row in body:
            found += _known(row, *columns)
            if len(found) > MOST_ROWS:
                break
    return found


def _known(row: Sequence[str], name: int, number: int, others: int) -> list[Known]:
    if len(row) <= max(name, number) or not row[name].strip():
        return []
    tag = plain(row[name].strip())
    count = int(row[number]) if number >= 0 and row[number].strip().isdigit() else 0
    spelt = row[others].split(",") if 0 <= others < len(row) else []
    return [Known(tag, count), *(Known(plain(one.strip()), count, tag) for one in spelt if one.strip())]


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
