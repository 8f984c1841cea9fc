"""A picture → the array a tagger's graph expects, by the arithmetic of the models' author."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lib_lora.tagging.profile import Profile

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS, "bilinear": Image.Resampling.BILINEAR}


def opaque(image: Image.Image) -> Image.Image:
    """The picture on white, RGB."""
    if image.mode == "RGB":
        return image
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def square(image: Image.Image, pad: tuple[int, int, int]) -> Image.Image:
    """The picture in the middle of a square of its longer side; the odd pixel goes to the right or the bottom."""
    width, height = image.size
    side = max(width, height)
    if width == height:
        return image
    canvas = Image.new("RGB", (side, side), pad)
    canvas.paste(image, ((side - width) // 2, (side - height) // 2))
    return canvas


def prepare(image: Image.Image, profile: Profile, size: int) -> np.ndarray:
    """float32 (size, size, 3), or (3, size, size) where the profile's layout is NCHW."""
    squared = square(opaque(image), profile.pad)
    if squared.size != (size, size):
        squared = squared.resize((size, size), FILTERS[profile.resize])
    pixels = np.asarray(squared, dtype=np.float32)
    if profile.order == "BGR":
        pixels = pixels[:, :, ::-1]
    if (profile.scale, profile.mean, profile.std) != (1.0, 0.0, 1.0):
        pixels = (pixels / np.float32(profile.scale) - np.float32(profile.mean)) / np.float32(profile.std)
    if profile.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)
