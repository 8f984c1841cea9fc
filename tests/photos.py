"""Real photographs with captions written for them: from scikit-image's wheel, nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

# In every wheel from 0.21 on. (file, side a copy is shrunk to, how it is stored, folder, caption)
PHOTOS = (
    ("astronaut.png", 512, "png", "3_portrait", "a portrait photo of a smiling woman, orange space suit, flag in the background"),
    ("camera.png", 448, "grey.png", "3_portrait", "black and white photo, a man in a coat, camera on a tripod, lawn"),
    ("coffee.png", 600, "tall.jpg", "2_object", "a cup of coffee, saucer, spoon, wooden table"),
    ("rocket.jpg", 640, "turned.jpg", "2_object", "a rocket on its launch pad, tower, dusk, sea"),
    ("motorcycle_left.png", 560, "turned.jpeg", "2_object", "a red motorcycle, garage, concrete floor"),
    ("chelsea.png", 451, "png", "4_cat", "a tabby cat, close-up, whiskers, looking to the side"),
    ("chelsea.png", 300, "clear.png", "4_cat", "a tabby cat, round cut-out, white background"),
)
SIDEWAYS = 6  # EXIF: the stored picture has to be turned a quarter to the right


def make_photos(folder: Path) -> Path:
    """Write the pictures into `folder`/N_concept folders: PNG and JPEG, grey, transparent, tall, two lying on their side by EXIF."""
    source = _source()
    for name, side, kind, inside, caption in PHOTOS:
        with Image.open(source / name) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        path = folder / inside / f"{Path(name).stem}_{side}.{kind.split('.')[-1]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(picture, path, kind)
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
    return folder


def _source() -> Path:
    # Found and not imported: the package itself is heavy and only its files are wanted.
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("scikit-image is not installed; its wheel carries the photographs")
    return Path(found.origin).parent / "data"


def _save(picture: Image.Image, path: Path, kind: str) -> None:
    if kind.startswith("turned"):
        exif = Image.Exif()
        exif[0x0112] = SIDEWAYS
        picture.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)
    elif kind.startswith("clear"):
        mask = Image.radial_gradient("L").resize(picture.size).point(lambda far: 255 if far < 128 else 0)
        picture.putalpha(mask)
        picture.save(path)
    elif kind.startswith("grey"):
        picture.convert("L").save(path)
    elif kind.startswith("tall"):
        wide, high = picture.size
        picture.crop(((wide - high * 2 // 3) // 2, 0, (wide + high * 2 // 3) // 2, high)).save(path, quality=92)
    else:
        picture.save(path)
