"""Folder → catalogue: what is read, what is left out, and what every bad file is told."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.dataset import images
from lib_lora.pictures import catalog, headers, pixels, thumbs
from lib_lora.pictures.picture import Catalog, Picture


def put(path: Path, size: tuple[int, int] = (40, 24), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 40)).save(path, **options)
    return path


def keys(found: Catalog) -> list[str]:
    return [one.key for one in found.pictures]


def one(folder: Path, name: str) -> Picture:
    return catalog.read(folder).by_key()[name]


def told(found: Catalog) -> str:
    return "\n".join(str(problem) for problem in found.problems)


def png_header(size: tuple[int, int]) -> bytes:
    """A whole PNG that says it is that large and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_a_tree_of_any_shape_is_read_in_the_order_of_its_keys(tmp_path: Path) -> None:
    for name in ("z.png", "6_kazari/b.jpg", "6_kazari/deep/er/a.webp", "loose/c.bmp", "0_none/d.jpeg", "6_kazari/A.PNG"):
        put(tmp_path / name)
    found = catalog.read(tmp_path)
    assert keys(found) == sorted(["0_none/d.jpeg", "6_kazari/A.PNG", "6_kazari/b.jpg", "6_kazari/deep/er/a.webp", "loose/c.bmp", "z.png"])
    assert [(one.key, one.repeats, one.concept, one.count) for one in found.shelves] == [
        ("", None, tmp_path.name, 1),
        ("0_none", None, "0_none", 1),
        ("6_kazari", 6, "kazari", 2),
        ("6_kazari/deep/er", None, "er", 1),
        ("loose", None, "loose", 1),
    ]
    assert not found.problems
    assert {one.size for one in found.pictures} == {(40, 24)}
    assert found.by_key()["z.png"].mark == ((tmp_path / "z.png").stat().st_size, (tmp_path / "z.png").stat().st_mtime_ns)


def test_what_is_not_the_users_pictures_is_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "a-masklabel.png", "mask/a.png", "conditioning/x.png", ".hidden/a.png", ".a.png", "lora_studio/cache/a.png", "__MACOSX/a.png"):
        put(tmp_path / name)
    found = catalog.read(tmp_path)
    assert keys(found) == ["a.png"]
    assert "mask: left out" in told(found)
    assert "conditioning: left out" in told(found)


def test_a_folder_called_mask_with_other_pictures_is_no_mask(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "mask" / "a.png")
    put(tmp_path / "mask" / "woman in a mask.png")
    assert keys(catalog.read(tmp_path)) == ["a.png", "mask/a.png", "mask/woman in a mask.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_sizes_are_those_of_the_picture_as_it_is_seen(tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    path = put(tmp_path / f"a.{kind}", exif=exif)
    found = one(tmp_path, path.name)
    assert found.size == images.look(path).size == pixels.whole(path).size
    assert found.size == ((24, 40) if orientation >= 5 else (40, 24))


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (17, 300), (801, 5)])
def test_the_size_in_a_webp(tmp_path: Path, lossless: bool, size: tuple[int, int]) -> None:
    put(tmp_path / "a.webp", size, lossless=lossless)
    assert one(tmp_path, "a.webp").size == size
    Image.new("RGBA", size, (9, 9, 9, 80)).save(tmp_path / "a.webp", lossless=lossless)
    found = one(tmp_path, "a.webp")
    assert found.size == size
    assert "transparent" in str(found.notes[0])


CAPTIONS = [
    (b"1girl, solo\r\nsecond", "1girl, solo\r\nsecond", "1girl, solo"),
    ("\ufeff触发词, 1girl".encode(), "触发词, 1girl", "触发词, 1girl"),
    (b"", "", ""),
]


@pytest.mark.parametrize(("content", "text", "caption"), CAPTIONS)
def test_captions_are_decoded(tmp_path: Path, content: bytes, text: str, caption: str) -> None:
    put(tmp_path / "a.png").with_suffix(".txt").write_bytes(content)
    found = one(tmp_path, "a.png")
    assert (found.text, found.caption, found.text_flaw) == (text, caption, None)


