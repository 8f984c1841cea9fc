"""A project copy on a disk: what is written, what an update keeps, what undo brings back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prepared import Doubling, files, picture, plan_of, prepare, text, tree

from lib_lora.core.errors import ConfigError
from lib_lora.core.settings import load
from lib_lora.dataset import images, scan
from lib_lora.dataset.config import CaptionConfig, DataConfig
from lib_lora.prepare import manifest, places, project
from lib_lora.prepare.plan import Known


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for index in range(4):
        picture(tmp_path / "6_kazari" / f"{index}.png", seed=index)
    return tmp_path / "6_kazari"


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


def test_a_project_and_its_earlier_state_share_no_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(source, out, folders={"by": "one"})
    (out / "1_kazari" / "own.png").write_bytes(b"of the user")
    before = tree(out)
    picture(source / "new.png", seed=9)
    assert prepare(source, out, folders={"by": "one"}).same == 4
    for path in out.rglob("*.png"):
        with path.open("r+b") as file:
            file.write(b"painted over")
    project.undo(out)
    assert tree(out) == before
