"""Drawn pictures with known truth: scenes that differ, and copies, mirror images, variants, tones and bars of them."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Colour = tuple[int, int, int]
SIZES = ((256, 384), (384, 256), (320, 320), (300, 400), (288, 432), (360, 270))
PLACES = ("paper", "paper", "sky", "room", "night", "pattern", "gradient")
EXPRESSIONS = ("smile", "open", "sad", "wink", "blush")


@dataclass(frozen=True)
class Scene:
    """What a picture shows. The same scene is drawn the same; `expression` and `dress` are what variants change."""

    seed: int
    size: tuple[int, int]
    expression: str = "smile"
    dress: Colour | None = None
    extra: str = ""


@dataclass(frozen=True)
class Shown:
    """A drawn picture and where the face is: (left, top, right, bottom) in pixels."""

    image: Image.Image
    face: tuple[float, float, float, float]


def scene(seed: int, size: tuple[int, int] | None = None) -> Scene:
    """One of endlessly many scenes."""
    rng = random.Random(seed)
    return Scene(seed, size or rng.choice(SIZES))


def variant(one: Scene, n: int) -> Scene:
    """The same picture with another expression, dress or thing in it: one of a differential group."""
    rng = random.Random(one.seed * 1000 + n)
    changes = (
        {"expression": EXPRESSIONS[1 + n % 4]},
        {"expression": EXPRESSIONS[1 + n % 4], "dress": _colour(rng)},
        {"expression": EXPRESSIONS[1 + n % 4], "extra": rng.choice(("bubble", "sweat", "sign"))},
    )
    return replace(one, **changes[n % 3])


def draw(one: Scene) -> Shown:
    """Draw a scene."""
    rng = random.Random(one.seed)
    image = _ground(rng, one.size)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 6)):
        _thing(pen, rng, one.size)
    face = _figure(pen, rng, one)
    for _ in range(rng.randint(0, 3)):
        _thing(pen, rng, one.size)
    if rng.random() < 0.5:
        grain = np.random.default_rng(one.seed).normal(0, rng.uniform(1, 6), (one.size[1], one.size[0], 1))
        image = Image.fromarray((np.asarray(image, np.float32) + grain).clip(0, 255).astype(np.uint8))
    return Shown(image, face)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The picture as a JPEG gives it back."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def near(image: Image.Image, seed: int) -> Image.Image:
    """A copy as the net makes them: other size, other quality, a little brighter."""
    rng = random.Random(seed)
    kind = rng.choice(("quality", "smaller", "larger", "brighter", "sharper"))
    if kind == "quality":
        return jpeg(image, rng.randint(35, 75))
    if kind in ("smaller", "larger"):
        scale = rng.uniform(0.5, 0.9) if kind == "smaller" else rng.uniform(1.1, 1.6)
        return jpeg(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS), rng.randint(60, 95))
    if kind == "brighter":
        return jpeg(ImageEnhance.Brightness(image).enhance(rng.uniform(0.95, 1.05)), 90)
    return jpeg(image.filter(ImageFilter.UnsharpMask(1.5, 60)), 85)


def mirrored(image: Image.Image) -> Image.Image:
    """The mirror image, saved anew."""
    return jpeg(ImageOps.mirror(image), 88)


def grey(image: Image.Image, seed: int) -> Image.Image:
    """Black and white, as such pictures are stored: truly grey or as a JPEG in colour."""
    return jpeg(image.convert("L").convert("RGB"), 70 + seed % 25)


def tinted(image: Image.Image, seed: int) -> Image.Image:
    """One colour from dark to light, sepia for instance, or an even tint over everything."""
    rng = random.Random(seed)
    hue = rng.choice(((112, 84, 50), (60, 80, 130), (130, 70, 90), (70, 110, 80)))
    if rng.random() < 0.5:
        return jpeg(ImageOps.colorize(image.convert("L"), (0, 0, 0), (255, 255, 255), mid=hue), 85)
    light = tuple(min(255, part + 120) for part in hue)
    dark = tuple(part // 4 for part in hue)
    return jpeg(ImageOps.colorize(image.convert("L"), dark, light), 85)


def barred(image: Image.Image, seed: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """With bars as video frames and padding have them, and their widths (left, top, right, bottom)."""
    rng = random.Random(seed)
    width, height = image.size
    share = rng.uniform(0.03, 0.22)
    fill = rng.choice(((0, 0, 0), (0, 0, 0), (255, 255, 255), (8, 8, 8)))
    letter = rng.random() < 0.5
    first = max(6, round((height if letter else width) * share))
    second = first + rng.choice((0, 0, 1))
    box = (0, first, 0, second) if letter else (first, 0, second, 0)
    whole = Image.new("RGB", (width + box[0] + box[2], height + box[1] + box[3]), fill)
    whole.paste(image, (box[0], box[1]))
    return (jpeg(whole, 90) if rng.random() < 0.5 else whole), box


def fills_its_frame(image: Image.Image) -> bool:
    """Whether a picture has something other than black or white along all four sides: only then a bar can be seen as one."""
    pixels = np.asarray(image)
    sides = (pixels[:4], pixels[-4:], pixels[:, :4].transpose(1, 0, 2), pixels[:, -4:].transpose(1, 0, 2))
    return all(((side.max(axis=2) > 45) & (side.min(axis=2) < 210)).mean() > 0.75 for side in sides)


def save(image: Image.Image, path: Path) -> Path:
    """As a file of the kind its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 90} if path.suffix != ".png" else {"compress_level": 1}))
    return path


