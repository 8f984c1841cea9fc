"""A folder of drawn pictures of mixed sizes and kinds with captions, made once and kept for the next time."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

SIDES = (500, 2000)
SHELVES = ("6_main", "3_face", "2_full", "1_variants")
TAGS = tuple(
    f"{colour} {thing}"
    for colour in ("red", "blue", "green", "white", "black", "pink", "grey", "yellow")
    for thing in ("hair", "eyes", "dress", "hat", "ribbon", "shoes")
)
FRAMES = ("close-up", "upper body", "cowboy shot", "full body", "portrait", "standing", "sitting")
DONE = "pictures.json"


def make(folder: Path, pictures: int) -> Path:
    """`pictures` files below `folder`; what an earlier call made is used again."""
    note = folder / DONE
    wanted = {"pictures": pictures, "sides": list(SIDES), "version": 2}
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != wanted:
        note.unlink(missing_ok=True)
        for shelf in SHELVES:
            (folder / shelf).mkdir(parents=True, exist_ok=True)
        # Processes of their own: what drawing takes of memory is no part of what is measured.
        with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(_write, [str(folder)] * pictures, range(pictures), chunksize=20))
        note.write_text(json.dumps(wanted), encoding="utf-8")
    return folder


def _write(folder: str, n: int) -> None:
    rng = random.Random(n)  # noqa: S311 shapes and colours are no secret
    path = Path(folder) / SHELVES[n // 2 % len(SHELVES)] / f"picture {n:05}"
    image = draw(rng)
    if n % 2:
        image.save(path.with_suffix(".png"), compress_level=3)
    else:
        image.save(path.with_suffix(".jpg"), quality=92)
    tags = ["1girl", "solo", rng.choice(FRAMES), *rng.sample(TAGS, rng.randint(8, 24))]
    path.with_suffix(".txt").write_text(", ".join(tags), encoding="utf-8")


def draw(rng: random.Random) -> Image.Image:
    """A picture that nobody has seen: a soft ground, shapes, lines, a little grain."""
    width, height = rng.randint(*SIDES), rng.randint(*SIDES)
    few = np.random.default_rng(rng.randrange(1 << 30)).integers(60, 230, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)
    pen, unit = ImageDraw.Draw(image), min(width, height)
    for _ in range(rng.randint(10, 30)):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.2) * unit
        fill = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if rng.random() < 0.5:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=(30, 20, 40), width=max(1, unit // 300))
        else:
            pen.line([(x, y), (x + r * 2, y - r), (x + r * 3, y + r)], fill=fill, width=max(2, unit // 80))
    grain = _grain().resize((width, height)) if max(width, height) > _grain().width else _grain().crop((0, 0, width, height))
    return ImageChops.add(image, grain, 1, -2)


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 5, (SIDES[1], SIDES[1], 3), dtype=np.uint8))
