"""Whatever is wrong with a file, reading it ends with a picture or a sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.dataset import images
from lib_lora.pictures import catalog, headers, pixels

SAMPLES = {
    "png": {},
    "jpg": {"quality": 80},
    "webp": {"quality": 80},
}


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 10_000), st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=4))
def test_no_damage_whatever_breaks_a_reading(kind: str, cut_at: int, damage: list[tuple[float, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"a.{kind}"
        exif = Image.Exif()
        exif[images.ORIENTATION] = 6
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)).save(path, exif=exif, **SAMPLES[kind])
        content = bytearray(path.read_bytes())
        for place, change in damage:
            at = int(place * len(content))
            content[at : at + len(change)] = change
        path.write_bytes(bytes(content[:cut_at]))
        found = catalog.read(Path(name)).pictures[0]
        assert (found.size == (0, 0)) == (found.flaw is not None)
        for look in (pixels.whole, lambda path: pixels.small(path, 16)):
            try:
                assert look(path).mode == "RGB"
            except DataError as error:
                assert path.name in str(error)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"BM"]))
def test_any_bytes_are_a_picture_or_a_sentence(content: bytes, start: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "a.png").write_bytes(start + content)
        found = headers.peek(Path(name) / "a.png")
        assert (found.size == (0, 0)) == (found.flaw is not None)
