"""A project copy on a disk: what is written, what an update keeps, what undo and a crash leave."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lib_lora.core.errors import ConfigError, DataError, HostError
from lib_lora.core.messages import Message, say
from lib_lora.core.settings import load
from lib_lora.dataset import images, scan
from lib_lora.dataset.config import CaptionConfig, DataConfig
from lib_lora.pictures import catalog
from lib_lora.prepare import build, manifest, places, planning, project
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.plan import Known
from lib_lora.prepare.tools import Plain

ROOT = Path(__file__).resolve().parents[1]


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


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for index in range(4):
        picture(tmp_path / "6_kazari" / f"{index}.png", seed=index)
    return tmp_path / "6_kazari"


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


class TestWriting:
    def test_unchanged_pictures_are_copied_byte_for_byte_and_the_source_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        before = tree(source)
        done = prepare(source, tmp_path / "out", folders={"by": "one"})
        assert tree(source) == before
        assert {name.partition("/")[2]: content for name, content in tree(tmp_path / "out").items() if "/" in name} == before
        assert (done.made, done.same, done.warnings) == (4, 0, ())

    def test_training_reads_the_project_as_it_reads_any_set(self, source: Path, tmp_path: Path) -> None:
        known = Known(classes={"0.png": "face"}, repeats={"main": 3, "face": 5})
        prepare(source, tmp_path / "out", known, files={"trigger": "kazari_x"})
        items = scan.require(scan.scan(load(DataConfig, {"folder": str(tmp_path / "out")}), load(CaptionConfig, {})))
        assert sorted((item.path.parent.name, item.repeats, item.caption) for item in items) == [
            ("3_kazari_main", 3, "kazari_x, smile, left hand up"),
            *[("3_kazari_main", 3, "kazari_x, smile, left hand up")] * 2,
            ("5_kazari_face", 5, "kazari_x, smile, left hand up"),
        ]

    def test_flipped_copies_are_mirrored_with_swapped_words_and_no_originals(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", folders={"by": "one"}, copies={"flip": True})
        folder = tmp_path / "out" / "1_kazari"
        first, mirror = (np.asarray(Image.open(folder / name)) for name in ("0.png", "0_flip.png"))
        assert (first[:, ::-1] == mirror).all()
        assert text(folder / "0_flip.txt") == "smile, right hand up"
        found = manifest.read(tmp_path / "out")
        assert found is not None
        assert manifest.copies(tmp_path / "out") == {f"1_kazari/{index}_flip.png" for index in range(4)}
        assert manifest.copies(folder) == {f"{index}_flip.png" for index in range(4)}

    def test_a_prepared_project_prepared_again_leaves_its_copies_out(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", folders={"by": "one"}, copies={"flip": True})
        done = prepare(tmp_path / "out", tmp_path / "again", folders={"by": "folders"}, copies={"flip": True})
        assert files(tmp_path / "again") == files(tmp_path / "out")
        assert done.made == 8

    def test_what_the_file_says_of_camera_and_prompt_is_gone_and_the_pixels_are_not(self, tmp_path: Path) -> None:
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_text("parameters", "SECRET prompt")
        exif = Image.Exif()
        exif[0x010F] = "SECRET camera"
        for name, save in {"a.png": {"pnginfo": told, "exif": exif}, "b.jpg": {"exif": exif, "comment": b"SECRET", "quality": 90}, "c.webp": {"exif": exif}}.items():
            picture(tmp_path / "in" / name, **save)
            assert b"SECRET" in (tmp_path / "in" / name).read_bytes()
        prepare(tmp_path / "in", tmp_path / "out", folders={"by": "one"})
        for name in ("a.png", "b.jpg", "c.webp"):
            made = tmp_path / "out" / "1_in" / name
            assert b"SECRET" not in made.read_bytes()
            assert (np.asarray(images.open_picture(made)) == np.asarray(images.open_picture(tmp_path / "in" / name))).all()

    @pytest.mark.parametrize("kind", ["turned.jpg", "clear.png", "deep.png", "cmyk.jpg", "palette.png", "grey.png", "moving.webp"])
    def test_every_kind_of_picture_has_the_pixels_training_would_see(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "in" / kind
        path.parent.mkdir()
        save_kind(path)
        prepare(tmp_path / "in", tmp_path / "out", folders={"by": "one"})
        (made,) = (found for found in (tmp_path / "out" / "1_in").iterdir() if found.suffix != ".txt")
        seen = np.asarray(images.open_picture(path))
        assert (np.asarray(images.open_picture(made)) == seen).all()
        with Image.open(made) as opened:  # by any program, not only by ours
            assert opened.size == seen.shape[1::-1] and opened.getexif().get(0x0112, 1) == 1
            assert opened.mode in ("RGB", "L", "P") and "transparency" not in opened.info

    def test_names_of_all_alphabets_stay_and_those_windows_refuses_are_changed(self, tmp_path: Path) -> None:
        for name in ("飾利 右.png", "😀 smile.png", "con.png", "a..png", "nul.x.png", "deep/A.png", "a.png", "a.jpg", "deep/x" + "长" * 80 + ".png"):
            picture(tmp_path / "in" / name)
        if os.name != "nt":
            picture(tmp_path / "in" / 'q:"<1>?.png')
        prepare(tmp_path / "in", tmp_path / "out", folders={"by": "one"}, copies={"flip": True})
        stems = {Path(name).stem for name in files(tmp_path / "out")}
        assert {"飾利 右", "飾利 右_flip", "😀 smile", "con_", "nul_.x"} <= stems
        assert not any(set(stem) & set('<>:"/\\|?*') or stem.endswith((".", " ")) for stem in stems)
        assert all(len(f"{stem}.png".encode()) <= 255 for stem in stems)
        pictures = [Path(name) for name in files(tmp_path / "out") if not name.endswith(".txt")]
        assert len({path.stem.casefold() for path in pictures}) == len(pictures) == 2 * (9 + (os.name != "nt"))

    def test_upscaling_works_on_those_that_are_too_small_and_only_on_them(self, tmp_path: Path) -> None:
        picture(tmp_path / "in" / "large.png", (256, 300))
        picture(tmp_path / "in" / "small.png", (64, 96))
        tools = Doubling()
        made = plan_of(tmp_path / "in", None, tools.upscalers(), enlarge={"upscaler": "Red", "below": 128}, folders={"by": "one"})
        assert made.numbers["upscaled"] == 1
        prepare(tmp_path / "in", tmp_path / "out", tools=tools, enlarge={"upscaler": "Red", "below": 128}, folders={"by": "one"})
        assert tools.asked == [((64, 96), (128, 192))]
        small = np.asarray(Image.open(tmp_path / "out" / "1_in" / "small.png"))
        assert small.shape == (192, 128, 3) and (small == (255, 0, 0)).all()
        assert (tmp_path / "out" / "1_in" / "large.png").read_bytes() == (tmp_path / "in" / "large.png").read_bytes()

    def test_padding_is_centred_and_its_bars_are_tagged(self, tmp_path: Path) -> None:
        for name, size in {"wide": (200, 100), "tall": (100, 200), "square": (96, 96)}.items():
            picture(tmp_path / "in" / f"{name}.png", size)
        prepare(tmp_path / "in", tmp_path / "out", shape={"kind": "pad", "side": 128, "colour": "white"}, folders={"by": "one"})
        folder = tmp_path / "out" / "1_in"
        assert [text(folder / f"{name}.txt") for name in ("wide", "tall", "square")] == [
            "smile, left hand up, letterboxed",
            "smile, left hand up, pillarboxed",
            "smile, left hand up",
        ]
        for name, bars in {"wide": np.s_[[*range(32), *range(96, 128)], :], "tall": np.s_[:, [*range(32), *range(96, 128)]]}.items():
            pixels = np.asarray(Image.open(folder / f"{name}.png"))
            assert pixels.shape == (128, 128, 3) and (pixels[bars] == 255).all()
            inner = pixels[32:96] if name == "wide" else pixels[:, 32:96]
            assert (inner != 255).any(axis=2).mean() > 0.9

    def test_jpeg_is_offered_for_what_is_made_anew(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", shape={"kind": "centre", "size": "64,64"}, files={"format": "jpeg"}, folders={"by": "one"})
        with Image.open(tmp_path / "out" / "1_kazari" / "0.jpg") as found:
            assert (found.format, found.size) == ("JPEG", (64, 64))


def save_kind(path: Path) -> None:
    rgb = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    if path.stem == "turned":
        rgb.save(path, exif=exif)
    elif path.stem == "clear":
        rgb.putalpha(Image.linear_gradient("L").resize(rgb.size))
        rgb.save(path)
    elif path.stem == "deep":
        Image.fromarray(np.random.default_rng(2).integers(0, 65536, (40, 30), dtype=np.uint16)).save(path)
    elif path.stem == "cmyk":
        rgb.convert("CMYK").save(path)
    elif path.stem == "palette":
        rgb.quantize(16).save(path, transparency=3)
    elif path.stem == "grey":
        rgb.convert("L").save(path)
    else:
        rgb.save(path, save_all=True, append_images=[rgb.rotate(180)], lossless=True)