def _colour(rng: random.Random, low: int = 20, high: int = 245) -> Colour:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def _ground(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    place = rng.choice(PLACES)
    if place == "paper":
        return Image.new("RGB", size, rng.choice(((255, 255, 255), (250, 250, 250), _colour(rng, 190, 255))))
    if place in ("sky", "gradient", "night"):
        above, below = (_colour(rng, 0, 60), _colour(rng, 10, 90)) if place == "night" else (_colour(rng, 90, 240), _colour(rng))
        image = Image.linear_gradient("L").resize(size).rotate(rng.choice((0, 180)))
        image = Image.composite(Image.new("RGB", size, above), Image.new("RGB", size, below), image)
        if place == "sky":
            ImageDraw.Draw(image).rectangle((0, round(size[1] * rng.uniform(0.55, 0.85)), *size), fill=_colour(rng))
        return image
    image = Image.new("RGB", size, _colour(rng, 60, 230))
    pen = ImageDraw.Draw(image)
    if place == "pattern":
        step, fill = rng.randint(14, 50), _colour(rng, 60, 230)
        for x in range(0, size[0] + size[1], step * 2):
            pen.line((x, 0, x - size[1], size[1]), fill=fill, width=step // 2)
    else:
        pen.rectangle((0, round(size[1] * rng.uniform(0.6, 0.9)), *size), fill=_colour(rng))
        left, top, wide = rng.uniform(0, 0.7) * size[0], rng.uniform(0.05, 0.3) * size[1], rng.uniform(0.15, 0.3) * size[0]
        pen.rectangle((left, top, left + wide, top + wide), fill=_colour(rng, 150, 255), outline=_colour(rng, 0, 100), width=4)
    return image


def _thing(pen: ImageDraw.ImageDraw, rng: random.Random, size: tuple[int, int]) -> None:
    x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0.03, 0.16) * min(size)
    fill, kind = _colour(rng), rng.randrange(4)
    if kind == 0:
        pen.ellipse((x - r, y - r, x + r, y + r * rng.uniform(0.4, 1)), fill=fill)
    elif kind == 1:
        pen.rectangle((x - r, y - r * rng.uniform(0.2, 1), x + r, y + r), fill=fill, outline=_colour(rng, 0, 80))
    elif kind == 2:
        turns = [(math.tau * n / 10, r if n % 2 else r * 0.45) for n in range(10)]
        pen.polygon([(x + far * math.cos(turn), y + far * math.sin(turn)) for turn, far in turns], fill=fill)
    else:
        pen.line((x - r * 2, y - r, x + r * 2, y + r), fill=fill, width=max(2, round(r / 4)))


def _figure(pen: ImageDraw.ImageDraw, rng: random.Random, one: Scene) -> tuple[float, float, float, float]:
    width, height = one.size
    head = min(width, height) * rng.uniform(0.07, 0.3)
    x, y = width * rng.uniform(0.3, 0.7), max(head * 1.3, height * rng.uniform(0.2, 0.5))
    hair, skin, dress = _colour(rng), (rng.randint(225, 255), rng.randint(195, 228), rng.randint(170, 210)), _colour(rng)
    long, lean = rng.uniform(0.8, 3.5), rng.uniform(-0.5, 0.5)
    pen.ellipse((x - head * 1.2, y - head * 1.2, x + head * 1.2, y + head * long), fill=hair)
    pen.polygon(
        [(x, y + head * 0.7), (x - head * rng.uniform(0.9, 1.7), height), (x + head * (1 + lean), height)], fill=one.dress or dress, outline=(60, 50, 70)
    )
    for side in (-1, 1):
        bend = rng.uniform(-1, 2.5)
        pen.line((x + side * head * 0.5, y + head * 1.2, x + side * head * 1.7, y + head * (1.2 + bend)), fill=skin, width=max(2, round(head * 0.25)))
    box = (x - head * 0.9, y - head * 0.85, x + head * 0.9, y + head)
    pen.ellipse(box, fill=skin)
    pen.pieslice((x - head, y - head * 1.1, x + head, y + head * 0.7), 180, 360, fill=hair)
    _face(pen, x, y, head, one.expression, _colour(rng, 10, 140))
    _extra(pen, x, y, head, one.extra)
    return box


def _face(pen: ImageDraw.ImageDraw, x: float, y: float, head: float, expression: str, eyes: Colour) -> None:
    thin = max(1, round(head * 0.08))
    for side in (-1, 1):
        at = x + side * head * 0.4
        if expression == "wink" and side == 1:
            pen.line((at - head * 0.2, y + head * 0.25, at + head * 0.2, y + head * 0.25), fill=eyes, width=thin)
        else:
            pen.ellipse((at - head * 0.16, y + head * 0.02, at + head * 0.16, y + head * 0.45), fill=eyes)
    if expression == "open":
        pen.ellipse((x - head * 0.3, y + head * 0.5, x + head * 0.3, y + head * 0.95), fill=(150, 40, 50))
    elif expression == "sad":
        pen.arc((x - head * 0.3, y + head * 0.6, x + head * 0.3, y + head), 190, 350, fill=(150, 60, 70), width=thin)
    else:
        pen.arc((x - head * 0.3, y + head * 0.35, x + head * 0.3, y + head * 0.75), 20, 160, fill=(150, 60, 70), width=thin)
    if expression == "blush":
        for side in (-1, 1):
            pen.ellipse((x + side * head * 0.62 - head * 0.22, y + head * 0.4, x + side * head * 0.62 + head * 0.22, y + head * 0.7), fill=(240, 120, 120))


def _extra(pen: ImageDraw.ImageDraw, x: float, y: float, head: float, extra: str) -> None:
    if extra == "bubble":
        pen.ellipse((x + head * 1.1, y - head * 1.2, x + head * 2.4, y - head * 0.3), fill=(255, 255, 255), outline=(20, 20, 20), width=2)
    elif extra == "sweat":
        pen.ellipse((x + head * 0.7, y - head * 0.9, x + head * 1.05, y - head * 0.2), fill=(150, 210, 250))
    elif extra == "sign":
        pen.rectangle((x - head * 0.9, y + head * 1.5, x + head * 0.9, y + head * 2.4), fill=(250, 240, 190), outline=(90, 60, 30), width=2)
