"""A project copy on a disk: what is written, what an update keeps, what undo and a crash leave."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lib_lora.core.errors import BusyError, ConfigError, DataError, HostError
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
        for name, save in {
            "a.png": {"pnginfo": told, "exif": exif},
            "b.jpg": {"exif": exif, "comment": b"SECRET", "quality": 90},
            "c.webp": {"exif": exif},
        }.items():
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


class TestUpdating:
    def options(self, **more: Any) -> dict[str, Any]:
        return {"folders": {"by": "one"}, "copies": {"flip": True}, **more}

    def test_nothing_is_written_again_where_nothing_changed(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", **self.options())
        before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "1_kazari").glob("*.png")}
        done = prepare(source, tmp_path / "out", **self.options())
        assert (done.made, done.same) == (0, 8)
        assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "1_kazari").glob("*.png")}

    def test_only_what_changed_is_made_anew(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", **self.options())
        picture(source / "0.png", seed=99)
        picture(source / "new.png", seed=100)
        (source / "1.png").unlink()
        done = prepare(source, tmp_path / "out", **self.options())
        assert (done.made, done.same) == (4, 4)
        assert (tmp_path / "out" / "1_kazari" / "0.png").read_bytes() == (source / "0.png").read_bytes()
        assert {Path(name).stem for name in files(tmp_path / "out")} == {f"{stem}{end}" for stem in ("0", "2", "3", "new") for end in ("", "_flip")}

    def test_what_the_user_changed_in_the_project_stays_and_is_named(self, source: Path, tmp_path: Path) -> None:
        folder = tmp_path / "out" / "1_kazari"
        prepare(source, tmp_path / "out", **self.options())
        (folder / "0.txt").write_text("written by hand", encoding="utf-8")
        Image.new("RGB", (50, 50), "blue").save(folder / "1.png")
        (folder / "2.png").unlink()
        picture(folder / "mine.png", caption="also mine")
        (folder / "0.npz").write_bytes(b"cache")
        (source / "3.txt").write_text("frown, left hand up", encoding="utf-8")
        for _ in range(2):  # they are the user's at the second update, too
            done = prepare(source, tmp_path / "out", **self.options())
            assert set(done.kept) == {"1_kazari/0.txt", "1_kazari/1.png"}
            assert "by hand" in " ".join(warning.text() for warning in done.warnings)
            assert text(folder / "0.txt") == "written by hand" and text(folder / "3.txt") == "frown, left hand up"
            assert text(folder / "3_flip.txt") == "frown, right hand up"
            assert Image.open(folder / "1.png").size == (50, 50)
            assert not (folder / "2.png").exists() and (folder / "2_flip.png").exists()
            assert text(folder / "mine.txt") == "also mine" and (folder / "0.npz").read_bytes() == b"cache"

    def test_the_users_edits_follow_into_folders_with_other_repeats(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", Known(repeats={"main": 3}))
        (tmp_path / "out" / "3_kazari_main" / "0.txt").write_text("by hand", encoding="utf-8")
        (tmp_path / "out" / "3_kazari_main" / "notes.md").write_text("mine", encoding="utf-8")
        prepare(source, tmp_path / "out", Known(repeats={"main": 5}))
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"5_kazari_main", manifest.NAME}
        assert text(tmp_path / "out" / "5_kazari_main" / "0.txt") == "by hand"
        assert text(tmp_path / "out" / "5_kazari_main" / "notes.md") == "mine"

    def test_a_folder_that_the_user_renamed_for_other_repeats_is_known_again(self, source: Path, tmp_path: Path) -> None:
        prepare(source, tmp_path / "out", Known(repeats={"main": 3}))
        (tmp_path / "out" / "3_kazari_main").rename(tmp_path / "out" / "4_kazari_main")
        done = prepare(source, tmp_path / "out", Known(repeats={"main": 3}))
        assert done.same == 4 and {path.name for path in (tmp_path / "out").iterdir()} == {"3_kazari_main", manifest.NAME}

    def test_undo_takes_a_new_project_away_and_an_update_back(self, source: Path, tmp_path: Path) -> None:
        target = tmp_path / "out"
        prepare(source, target, **self.options())
        first = tree(target)
        (target / "1_kazari" / "0.txt").write_text("by hand", encoding="utf-8")
        edited = {**first, "1_kazari/0.txt": b"by hand"}
        prepare(source, target, shape={"kind": "centre", "size": "64,64"}, **self.options())
        assert Image.open(target / "1_kazari" / "0.png").size == (64, 64)
        undone = project.undo(target)
        assert undone.restored and tree(target) == edited
        assert manifest.read(undone.aside) is not None
        undone = project.undo(target)
        assert not undone.restored and not target.exists() and tree(undone.aside) == edited
        with pytest.raises(ConfigError, match="no project copy"):
            project.undo(target)
        assert tree(source)

    def test_the_last_states_are_kept_and_older_ones_go(self, source: Path, tmp_path: Path) -> None:
        for repeats in range(1, 7):
            prepare(source, tmp_path / "out", Known(repeats={"main": repeats}))
        states = sorted((tmp_path / places.TRASH).iterdir())
        assert [next(path.name for path in state.iterdir() if path.is_dir()) for state in states] == ["3_kazari_main", "4_kazari_main", "5_kazari_main"]


class TestRefusals:
    @pytest.mark.parametrize("place", ["6_kazari", "6_kazari/inside", ".", "full", "file", "con", "other"])
    def test_places_that_are_not_free_are_refused_with_a_sentence_and_nothing_changes(self, source: Path, tmp_path: Path, place: str) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "diary.txt").write_text("mine", encoding="utf-8")
        (tmp_path / "file").write_text("mine", encoding="utf-8")
        picture(tmp_path / "else" / "a.png")
        prepare(tmp_path / "else", tmp_path / "other")
        before = tree(tmp_path)
        with pytest.raises(ConfigError) as caught:
            prepare(source, (tmp_path / place).resolve() if place == "." else tmp_path / place)
        assert len(str(caught.value)) > 30
        assert tree(tmp_path) == before

    def test_an_empty_folder_is_taken(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        assert prepare(source, tmp_path / "out").made == 4

    def test_a_strangers_folder_in_the_way_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        way = places.building(tmp_path / "out")
        way.mkdir()
        (way / "diary.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(ConfigError, match="stands in the way"):
            prepare(source, tmp_path / "out")
        assert text(way / "diary.txt") == "mine"

    def test_pictures_that_broke_meanwhile_are_left_out_and_named(self, source: Path, tmp_path: Path) -> None:
        made, found = plan_of(source), catalog.read(source)
        (source / "0.png").write_bytes((source / "0.png").read_bytes()[:300])
        (source / "1.png").unlink()
        done = project.prepare(found, made, tmp_path / "out", Plain(), Watching())
        assert set(done.skipped) == {"0.png", "1.png"} and done.made == 2
        assert [name in " ".join(one.text() for one in done.warnings) for name in ("0.png", "1.png")] == [True, True]

    def test_none_of_them_readable_writes_nothing(self, source: Path, tmp_path: Path) -> None:
        made, found = plan_of(source), catalog.read(source)
        for path in source.glob("*.png"):
            path.write_bytes(b"no picture")
        with pytest.raises(DataError, match="cannot be read"):
            project.prepare(found, made, tmp_path / "out", Plain(), Watching())
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]

    @pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "does not let us write"), (errno.EIO, "did not work")])
    def test_what_the_disk_refuses_is_a_sentence_and_leaves_nothing(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
    ) -> None:
        prepare(source, tmp_path / "old")
        before, real, written = tree(tmp_path), Path.write_bytes, []

        def failing(path: Path, content: bytes) -> int:
            written.append(path)
            if len(written) == 5:
                raise OSError(number, os.strerror(number), str(path))
            return real(path, content)

        monkeypatch.setattr(Path, "write_bytes", failing)
        for target in ("old", "new"):
            written.clear()
            with pytest.raises(DataError, match=word):
                prepare(source, tmp_path / target, copies={"flip": True})
        assert tree(tmp_path) == before

    def test_too_little_room_is_said_before(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        with pytest.raises(ConfigError, match="MB free"):
            prepare(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("end", [0, 1, 3])
    def test_cancelled_it_leaves_what_was(self, source: Path, tmp_path: Path, end: int) -> None:
        prepare(source, tmp_path / "old")
        before = tree(tmp_path)
        for target in ("old", "new"):
            turn = Watching(end=end)
            assert prepare(source, tmp_path / target, turn=turn, copies={"flip": True}).cancelled
            assert len(turn.told) <= end
        assert tree(tmp_path) == before

    def test_cancelling_ends_the_wait_for_a_busy_host(self, source: Path, tmp_path: Path) -> None:
        turn = Watching()

        class Busy(Doubling):
            def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = lambda: True) -> Image.Image:
                turn.end = 0
                assert not waiting()
                raise BusyError(say("The WebUI was still busy when the wait for it was given up. Start again when it is free."))

        assert prepare(source, tmp_path / "out", tools=Busy(), turn=turn, enlarge={"upscaler": "Red", "below": 256}).cancelled
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]

    def test_an_upscaler_that_fails_ends_it_with_its_own_sentence(self, source: Path, tmp_path: Path) -> None:
        tools = Doubling(HostError(say("The upscaling was interrupted; nothing was written. Start again when you like.")))
        with pytest.raises(HostError, match="interrupted"):
            prepare(source, tmp_path / "out", tools=tools, enlarge={"upscaler": "Red", "below": 256})
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]


KILLED = """
import os, signal, sys
from pathlib import Path
from lib_lora.core.settings import load
from lib_lora.pictures import catalog
from lib_lora.prepare import build, places, planning, project
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.tools import Plain

