"""A folder of pictures that is good, and one with every fault once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

TRIGGER = "ohwx"
SIDE = 128
SIZE = (SIDE, SIDE)


def drawing(seed: int, size: tuple[int, int] = SIZE, grey: bool = False) -> Image.Image:
    """A picture like no other: large soft shapes in its own colours."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    return image.convert("L").convert("RGB") if grey else image


def write(path: Path, image: Image.Image, caption: str | bytes | None = "") -> Path:
    """A picture with its caption; "" makes a good one, None none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"compress_level": 1} if path.suffix == ".png" else {}))
    if caption is not None:
        text = f"{TRIGGER}, 1girl, smile" if caption == "" else caption
        path.with_suffix(".txt").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def clean(folder: Path, pictures: int = 40, size: tuple[int, int] = SIZE) -> Path:
    """A set that nobody could find anything wrong with."""
    for index in range(pictures):
        write(folder / "2_girl" / f"{index:03}.png", drawing(index, size))
    return folder


def corrupt(path: Path) -> None:
    """Cut a file's end off."""
    path.write_bytes(path.read_bytes()[:-400])


def animation(path: Path, seed: int) -> None:
    """Two frames in a WebP."""
    write(path, drawing(seed))
    drawing(seed).save(path, save_all=True, append_images=[drawing(seed + 1)], duration=100)


def barred(seed: int, side: int = 12) -> Image.Image:
    """Black bars above and below."""
    image = drawing(seed)
    pixels = np.asarray(image).copy()
    pixels[:side] = pixels[-side:] = 0
    return Image.fromarray(pixels)
