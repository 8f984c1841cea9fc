"""Rows of probabilities → captions, and what becomes of a caption that is there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lib_lora.dataset import captions
from lib_lora.tagging.labels import CHARACTER, GENERAL, RATING, Labels
from lib_lora.tagging.rules import Ready, Rules, ready, unique, without
from lib_lora.tagging.select import Thresholds, limit_of
from lib_lora.tagging.table import Table

KEPT = 0.05  # a tag to keep is taken from here up: below, the tagger has not seen it
SKIP, OVERWRITE, PREPEND, APPEND = POLICIES = ("skip", "overwrite", "prepend", "append")
# Where categories stand in a caption.
PLACES = {CHARACTER: 0, "copyright": 1, GENERAL: 2}
TARGET = Thresholds(0.5, 0.85)
REGULARISATION = Thresholds(0.35, 0.85)


@dataclass(frozen=True)
class Wish:
    """How captions are to be made. The training set takes few tags, the regularisation set many."""

    rules: Rules = field(default_factory=Rules)
    target: Thresholds = TARGET
    regularisation: Thresholds = REGULARISATION
    policy: str = OVERWRITE


class Composer:
    """Makes captions of one table's rows."""

    def __init__(self, table: Table, wish: Wish) -> None:
        self.table, self.wish = table, wish
        self._labels: Labels = table.labels
        self._ready: Ready = ready(wish.rules, table.labels)
        self._places = np.array([PLACES.get(category, 3) for category in table.labels.categories], dtype=np.int8)
        wanted = [category in wish.rules.categories and category != RATING for category in table.labels.categories]
        self._wanted = np.array(wanted, dtype=bool)
        self._kept = np.isin(np.arange(len(wanted)), list(self._ready.kept))
        self._trigger = captions.tags(wish.rules.trigger)
        # What was worked out for a picture: it is counted, written and compared.
        self._chosen: dict[tuple[str, bool], list[int]] = {}
        self._made: dict[tuple[str, bool], list[str]] = {}
        self._limits = {False: self._fixed(wish.target), True: self._fixed(wish.regularisation)}

    def chosen(self, pixels: str, regularisation: bool) -> list[int]:
        """The outputs whose tags are meant, in the order of a caption."""
        if (pixels, regularisation) not in self._chosen:
            self._chosen[pixels, regularisation] = self._choose(pixels, regularisation)
        return self._chosen[pixels, regularisation]

    def _choose(self, pixels: str, regularisation: bool) -> list[int]:
        found, values = self.table.likely(pixels)
        thresholds = self.wish.regularisation if regularisation else self.wish.target
        limits = self._of_picture(pixels, thresholds) if thresholds.mcut else self._limits[regularisation]
        meant = self._wanted[found] & ((values > limits[found]) | (self._kept[found] & (values >= KEPT)))
        there = found[meant]
        # `likely` is by probability already, and stays so within a category.
        return there[np.argsort(self._places[there], kind="stable")].tolist()

    def caption(self, pixels: str, regularisation: bool = False) -> str:
        """The whole caption."""
        return ", ".join(self._parts(pixels, regularisation))

    def _parts(self, pixels: str, regularisation: bool) -> list[str]:
        if (pixels, regularisation) not in self._made:
            self._made[pixels, regularisation] = self._make(pixels, regularisation)
        return self._made[pixels, regularisation]

    def _make(self, pixels: str, regularisation: bool) -> list[str]:
        # A sentence stands where tags would, in one piece with its commas; rules about tags do not reach into it.
        rules, sentence = self.wish.rules, self.table.sentences.get(pixels, "")
        tags = [sentence] if sentence else [tag for at in self.chosen(pixels, regularisation) for tag in self._ready.written[at]]
        rated = self._rating(pixels) if rules.rating else []
        whole = unique([*([] if regularisation else self._trigger), *rules.first, *tags, *rated, *rules.last])
        return without(whole, self._trigger) if regularisation else whole

    def merged(self, before: str, pixels: str, regularisation: bool = False) -> str:
        """What is written where `before` stands. The trigger stays first, and never in the regularisation set.

        Where no tag is likely enough, what stands there stays: an empty caption teaches nothing, and trainers refuse it.
        """
        old, policy = captions.tags(before), self.wish.policy
        if policy == SKIP and old:
            return before
        new = self._parts(pixels, regularisation)
        if not new:
            return before
        if policy not in (PREPEND, APPEND) or not old:
            return ", ".join(new)
        sentence = self.table.sentences.get(pixels, "")
        made = [part for part in new if part != sentence or part not in before] if sentence else captions.tags(", ".join(new))
        parts = without([*old, *made] if policy == APPEND else [*made, *old], self._trigger)
        return ", ".join(unique([*([] if regularisation else self._trigger), *parts]))

    def counts(self, pixels: Sequence[str], regularisation: bool) -> Counter[str]:
        """Tags with in how many of these pictures each is meant, as they will be written."""
        outputs: Counter[int] = Counter()
        for one in pixels:
            outputs.update(self.chosen(one, regularisation))
        found: Counter[str] = Counter()
        for at, number in outputs.items():
            for tag in self._ready.written[at]:
                found[tag] += number
        return found

    def _rating(self, pixels: str) -> list[str]:
        rows = self._labels.of.get(RATING, ())
        if not rows:
            return []
        values = self.table.rows[self.table.places[pixels]][list(rows)]
        return [self._labels.names[rows[int(np.argmax(values))]].replace("_", " ")]

    def _fixed(self, thresholds: Thresholds) -> np.ndarray:
        return np.array([thresholds.of(category) for category in self._labels.categories], dtype=np.float32)

    def _of_picture(self, pixels: str, thresholds: Thresholds) -> np.ndarray:
        row, limits = self.table.row(pixels), np.ones(len(self._labels.names), dtype=np.float32)
        for category, indices in self._labels.of.items():
            limits[list(indices)] = limit_of(row[list(indices)], category, thresholds)
        return limits
