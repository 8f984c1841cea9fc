"""Pictures as files and as pixels."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import photos
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from lib_lora.core.errors import DataError
from lib_lora.dataset import images
from lib_lora.dataset.resize import shrink

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "buckets.json").read_text(encoding="utf-8"))["resizes"]
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def noise(size: tuple[int, int], seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (size[1], size[0], channels)).astype(np.uint8)


def halves(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """Red above, blue below."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (0, size[1] // 2, size[0], size[1]))
    return image


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("golden", GOLDEN, ids=[f"{one['old']}to{one['new']}" for one in GOLDEN])
def test_shrinking_is_opencvs_area_to_the_bit(golden: dict[str, Any]) -> None:
    old, new = golden["old"], golden["new"]
    expected = np.frombuffer(zlib.decompress(base64.b85decode(golden["zlib"])), np.uint8).reshape(new[1], new[0], 3)
    assert np.array_equal(shrink(noise(old, old[0] * 1000 + new[0]), tuple(new)), expected)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_shrinking_keeps_the_mean_and_the_range(width: int, height: int, data: st.DataObject) -> None:
    size = (data.draw(st.integers(1, width)), data.draw(st.integers(1, height)))
    pixels = noise((width, height))
    small = shrink(pixels, size)
    assert small.shape == (size[1], size[0], 3)
    assert abs(small.mean(dtype=float) - pixels.mean(dtype=float)) <= 0.51
    assert np.array_equal(shrink(np.full_like(pixels, 200), size), np.full_like(small, 200))


@pytest.mark.parametrize(("resized", "larger"), [((30, 20), False), ((80, 48), True), ((30, 60), True)])
def test_fit_takes_lanczos_where_a_side_grows(resized: tuple[int, int], larger: bool) -> None:
    image = Image.fromarray(noise((40, 24)))
    whole = images.fit(image, resized, (0, 0), resized)
    lanczos = np.asarray(image.resize(resized, Image.Resampling.LANCZOS))
    assert np.array_equal(whole, lanczos) == larger
    if not larger:
        assert np.array_equal(whole, shrink(np.asarray(image), resized))


def test_fit_cuts_the_bucket_out_where_it_is_told() -> None:
    pixels = noise((50, 40))
    cut = images.fit(Image.fromarray(pixels), (50, 40), (7, 3), (32, 30))
    assert np.array_equal(cut, pixels[3:33, 7:39])
    assert cut.flags["C_CONTIGUOUS"]
    assert cut.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_pictures_stand_as_their_exif_says(tmp_path: Path, orientation: int, kind: str) -> None:
    """Whatever way a camera stored it, red is above and the size is that of the upright picture."""
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation)
    stored = halves() if back is None else halves().transpose(images.TURNS[back])
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    path = saved(tmp_path / f"a.{kind}", stored, exif=exif, **({} if kind == "png" else {"quality": 100}))
    picture = images.open_picture(path)
    assert images.look(path).size == picture.size == (40, 24)
    assert picture.getpixel((20, 2))[0] > 200
    assert picture.getpixel((20, 21))[2] > 200


@pytest.mark.parametrize("broken", [0, 9, 77])
def test_a_senseless_orientation_turns_nothing(tmp_path: Path, broken: Any) -> None:
    exif = Image.Exif()
    exif[images.ORIENTATION] = broken
    path = saved(tmp_path / "a.jpg", halves(), exif=exif)
    assert images.look(path).size == images.open_picture(path).size == (40, 24)


def test_broken_exif_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", halves(), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert images.look(path).size == images.open_picture(path).size == (40, 24)


def corner(path: Path) -> tuple[int, ...]:
    return images.open_picture(path).getpixel((0, 0))


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    """sd-scripts would show the hidden colour."""
    hidden = Image.new("RGBA", (8, 8), (0, 255, 0, 0))
    assert corner(saved(tmp_path / "rgba.png", hidden)) == WHITE
    assert corner(saved(tmp_path / "rgba.webp", hidden, lossless=True)) == WHITE
    assert corner(saved(tmp_path / "la.png", Image.new("LA", (8, 8), (30, 0)))) == WHITE
    assert corner(saved(tmp_path / "half.png", Image.new("RGBA", (8, 8), (0, 0, 0, 128)))) == (127, 127, 127)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 255, 0, 255, 0, 0])
    assert corner(saved(tmp_path / "p.png", palette)) == RED
    assert corner(saved(tmp_path / "p_clear.png", palette, transparency=1)) == WHITE
    assert corner(saved(tmp_path / "rgb_key.png", Image.new("RGB", (8, 8), BLUE), transparency=BLUE)) == WHITE
    assert corner(saved(tmp_path / "l_key.png", Image.new("L", (8, 8), 7), transparency=7)) == WHITE


