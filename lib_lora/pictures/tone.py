"""Pixels → whether a picture is in colour, black and white, or one tint."""

from __future__ import annotations

import numpy as np

GREY = 12  # 99 of 100 pixels differ less between their channels
TINTED = 4.0  # spread of a* and b* around their mean
# A tint that fades towards black and white: one hue, as strong as the lightness says.
ACROSS, ALONG = 2.5, 4.0
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]], np.float32)
WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)


def tone(pixels: np.ndarray) -> str:
    """ "colour", "grey" or "tinted" for uint8 (H, W, 3)."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    # A reduction over an axis of three is many times slower.
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    if np.percentile(spread, 99) <= GREY:
        return "grey"
    return "tinted" if is_tinted(lab(pixels).reshape(-1, 3)) else "colour"


def lab(pixels: np.ndarray) -> np.ndarray:
    """sRGB uint8 (…, 3) → CIE L*a*b* float32 (D65)."""
    steps = np.arange(256, dtype=np.float32) / 255
    linear = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)[pixels]
    ratio = linear @ TO_XYZ.T / WHITE
    bent = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def is_tinted(points: np.ndarray) -> bool:
    """Whether L*a*b* points (N, 3) are shades of one colour."""
    colour = points[:, 1:]
    if (colour.std(axis=0) < TINTED).all():
        return True
    # The hue's line goes through grey; its direction is that of the strongest colours.
    _, vectors = np.linalg.eigh(colour.T @ colour)
    along, across = colour @ vectors[:, 1], colour @ vectors[:, 0]
    if across.std() > ACROSS or min(np.percentile(along, 98), -np.percentile(along, 2)) > ALONG:
        return False
    light = points[:, 0] / 100
    curve = np.stack([np.ones_like(light), light, light * light], axis=1)
    found, *_ = np.linalg.lstsq(curve, along, rcond=None)
    return bool((along - curve @ found).std() < ALONG)