source, target, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Turn:
    cancelled = False
    def tell(self, done, total, message=None):
        if where == f"picture {done}":
            die()

if where == "manifest":
    project.Builder.finish = die
elif where == "swap":
    real = Path.rename
    def rename(path, goal):
        return die() if path.name.endswith("-part") else real(path, goal)
    Path.rename = rename
elif where == "removal":
    real = project.Builder.finish
    def finish(builder):
        real(builder)
        Turn.cancelled = True
    project.Builder.finish = finish
    import shutil
    def partly(path, **__):
        min(path.rglob('*.png')).unlink()
        die()
    shutil.rmtree = partly
found = catalog.read(source)
plan = planning.make(found, load(PrepareConfig, {"folders": {"by": "one"}, "copies": {"flip": True}, "shape": {"kind": "centre", "size": "64,64"}}))
project.prepare(found, plan, target, Plain(), Turn())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
class TestCrash:
    @pytest.mark.parametrize("where", ["picture 1", "picture 3", "picture 7", "manifest", "swap", "removal"])
    @pytest.mark.parametrize("update", [False, True])
    def test_after_kill_9_the_project_is_the_old_one_or_none_and_the_next_run_goes_on(self, source: Path, tmp_path: Path, where: str, update: bool) -> None:
        target, before = tmp_path / "out", tree(source)
        if update:
            prepare(source, target, folders={"by": "one"}, copies={"flip": True})
            (target / "1_kazari" / "0.txt").write_text("by hand", encoding="utf-8")
        old = tree(target) if update else {}
        killed = subprocess.run([sys.executable, "-c", KILLED, str(source), str(target), where], cwd=ROOT, check=False)
        assert killed.returncode == -9
        assert tree(source) == before
        if where == "swap" and update:
            assert not target.exists()  # between two renames: both states lie beside it
        else:
            assert (tree(target) if target.exists() else {}) == old
        done = prepare(source, target, folders={"by": "one"}, copies={"flip": True}, shape={"kind": "centre", "size": "64,64"})
        assert len(files(target)) == 16 and all(Image.open(path).size == (64, 64) for path in target.rglob("*.png"))
        assert text(target / "1_kazari" / "0.txt") == ("by hand" if update else "smile, left hand up")
        left = [path.name for path in tmp_path.iterdir() if path.name not in ("6_kazari", "out", places.TRASH)]
        assert not left, left
        assert done.made + done.same == 8

    def test_finished_pictures_of_a_killed_run_are_not_made_again(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        subprocess.run([sys.executable, "-c", KILLED, str(source), str(tmp_path / "out"), "picture 7"], cwd=ROOT, check=False)
        journal = (places.building(tmp_path / "out") / build.JOURNAL).read_text(encoding="utf-8")
        finished = {json.loads(line)["file"] for line in journal.splitlines()}
        assert len(finished) == 7
        # A last line that was cut off is no entry, and a picture that was cut off is made anew.
        (places.building(tmp_path / "out") / build.JOURNAL).write_text(journal + '{"file": "1_ka', encoding="utf-8")
        broken = places.building(tmp_path / "out") / sorted(finished)[0]
        broken.write_bytes(broken.read_bytes()[:100])
        rendered: list[str] = []
        real = build.render

        def counted(copy: Any, *rest: Any) -> Any:
            rendered.append(copy.stem)
            return real(copy, *rest)

        monkeypatch.setattr(build, "render", counted)
        prepare(source, tmp_path / "out", folders={"by": "one"}, copies={"flip": True}, shape={"kind": "centre", "size": "64,64"})
        assert len(rendered) == 2 and broken.stem in rendered
        for path in (tmp_path / "out").rglob("*.png"):
            images.open_picture(path)
