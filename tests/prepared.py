"""What tests of preparing share: sets of pictures, a turn that is watched, an upscaler that marks what it made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from lib_lora.core.messages import Message
from lib_lora.core.settings import load
from lib_lora.pictures import catalog
from lib_lora.prepare import manifest, planning, project
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import Known
from lib_lora.prepare.tools import Plain


@dataclass
class Watching:
    """A turn that remembers what it was told, and ends after `end` pictures."""

    end: int | None = None
    told: list[tuple[int, int]] = field(default_factory=list)

    @property
    def cancelled(self) -> bool:
        return self.end is not None and len(self.told) >= self.end

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        self.told.append((done, total))


class Doubling(Plain):
    """An upscaler that marks what it has made: everything becomes red."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self.fails = fails

    def upscalers(self) -> tuple[str, ...]:
        return ("Lanczos", "Red")

    def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = lambda: True) -> Image.Image:
        assert name == "Red" and waiting()
        if self.fails:
            raise self.fails
        self.asked.append((image.size, size))
        return Image.new("RGB", size, "red")


def picture(path: Path, size: tuple[int, int] = (96, 128), seed: int = 0, caption: str | None = "smile, left hand up", **save: Any) -> Path:
    """A picture of soft noise, so that every pixel says where it came from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
    image.save(path, **save)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


def plan_of(root: Path, known: Known | None = None, upscalers: tuple[str, ...] = (), **settings: Any) -> Any:
    return planning.make(catalog.read(root), load(PrepareConfig, settings), known, upscalers)


def prepare(root: Path, target: Path, known: Known | None = None, tools: Any = None, turn: Any = None, **settings: Any) -> project.Done:
    tools = tools or Plain()
    made = plan_of(root, known, tools.upscalers(), **settings)
    return project.prepare(catalog.read(root), made, target, tools, turn or Watching())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def files(folder: Path) -> list[str]:
    return sorted(name for name in tree(folder) if name != manifest.NAME)


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
