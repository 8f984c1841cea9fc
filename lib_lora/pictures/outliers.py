"""What was seen of a set → the pictures whose style is unlike that of the others. A hint and nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from lib_lora.pictures.seen import Seen

FEWEST = 12  # pictures, below which there is no usual style to differ from
CLIP = 10.0  # one strange number makes no stranger
FAR = 3.2  # times the usual spread beyond the usual distance
LEAST = 1.5
SHARE = 0.5  # of the deviation, which a few strangers widen, where half of the set is all but equal
NORMAL = 1.4826  # a normal distribution's deviation in its median absolute ones


def find(seen: Mapping[str, Seen]) -> dict[str, float]:
    """The strangers: key → how many times farther than the limit they are (1 and more).

    Pictures are compared with those of the commonest tone: black and white ones in a coloured set are told as such.
    """
    common = Counter(one.tone for one in seen.values()).most_common(1)
    keys = sorted(key for key, one in seen.items() if one.tone == common[0][0]) if common else []
    if len(keys) < FEWEST:
        return {}
    far = distances(np.array([seen[key].style for key in keys]))
    spread = NORMAL * np.median(np.abs(far - np.median(far)))
    limit = max(LEAST, float(np.median(far) + FAR * spread))
    return {key: round(float(one) / limit, 3) for key, one in zip(keys, far, strict=True) if one > limit}


def distances(styles: np.ndarray) -> np.ndarray:
    """How far each row is from the middle of all, in spreads of the columns that half the rows set."""
    middle = np.median(styles, axis=0)
    apart = np.abs(styles - middle)
    spread = np.maximum(NORMAL * np.median(apart, axis=0), SHARE * styles.std(axis=0))
    usable = spread > 1e-6 * (1 + np.abs(middle))
    if not usable.any():
        return np.zeros(len(styles))
    strange = np.minimum(apart[:, usable] / spread[usable], CLIP)
    return np.sqrt((strange**2).mean(axis=1))
