"""Rows of probabilities in memory: only what is likely enough to matter, so that thousands of pictures are asked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lib_lora.tagging.labels import Labels

SCALE = 32768
FLOOR = 0.02  # what is less likely is a tag nobody would see


@dataclass(frozen=True)
class Table:
    """Rows by pixels; `sentences` where the tagger writes them. Never changed: `with_rows` makes another one."""

    labels: Labels
    places: Mapping[str, int]
    rows: np.ndarray
    sentences: Mapping[str, str] = field(default_factory=dict)
    _known: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, labels: Labels) -> Table:
        """An empty one."""
        return cls(labels, {}, np.zeros((0, len(labels.names)), np.uint16))

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, pixels: object) -> bool:
        return pixels in self.places

    @property
    def names(self) -> list[str]:
        """The pixels whose rows there are."""
        return list(self.places)

    def dense(self) -> np.ndarray:
        """All rows, in the order of `names`."""
        return self.rows[list(self.places.values())]

    def with_rows(self, pixels: Sequence[str], rows: np.ndarray, sentences: Mapping[str, str] | None = None) -> Table:
        """With these rows at the end; a later row of the same pixels takes the place of an earlier one."""
        if not len(rows):
            return self
        places = {**self.places, **{name: len(self.rows) + at for at, name in enumerate(pixels)}}
        grown = np.concatenate([self.rows, rows]) if len(self.rows) else rows
        return Table(self.labels, places, grown, {**self.sentences, **sentences} if sentences else self.sentences)

    def row(self, pixels: str) -> np.ndarray:
        """All probabilities of a picture, float32."""
        return self.rows[self.places[pixels]].astype(np.float32) / SCALE

    def likely(self, pixels: str) -> tuple[np.ndarray, np.ndarray]:
        """The outputs from FLOOR up and their probabilities, the likeliest first; equal ones stay in the list's order."""
        if pixels not in self._known:
            row = self.rows[self.places[pixels]]
            there = np.nonzero(row >= round(FLOOR * SCALE))[0]
            order = np.argsort(-row[there].astype(np.int32), kind="stable")
            self._known[pixels] = (there[order], row[there][order].astype(np.float32) / SCALE)
        return self._known[pixels]

    def scores(self, pixels: str, without: str = "") -> Mapping[str, float]:
        """Tag → probability of what is likely enough, but for one category."""
        if pixels not in self.places:
            return {}
        found, values = self.likely(pixels)
        names, kinds = self.labels.names, self.labels.categories
        return {names[at]: float(value) for at, value in zip(found.tolist(), values, strict=True) if kinds[at] != without}


def single(labels: Labels, row: np.ndarray, sentence: str = "") -> tuple[Table, str]:
    """A table of one picture, and what the picture is called in it."""
    return Table.of(labels).with_rows(["it"], quantised(row)[None], {"it": sentence} if sentence else None), "it"


def quantised(row: np.ndarray) -> np.ndarray:
    """Probabilities as whole numbers of 1/32768; what is no number counts as 0."""
    return np.rint(np.clip(np.nan_to_num(row, nan=0.0), 0, 1) * SCALE).astype(np.uint16)