def test_all_ways_of_storing_colour_are_read(tmp_path: Path) -> None:
    assert corner(saved(tmp_path / "l.png", Image.new("L", (8, 8), 90))) == (90, 90, 90)
    assert corner(saved(tmp_path / "1.png", Image.new("1", (8, 8), 1))) == WHITE
    deep = Image.fromarray(np.full((8, 8), 257 * 90, np.uint16))
    assert corner(saved(tmp_path / "16.png", deep)) == (90, 90, 90)
    cmyk = corner(saved(tmp_path / "cmyk.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100))
    assert cmyk[0] > 230
    assert max(cmyk[1:]) < 40
    assert corner(saved(tmp_path / "b.bmp", halves())) == RED
    assert corner(saved(tmp_path / "really_png.jpg", halves(), format="PNG")) == RED


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    for kind in ("png", "webp"):
        path = saved(tmp_path / f"a.{kind}", frames[0], save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "webp" else {}))
        assert images.look(path).animated
        assert corner(path) == RED
        assert not images.look(saved(tmp_path / f"b.{kind}", frames[0])).animated


@pytest.fixture(params=[False, True], ids=["strict", "lenient"])
def pillow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Programs around us may have told Pillow to accept truncated files; that must change nothing."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    return request.param


@pytest.mark.parametrize("kind", ["png", "jpg", "progressive.jpg", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_file_cut_off_anywhere_is_noticed(tmp_path: Path, pillow: bool, kind: str, share: float) -> None:
    photo = photos.make_photos(tmp_path / "photos") / "3_portrait" / "astronaut_512.png"
    with Image.open(photo) as image:
        whole = saved(tmp_path / f"whole.{kind}", image.convert("RGB"), **({"progressive": True} if "progressive" in kind else {}))
    assert images.look(whole).flaw is None
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(content[: int(len(content) * share)])
    assert images.look(cut).flaw is not None
    with pytest.raises(DataError, match="cut"):
        images.open_picture(cut)


def test_a_whole_file_is_accepted_either_way(tmp_path: Path, pillow: bool) -> None:
    for kind in ("png", "jpg", "webp", "bmp"):
        path = saved(tmp_path / f"a.{kind}", Image.fromarray(noise((64, 48))))
        assert images.look(path).flaw is None
        assert images.open_picture(path).size == (64, 48)


def test_a_changed_byte_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(noise((64, 48))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert images.look(path).flaw is not None
    with pytest.raises(DataError, match="damaged"):
        images.open_picture(path)


def test_a_png_of_whole_chunks_without_all_its_rows_is_noticed(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes((1 + 3 * 8) * 8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    for data, good in ((rows, True), (rows[: len(rows) // 2], False)):
        path = tmp_path / "a.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
        assert (images.look(path).flaw is None) == good


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "empty"), (b"hello", "not a picture"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture"), (b"\x89PNG\r\n\x1a\n", "picture|damaged")],
)
def test_what_is_no_picture_is_said_so(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "图 1.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=word) as caught:
        images.open_picture(path)
    assert "图 1.png" in str(caught.value)
    assert images.look(path).flaw is not None


def test_a_file_that_is_gone_is_said_so(tmp_path: Path) -> None:
    assert images.look(tmp_path / "a.png").flaw is not None
    for read in (images.open_picture, images.content_hash):
        with pytest.raises(DataError, match=r"a\.png.*cannot be opened"):
            read(tmp_path / "a.png")


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "GIF"]))
def test_damaged_files_never_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise((16, 12))).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "a.png"
    path.write_bytes(content)
    images.look(path)
    with contextlib.suppress(DataError):
        assert images.open_picture(path).mode == "RGB"


def test_the_hash_is_of_the_content_alone(tmp_path: Path) -> None:
    one = saved(tmp_path / "a.png", halves())
    two = tmp_path / "b.png"
    two.write_bytes(one.read_bytes())
    assert images.content_hash(one) == images.content_hash(two) == images.look(one).stamp
    before = one.stat()
    content = bytearray(one.read_bytes())
    content[-1] ^= 1
    one.write_bytes(content)
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert images.content_hash(one) != images.content_hash(two)
