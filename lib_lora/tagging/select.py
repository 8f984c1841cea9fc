"""Probabilities → the tags that are meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib_lora.tagging.labels import CHARACTER, RATING, Labels

MCUT_CHARACTER = 0.15  # below it, a character that stands out is only the least unlikely one


@dataclass(frozen=True)
class Thresholds:
    """From which probability on a tag counts, by category; `mcut` finds it anew for each picture instead."""

    general: float = 0.35
    character: float = 0.85
    mcut: bool = False

    def of(self, category: str) -> float:
        """Of a category; what is neither a character nor a rating is judged as the general ones are."""
        return self.character if category == CHARACTER else self.general


def mcut(values: np.ndarray) -> float:
    """The middle of the widest gap between neighbouring probabilities; 1 (nothing counts) where there are less than two."""
    if len(values) < 2:
        return 1.0
    falling = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    at = int(np.argmax(falling[:-1] - falling[1:]))
    return float((falling[at] + falling[at + 1]) / 2)


def select(row: np.ndarray, labels: Labels, thresholds: Thresholds) -> dict[str, dict[str, float]]:
    """Category → tag → probability, the likeliest first, of what is above its threshold. Ratings are left out."""
    found: dict[str, dict[str, float]] = {}
    for category, indices in labels.of.items():
        if category == RATING:
            continue
        values = row[list(indices)]
        limit = limit_of(values, category, thresholds)
        above = np.nonzero(values > limit)[0]
        # A stable order: equal ones stay as the list has them.
        falling = above[np.argsort(-values[above], kind="stable")]
        found[category] = {labels.names[indices[at]]: float(values[at]) for at in falling}
    return found


def limit_of(values: np.ndarray, category: str, thresholds: Thresholds) -> float:
    """The threshold of a category for one picture."""
    if not thresholds.mcut:
        return thresholds.of(category)
    limit = mcut(values)
    return max(MCUT_CHARACTER, limit) if category == CHARACTER else limit


def ratings(row: np.ndarray, labels: Labels) -> dict[str, float]:
    """Each rating's probability, the likeliest first; empty for taggers that rate nothing."""
    found = {labels.names[index]: float(row[index]) for index in labels.of.get(RATING, ())}
    return dict(sorted(found.items(), key=lambda item: -item[1]))
