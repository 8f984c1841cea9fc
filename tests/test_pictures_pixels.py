"""Black and white, tints and bars, against drawn sets whose truth is known; real photographs as a second opinion."""

from __future__ import annotations

from pathlib import Path

import drawn
import numpy as np
import photos
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_lora.pictures import sight
from lib_lora.pictures.bars import bars
from lib_lora.pictures.tone import lab, tone

PICTURES = 300
NONE = (0, 0, 0, 0)


def scores(found: list[bool], true: list[bool]) -> tuple[float, float]:
    right = sum(one and other for one, other in zip(found, true, strict=True))
    return right / sum(found), right / sum(true)


def test_black_and_white_and_tints_are_told_from_colour() -> None:
    made = {"colour": lambda image, n: image, "grey": drawn.grey, "tinted": drawn.tinted}
    true = [list(made)[n % 3] for n in range(PICTURES)]
    found = [sight.seen_in(made[kind](drawn.draw(drawn.scene(5000 + n)).image, n)).tone for n, kind in enumerate(true)]
    for kind in made:
        precision, recall = scores([one == kind for one in found], [one == kind for one in true])
        print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {true.count(kind)} among {PICTURES}")
        assert precision >= 0.95
        assert recall >= 0.95


def test_bars_are_found_and_measured() -> None:
    found, true, exact = [], [], []
    for n in range(PICTURES):
        image = drawn.draw(drawn.scene(7000 + n)).image
        widths = NONE
        if n % 2:
            if not drawn.fills_its_frame(image):
                continue
            image, widths = drawn.barred(image, n)
        seen = sight.seen_in(image).bars
        found.append(any(seen))
        true.append(any(widths))
        exact += [max(abs(a - b) for a, b in zip(seen, widths, strict=True))] if any(seen) and any(widths) else []
    precision, recall = scores(found, true)
    print(f"bars: precision {precision:.3f}, recall {recall:.3f} of {sum(true)} among {len(true)}; at most {max(exact)} px off")
    assert precision >= 0.95
    assert recall >= 0.95
    assert max(exact) <= 2


def framed(size: tuple[int, int], widths: tuple[int, int, int, int], fill: int = 0) -> tuple[Image.Image, np.ndarray]:
    inner = np.random.default_rng(0).integers(60, 200, (size[1], size[0], 3), dtype=np.uint8)
    left, top, right, bottom = widths
    whole = np.full((size[1] + top + bottom, size[0] + left + right, 3), fill, np.uint8)
    whole[top : top + size[1], left : left + size[0]] = inner
    image = Image.fromarray(whole)
    return image, np.asarray(image.resize((256, 256), Image.Resampling.BOX))


@settings(deadline=None, max_examples=60)
@given(st.integers(8, 60), st.integers(0, 8), st.booleans(), st.sampled_from([0, 10, 255]))
def test_bars_are_measured_to_the_pixel(width: int, more: int, letter: bool, fill: int) -> None:
    widths = (0, width, 0, width + more) if letter else (width, 0, width + more, 0)
    assert bars(*framed((320, 240), widths, fill)) == (widths if more <= width else NONE)


@pytest.mark.parametrize("widths", [(20, 30, 20, 30), (0, 30, 0, 0), (0, 0, 25, 0), (0, 40, 0, 10), (0, 2, 0, 2)])
def test_bars_come_in_pairs(widths: tuple[int, int, int, int]) -> None:
    paired = min(widths[0], widths[2]) + min(widths[1], widths[3]) > 30
    assert bars(*framed((320, 240), widths)) == (widths if paired and widths != (0, 40, 0, 10) else NONE)


def test_a_figure_on_paper_has_no_bars() -> None:
    """However wide the paper around it: nothing is cut off there."""
    image = Image.new("RGB", (300, 400), "white")
    drawn.ImageDraw.Draw(image).ellipse((60, 100, 240, 300), fill=(200, 60, 60))
    assert sight.seen_in(image).bars == NONE
    assert sight.seen_in(Image.new("RGB", (300, 400), "black")).bars == NONE
    assert sight.seen_in(Image.new("RGB", (3, 2), "white")).bars == NONE


def test_lab_is_cies() -> None:
    """D65 values of the sRGB primaries, as every table gives them to a tenth."""
    pixels = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.2, 80.1, 67.2], [87.7, -86.2, 83.2], [32.3, 79.2, -107.9], [50.0, 0, 0]]
    assert np.abs(lab(pixels) - expected).max() < 0.15


def test_few_coloured_pixels_leave_a_picture_grey() -> None:
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (100, 100, 1), dtype=np.uint8), 3, axis=2)
    assert tone(pixels) == "grey"
    pixels[:9, :10] = (255, 0, 0)
    assert tone(pixels) == "grey"
    pixels[:60, :60] = (255, 0, 0)
    assert tone(pixels) == "colour"


def test_photographs_are_judged_as_people_would(tmp_path: Path) -> None:
    found = {path.name: sight.see(path) for path in photos.make_photos(tmp_path).rglob("*") if path.suffix != ".txt" and path.is_file()}
    assert {name: seen.tone for name, seen in found.items() if seen.tone != "colour"} == {"camera_448.png": "grey"}
    assert {seen.bars for seen in found.values()} == {NONE}