@pytest.mark.parametrize("content", ["标注".encode("gbk"), "1girl".encode("utf-16"), b"a" * (2 << 20)], ids=["gbk", "utf-16", "endless"])
def test_a_caption_that_cannot_be_used_says_so_and_stays(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path / "a.png").with_suffix(".txt")
    path.write_bytes(content)
    found = catalog.read(tmp_path)
    assert found.pictures[0].text is None
    assert "a.txt" in str(found.pictures[0].text_flaw)
    assert str(found.pictures[0].text_flaw) in told(found)
    assert path.read_bytes() == content


def test_no_caption_is_no_text(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    assert (one(tmp_path, "a.png").text, one(tmp_path, "a.png").caption) == (None, "")


def test_same_stems_are_told_on_both(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png", "in/a.png"):
        put(tmp_path / name)
    found = catalog.read(tmp_path)
    assert {one.key: one.shares for one in found.pictures} == {"a.jpg": "a.png", "a.png": "a.jpg", "b.png": "", "in/a.png": ""}
    assert "a.jpg and a.png share one caption file, a.txt" in told(found)


@pytest.mark.parametrize("name", ["🌸 花.png", "a b  c.png", "画像 (1).jpg", "a..b...png", "100%.png", "'quoted' & more.png", "{n}.png", "x" * 120 + ".png"])
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "图 {0} 集"
    put(folder / name).with_suffix(".txt").write_text("tag", encoding="utf-8")
    found = catalog.read(tmp_path)
    assert keys(found) == [f"图 {{0}} 集/{name}"]
    assert found.pictures[0].caption == "tag"
    assert thumbs.thumb(found.pictures[0], tmp_path / "cache").is_file()


def test_a_name_that_is_no_text_is_left_out_and_told(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    try:
        (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    except OSError:
        pytest.skip("this system knows no such names")
    put(tmp_path / "b.png")
    found = catalog.read(tmp_path)
    assert keys(found) == ["b.png"]
    assert "rename it" in told(found)
    told(found).encode("utf-8")


def cut(path: Path, share: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def noisy(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp"])
def test_a_file_that_was_cut_off_is_told_at_once(tmp_path: Path, kind: str) -> None:
    path = cut(noisy(tmp_path / f"a.{kind}"))
    size = path.stat().st_size
    found = catalog.read(tmp_path)
    assert found.pictures[0].size == (0, 0)
    assert "cut off" in str(found.pictures[0].flaw) or "not a picture" in str(found.pictures[0].flaw)
    assert path.name in told(found)
    assert path.stat().st_size == size
    with pytest.raises(DataError, match="cannot be read"):
        thumbs.thumb(found.pictures[0], tmp_path / "cache")


BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello, this is no picture", "not a picture"),
    "huge": (png_header((20_000, 20_000)), "far too many pixels"),
    "nothing": (png_header((0, 5)), "damaged"),
    "headless": (png_header((9, 9)).replace(b"IHDR", b"IXDR"), "damaged"),
    "signature": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "short jpeg": (b"\xff\xd8\xff", "damaged"),
    "short webp": (b"RIFF\0\0\0\0WEBP", "damaged"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_bad_file_gets_a_sentence_and_takes_no_other_down(tmp_path: Path, name: str, suffix: str) -> None:
    content, sentence = BAD[name]
    (tmp_path / f"bad.{suffix}").write_bytes(content)
    put(tmp_path / "good.png")
    found = catalog.read(tmp_path)
    bad, good = found.pictures
    assert bad.size == (0, 0)
    assert sentence in str(bad.flaw) or "not a picture" in str(bad.flaw)
    assert good.size == (40, 24)
    assert good.flaw is None
    assert (tmp_path / f"bad.{suffix}").read_bytes() == content


@pytest.mark.parametrize("limit", [None, 1_000, headers.PIXELS])
def test_the_limit_of_pixels_is_ours(tmp_path: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs around us change Pillow's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    (tmp_path / "huge.png").write_bytes(png_header((20_000, 20_000)))
    put(tmp_path / "small.png", (20, 20))
    huge, small = catalog.read(tmp_path).pictures
    assert "20000×20000" in str(huge.flaw)
    assert small.size == (20, 20)


def test_a_large_picture_counts_but_is_not_decoded_for_looking(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_header((9_000, 6_000)))
    found = one(tmp_path, "large.png")
    assert (found.size, found.flaw) == ((9_000, 6_000), None)
    assert "so large" in str(found.notes[0])
    with pytest.raises(DataError, match="so large"):
        thumbs.thumb(found, tmp_path / "cache")


def test_a_large_jpeg_is_shown_unless_it_is_progressive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.jpg", (1200, 800))
    put(tmp_path / "b.jpg", (1200, 800), progressive=True)
    put(tmp_path / "c.png", (1200, 800))
    monkeypatch.setattr(headers, "LARGE", 500_000)
    for picture, shown in zip(catalog.read(tmp_path).pictures, (True, False, False), strict=True):
        assert "so large" in str(picture.notes[0])
        if shown:
            assert thumbs.thumb(picture, tmp_path / "cache").is_file()
        else:
            with pytest.raises(DataError, match="so large"):
                thumbs.thumb(picture, tmp_path / "cache")


def test_animated_pictures_are_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (0, 90, 250)]
    for name, kind in (("a.png", "PNG"), ("b.webp", "WEBP"), ("c.png", "GIF")):
        frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:])
    found = catalog.read(tmp_path)
    assert [(one.animated, one.size) for one in found.pictures] == [(True, (30, 20))] * 3
    assert all("first frame" in str(one.notes[0]) for one in found.pictures)
    assert "3 pictures are animated" in told(found)
    for each in found.pictures:
        with Image.open(thumbs.thumb(each, tmp_path / "cache")) as image:
            assert image.size == (30, 20)


def palette() -> Image.Image:
    image = Image.new("P", (30, 20), 3)
    image.putpalette([0, 0, 0, 10, 200, 10, 30, 30, 30, 0, 90, 0])
    return image


PECULIAR = {
    "cmyk.jpg": (Image.new("CMYK", (30, 20), (0, 200, 200, 0)), "CMYK", {}),
    "deep.png": (Image.fromarray(np.full((20, 30), 40_000, np.uint16)), "16 bits", {}),
    "clear.png": (Image.new("RGBA", (30, 20), (200, 0, 0, 0)), "transparent", {}),
    "palette.png": (palette(), "transparent", {"transparency": 3}),
}


@pytest.mark.parametrize("name", PECULIAR)
def test_peculiar_pictures_are_read_and_say_what_is_done(tmp_path: Path, name: str) -> None:
    image, word, options = PECULIAR[name]
    image.save(tmp_path / name, **options)
    found = one(tmp_path, name)
    assert (found.size, found.flaw) == ((30, 20), None)
    assert word in str(found.notes[0])
    assert f"{name}: {found.notes[0]}" in told(catalog.read(tmp_path))
    shown = pixels.small(found.path, 16)
    assert (shown.mode, shown.size) == ("RGB", (16, 11))
    expected = {"cmyk.jpg": (255, 55, 55), "deep.png": (156, 156, 156), "clear.png": (255, 255, 255), "palette.png": (255, 255, 255)}[name]
    assert np.abs(np.asarray(shown, int) - expected).max() <= 6


def links(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    put(root / "in" / "a.png")
    try:
        (root / "in" / "loop").symlink_to(root, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    return root


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = links(tmp_path)
    (root / "self").symlink_to(root / "self")
    (root / "b.png").symlink_to(root / "b.png")
    (root / "gone.png").symlink_to(tmp_path / "nothing.png")
    found = catalog.read(root)
    assert keys(found) == ["b.png", "gone.png", "in/a.png"]
    assert [bool(one.flaw) for one in found.pictures] == [True, True, False]
    assert "not followed" in told(found)


def test_links_to_elsewhere_are_followed_once_and_only_where_that_is_open(tmp_path: Path) -> None:
    root = links(tmp_path)
    put(tmp_path / "other" / "b.png")
    (tmp_path / "other" / "back").symlink_to(root, target_is_directory=True)
    for name in ("one", "two"):
        (root / name).symlink_to(tmp_path / "other", target_is_directory=True)
    (root / "file.png").symlink_to(tmp_path / "other" / "b.png")
    assert keys(catalog.read(root)) == ["file.png", "in/a.png", "one/b.png"]
    inside = catalog.read(root, [root])
    assert keys(inside) == ["in/a.png"]
    assert "leads out of the folders" in told(inside)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in told(catalog.read(tmp_path / "gone"))
    assert catalog.read(tmp_path / "gone").pictures == ()


def test_kinds_that_are_not_read_are_told(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b.tiff")
    assert "1 picture of a kind that is not read: b.tiff" in told(catalog.read(tmp_path))


def test_a_folder_far_too_large_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MOST", 3)
    for name in ("1.png", "2.png", "a/3.png", "b/4.png", "c/5.png"):
        put(tmp_path / name)
    found = catalog.read(tmp_path)
    assert keys(found) == ["1.png", "2.png", "a/3.png"]
    assert "the first 3 pictures are shown" in told(found)


def test_a_thumbnail_is_small_upright_and_made_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    put(tmp_path / "a.jpg", (1200, 600), exif=exif)
    picture = one(tmp_path, "a.jpg")
    first = thumbs.thumb(picture, tmp_path / "cache")
    with Image.open(first) as image:
        assert (image.format, image.size) == ("JPEG", (128, 256))
    shutil.copy(tmp_path / "a.jpg", tmp_path / "kept")
    (tmp_path / "a.jpg").unlink()
    assert thumbs.thumb(picture, tmp_path / "cache") == first
    put(tmp_path / "a.jpg", (300, 900))
    changed = thumbs.thumb(one(tmp_path, "a.jpg"), tmp_path / "cache")
    assert changed != first
    with Image.open(thumbs.thumb(one(tmp_path, "a.jpg"), tmp_path / "cache", 90)) as image:
        assert image.size == (30, 90)


def test_old_thumbnails_go_first(tmp_path: Path) -> None:
    for n in range(6):
        put(tmp_path / "in" / f"{n}.png", (20 + n, 20))
    made = [thumbs.thumb(each, tmp_path / "cache") for each in catalog.read(tmp_path / "in").pictures]
    for n, path in enumerate(made):
        os.utime(path, (1_000_000 + n, 1_000_000 + n))
    assert thumbs.tidy(tmp_path / "cache", keep=2) == 4
    assert [path.is_file() for path in made] == [False] * 4 + [True] * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    put(tmp_path / "1_a" / "a.png")
    put(tmp_path / "1_a" / "b.png")
    os.mkfifo(tmp_path / "1_a" / "b.txt")
    os.mkfifo(tmp_path / "1_a" / "pipe.png")
    (tmp_path / "1_a" / "null.png").symlink_to("/dev/null")
    found = catalog.read(tmp_path)
    assert keys(found) == ["1_a/a.png", "1_a/b.png", "1_a/null.png", "1_a/pipe.png"]
    assert [one.flaw is None for one in found.pictures] == [True, True, False, False]
    assert "1_a/pipe.png" in told(found) and "no ordinary file" in told(found)
    assert "no ordinary file" in str(found.by_key()["1_a/b.png"].text_flaw)
    for read in (pixels.whole, images.open_picture):
        with pytest.raises(DataError):
            read(tmp_path / "1_a" / "pipe.png")
