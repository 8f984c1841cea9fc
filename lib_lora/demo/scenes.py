"""A small set of captioned pictures, drawn by us: a character in twelve scenes, in several shapes, as PNG and JPEG."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from lib_lora.core.files import write_bytes, write_text

TRIGGER = "tako"
REPEATS = 4
SCALE = 4  # drawn larger and brought down: PIL's own lines have hard edges
EXIF_ORIENTATION, EXIF_LEFT = 0x0112, 6


@dataclass(frozen=True)
class Scene:
    """What one picture shows. `size` is (width, height)."""

    size: tuple[int, int]
    background: str
    ground: str
    thing: str
    colour: str
    place: str
    jpeg: bool = False
    turned: bool = False

    @property
    def caption(self) -> str:
        """The tags of the picture, the trigger word not among them."""
        return f"1girl, solo, {self.place}, {self.colour} {self.thing}, {self.background} sky, {self.ground} grass"


COLOURS = {
    "red": (214, 62, 62),
    "orange": (238, 146, 48),
    "yellow": (246, 214, 84),
    "green": (92, 168, 92),
    "blue": (96, 150, 222),
    "purple": (138, 96, 186),
    "pink": (240, 160, 190),
    "white": (242, 242, 246),
    "grey": (140, 146, 156),
    "black": (40, 42, 56),
}
SCENES = (
    Scene((256, 256), "blue", "green", "hat", "red", "standing"),
    Scene((256, 256), "pink", "green", "star", "yellow", "standing"),
    Scene((320, 224), "blue", "yellow", "tree", "green", "left", jpeg=True),
    Scene((320, 224), "orange", "purple", "sun", "red", "right"),
    Scene((224, 320), "black", "grey", "moon", "yellow", "standing"),
    Scene((224, 320), "blue", "green", "heart", "pink", "standing", jpeg=True),
    Scene((256, 384), "purple", "blue", "star", "white", "standing"),
    Scene((384, 256), "white", "blue", "house", "orange", "left"),
    Scene((300, 260), "yellow", "green", "hat", "blue", "right", jpeg=True, turned=True),
    Scene((288, 288), "grey", "white", "tree", "green", "standing"),
    Scene((256, 192), "blue", "yellow", "heart", "red", "right", jpeg=True),
    Scene((192, 256), "pink", "purple", "moon", "white", "standing"),
)


def draw(folder: Path, seed: int = 7) -> Path:
    """Write the set into `folder/4_tako/` with its captions; returns `folder`. What is there is written anew."""
    target = folder / f"{REPEATS}_{TRIGGER}"
    for number, scene in enumerate(SCENES, 1):
        name = target / f"{number:02d}"
        content = _encoded(_picture(scene, random.Random(seed + number)), scene)  # noqa: S311 shades of colour are no secret
        write_bytes(name.with_suffix(".jpg" if scene.jpeg else ".png"), content)
        write_text(name.with_suffix(".txt"), scene.caption + "\n")
    return folder


def _encoded(image: Image.Image, scene: Scene) -> bytes:
    buffer = io.BytesIO()
    if not scene.jpeg:
        image.save(buffer, "PNG")
        return buffer.getvalue()
    exif = Image.Exif()
    if scene.turned:
        # As cameras store an upright picture: lying, with a note on how to turn it.
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[EXIF_ORIENTATION] = EXIF_LEFT
    image.save(buffer, "JPEG", quality=92, exif=exif)
    return buffer.getvalue()


def _picture(scene: Scene, rng: random.Random) -> Image.Image:
    width, height = (side * SCALE for side in scene.size)
    image = Image.new("RGB", (width, height), _shade(COLOURS[scene.background], rng))
    pen = ImageDraw.Draw(image)
    horizon = round(height * rng.uniform(0.62, 0.72))
    pen.rectangle((0, horizon, width, height), fill=_shade(COLOURS[scene.ground], rng))
    unit = min(width, height)
    where = {"left": 0.34, "right": 0.66}.get(scene.place, 0.5)
    _thing(pen, scene, width * (1 - where if where != 0.5 else 0.82), height * 0.2, unit * 0.11)
    _figure(pen, width * where, horizon, unit, COLOURS[scene.colour] if scene.thing == "hat" else None)
    return image.resize(scene.size, Image.Resampling.LANCZOS)


def _figure(pen: ImageDraw.ImageDraw, x: float, ground: float, unit: float, hat: tuple[int, int, int] | None) -> None:
    """The character: a round blue-haired one in a white dress, the same in every picture."""
    head, y = unit * 0.16, ground - unit * 0.34
    for side in (-1, 1):
        pen.line((x + side * head * 0.35, ground - unit * 0.1, x + side * head * 0.4, ground + unit * 0.12), fill=(250, 214, 190), width=round(unit * 0.035))
        pen.line((x, y + head * 1.5, x + side * head * 1.3, y + head * 1.9), fill=(250, 214, 190), width=round(unit * 0.03))
    pen.polygon([(x, y + head * 0.7), (x - head, ground), (x + head, ground)], fill=(246, 246, 250), outline=(60, 60, 80))
    pen.ellipse((x - head * 1.15, y - head * 1.15, x + head * 1.15, y + head * 1.25), fill=(72, 108, 204))
    pen.ellipse((x - head * 0.85, y - head * 0.75, x + head * 0.85, y + head), fill=(252, 222, 200))
    pen.pieslice((x - head, y - head * 1.1, x + head, y + head * 0.7), 180, 360, fill=(72, 108, 204))
    for side in (-1, 1):
        pen.ellipse((x + side * head * 0.4 - head * 0.14, y + head * 0.05, x + side * head * 0.4 + head * 0.14, y + head * 0.42), fill=(44, 40, 70))
    pen.arc((x - head * 0.25, y + head * 0.35, x + head * 0.25, y + head * 0.75), 20, 160, fill=(160, 60, 70), width=max(round(head * 0.07), 1))
    if hat:
        pen.polygon([(x, y - head * 2.1), (x - head, y - head * 0.8), (x + head, y - head * 0.8)], fill=hat)


def _thing(pen: ImageDraw.ImageDraw, scene: Scene, x: float, y: float, size: float) -> None:
    colour = COLOURS[scene.colour]
    box = (x - size, y - size, x + size, y + size)
    if scene.thing == "star":
        pen.polygon(_star(x, y, size), fill=colour)
    elif scene.thing == "heart":
        pen.ellipse((x - size, y - size, x, y + size * 0.3), fill=colour)
        pen.ellipse((x, y - size, x + size, y + size * 0.3), fill=colour)
        pen.polygon([(x - size * 0.95, y), (x + size * 0.95, y), (x, y + size * 1.2)], fill=colour)
    elif scene.thing == "tree":
        pen.rectangle((x - size * 0.2, y + size, x + size * 0.2, y + size * 3.4), fill=(120, 84, 56))
        pen.ellipse((x - size * 1.3, y - size, x + size * 1.3, y + size * 1.7), fill=colour)
    elif scene.thing == "house":
        pen.rectangle((x - size * 1.2, y + size, x + size * 1.2, y + size * 3), fill=colour)
        pen.polygon([(x, y - size * 0.4), (x - size * 1.5, y + size), (x + size * 1.5, y + size)], fill=(150, 70, 60))
    elif scene.thing in ("sun", "moon"):
        pen.ellipse(box, fill=colour)
    if scene.thing == "moon":
        pen.ellipse((x - size * 0.4, y - size, x + size * 1.4, y + size * 0.8), fill=COLOURS[scene.background])


def _star(x: float, y: float, size: float) -> list[tuple[float, float]]:
    turns = [(math.tau * point / 10 - math.pi / 2, size if point % 2 == 0 else size * 0.42) for point in range(10)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle, radius in turns]


def _shade(colour: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    """The colour a little lighter or darker."""
    by = rng.uniform(0.92, 1.06)
    red, green, blue = (min(round(part * by), 255) for part in colour)
    return red, green, blue
