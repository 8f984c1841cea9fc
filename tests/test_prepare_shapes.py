"""Crops, padding, the subject of a picture: geometry as properties, and faces whose place is known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from lib_lora.core.settings import load
from lib_lora.prepare import focus, shapes
from lib_lora.prepare.config import PrepareConfig

SIDES = st.integers(1, 6000)
SIZES = st.tuples(SIDES, SIDES)
WANTED = st.tuples(st.integers(64, 2048), st.integers(64, 2048))


def config(**shape: object) -> PrepareConfig:
    return load(PrepareConfig, {"shape": shape})


class TestCover:
    @settings(deadline=None)
    @given(SIZES, WANTED)
    def test_a_cut_lies_inside_fills_the_size_and_touches_two_sides(self, size: tuple[int, int], wanted: tuple[int, int]) -> None:
        found = shapes.cover(size, wanted)
        assert 1 <= found.cut[0] <= size[0] and 1 <= found.cut[1] <= size[1]
        assert found.resized == found.canvas == wanted
        assert found.cut[0] == size[0] or found.cut[1] == size[1]
        # The shape is kept to a pixel: nothing is squeezed.
        assert abs(found.cut[0] * wanted[1] - found.cut[1] * wanted[0]) <= max(wanted) * 0.5 + 1 or 1 in found.cut

    @pytest.mark.parametrize("size", [(600, 800), (1000, 1100), (640, 600)])
    def test_sources_that_other_croppers_give_black_bars_have_none(self, size: tuple[int, int]) -> None:
        for wanted in ((512, 768), (768, 512)):
            found = shapes.cover(size, wanted, follows=True)
            image = Image.new("RGB", size, "white")
            box = focus.place(image, found.cut)
            assert np.asarray(image.crop(box)).min() == 255

    @settings(deadline=None)
    @given(SIZES, WANTED, st.data())
    def test_the_cut_keeps_a_known_face_wherever_it_fits(self, size: tuple[int, int], wanted: tuple[int, int], data: st.DataObject) -> None:
        cut = shapes.cover(size, wanted).cut
        left, top = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
        face = (left, top, data.draw(st.integers(left + 1, size[0])), data.draw(st.integers(top + 1, size[1])))
        box = shapes.around(size, cut, face)
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1] and (box[2] - box[0], box[3] - box[1]) == cut
        for low, high in ((0, 2), (1, 3)):
            if face[high] - face[low] <= cut[low]:
                assert box[low] <= face[low] and face[high] <= box[high]
            else:  # too large for the cut: as much of it as there is room for
                assert face[low] <= box[low] and box[high] <= face[high]

    def test_there_is_room_above_a_head(self) -> None:
        box = shapes.around((1000, 3000), (1000, 1000), (400, 1000, 600, 1200))
        assert box[1] <= 900 and box[3] > 1200

    @settings(deadline=None)
    @given(SIZES, WANTED)
    def test_the_middle_is_the_middle(self, size: tuple[int, int], wanted: tuple[int, int]) -> None:
        cut = shapes.cover(size, wanted).cut
        box = shapes.middle(size, cut)
        assert all(0 <= size[axis] - box[axis + 2] - box[axis] <= 1 for axis in (0, 1))


class TestAutomaticSize:
    """The host's own rule, tried out against a plain search over all sizes."""

    @settings(deadline=None)
    @given(st.tuples(st.integers(100, 4000), st.integers(100, 4000)), st.sampled_from(["area", "shape"]), st.sampled_from([(384, 768, 640), (512, 1536, 1024)]))
    def test_it_is_the_best_of_all_allowed_sizes(self, size: tuple[int, int], prefer: str, limits: tuple[int, int, int]) -> None:
        low, high, area = limits
        found = shapes.auto_size(size, config(kind="auto", low=low, high=high, area_high=area, prefer=prefer).shape)
        allowed = []
        for width in range(low, high + 1, 64):
            for height in range(low, high + 1, 64):
                ratio = (size[0] / size[1]) / (width / height)
                if 64 * 64 <= width * height <= area * area and 1 - min(ratio, 1 / ratio) <= 0.1:
                    allowed.append((width * height, -(1 - min(ratio, 1 / ratio)), (width, height)))
        if not allowed:
            assert found is None
        elif prefer == "area":
            assert (found[0] * found[1]) == max(allowed)[0]
        else:
            assert any(abs(error - max(error for _, error, _ in allowed)) < 1e-12 and one == found for _, error, one in allowed)

    @pytest.mark.parametrize(("size", "expected"), [((1000, 1500), (512, 768)), ((1500, 1000), (768, 512)), ((1000, 1000), (640, 640)), ((1000, 3000), None)])
    def test_worked_by_hand(self, size: tuple[int, int], expected: tuple[int, int] | None) -> None:
        assert shapes.auto_size(size, config(kind="auto").shape) == expected

    def test_a_shape_for_which_there_is_no_size_has_no_shape(self) -> None:
        assert shapes.shape((100, 1000), config(kind="auto")) is None


class TestPadding:
    @settings(deadline=None)
    @given(SIZES, st.integers(1, 64).map(lambda times: 64 * times), st.sampled_from(["black", "white"]))
    def test_the_whole_picture_lies_in_the_middle_and_bars_are_named_by_their_side(self, size: tuple[int, int], side: int, colour: str) -> None:
        found = shapes.padded(size, side, colour)
        assert found.canvas == (side, side) and found.cut == size and max(found.resized) == side
        assert all(abs(side - found.resized[axis] - 2 * found.offset[axis]) <= 1 for axis in (0, 1))
        assert abs(found.resized[0] * size[1] - found.resized[1] * size[0]) <= max(size) * 0.5 + 1 or 1 in found.resized
        bars = (side - found.resized[0], side - found.resized[1])
        assert found.tag == ("letterboxed" if bars[1] else "pillarboxed" if bars[0] else "")


class TestKeeping:
    @settings(deadline=None)
    @given(SIZES)
    def test_without_an_upscaler_a_picture_is_left_alone(self, size: tuple[int, int]) -> None:
        assert not shapes.shape(size, config(kind="keep")).changes(size)

    @pytest.mark.parametrize(
        ("size", "expected"), [((300, 400), (512, 683)), ((512, 300), (874, 512)), ((512, 512), (512, 512)), ((2000, 600), (2000, 600)), ((60, 60), (60, 60))]
    )
    def test_with_one_the_short_side_is_brought_up_at_most_eightfold(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        found = shapes.shape(size, load(PrepareConfig, {"enlarge": {"upscaler": "x", "below": 512}}))
        assert found.resized == found.canvas == expected and found.cut == size


# ---- the subject where no face is known


def scene(seed: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A drawn figure with a head somewhere in front of something, and the box of the face."""
    chance = random.Random(seed)
    tall = chance.random() < 0.5
    size = (chance.randint(300, 600), chance.randint(700, 1200)) if tall else (chance.randint(700, 1300), chance.randint(300, 600))
    image = background(size, chance)
    draw = ImageDraw.Draw(image)
    head = round(min(size) * chance.uniform(0.18, 0.3))
    body = round(head * chance.uniform(1.5, 2.5))
    x = chance.randint(body // 2 + 4, size[0] - body // 2 - 4)
    height = chance.uniform(0.55, 0.9) * size[1] if tall else size[1] * chance.uniform(0.75, 0.98)
    top = round(size[1] - height)
    skin = (chance.randint(200, 255), chance.randint(165, 205), chance.randint(130, 165))
    cloth, hair = [tuple(chance.randint(0, 255) for _ in range(3)) for _ in range(2)]
    draw.rectangle((x - body // 2, top + head, x + body // 2, size[1]), fill=cloth)
    for line in range(top + head + 10, size[1], 18):
        draw.line((x - body // 2, line, x + body // 2, line + chance.randint(-6, 6)), fill=hair, width=2)
    draw.ellipse((x - head * 0.62, top - head * 0.2, x + head * 0.62, top + head * 0.9), fill=hair)
    face = (round(x - head / 2), top, round(x + head / 2), top + head)
    draw.ellipse(face, fill=skin)
    for side in (-1, 1):
        eye = x + side * head * 0.22
        draw.ellipse((eye - head * 0.1, top + head * 0.4, eye + head * 0.1, top + head * 0.65), fill=(30, 40, 90))
        draw.ellipse((eye - 2, top + head * 0.45, eye + 2, top + head * 0.5), fill="white")
    draw.arc((x - head * 0.15, top + head * 0.6, x + head * 0.15, top + head * 0.85), 20, 160, fill=(150, 40, 40), width=2)
    return image, face


def background(size: tuple[int, int], chance: random.Random) -> Image.Image:
    kind = chance.choice(["plain", "gradient", "noise", "blobs"])
    base = tuple(chance.randint(0, 255) for _ in range(3))
    if kind == "plain":
        return Image.new("RGB", size, base)
    noise = np.random.default_rng(chance.randint(0, 10**6))
    if kind == "gradient":
        ramp = np.linspace(0, 1, size[1])[:, None, None]
        pixels = np.broadcast_to(np.array(base) * (1 - ramp) + noise.integers(0, 256, 3) * ramp, (size[1], size[0], 3))
    elif kind == "noise":
        pixels = np.array(base) + noise.normal(0, 18, (size[1], size[0], 3))
    else:
        small = noise.normal(0, 30, (6, 6, 3)) + np.array(base)
        return Image.fromarray(np.clip(small, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(4))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("wanted", [(512, 512), (512, 768), (768, 512)])
def test_the_face_of_a_drawn_figure_stays_in_the_cut_without_a_detector(wanted: tuple[int, int]) -> None:
    kept = fits = 0
    lost = []
    for seed in range(120):
        image, face = scene(seed)
        cut = shapes.cover(image.size, wanted).cut
        if face[2] - face[0] > cut[0] or face[3] - face[1] > cut[1]:
            continue
        fits += 1
        box = focus.place(image, cut)
        inside = box[0] <= face[0] and box[1] <= face[1] and face[2] <= box[2] and face[3] <= box[3]
        kept += inside
        lost += [] if inside else [seed]
    assert fits > 100
    assert kept / fits >= 0.99, (kept, fits, lost)


def test_a_detectors_box_decides_over_what_stands_out() -> None:
    image = Image.new("RGB", (1200, 400), "white")
    ImageDraw.Draw(image).rectangle((50, 50, 350, 350), fill="red")
    assert focus.place(image, (400, 400))[0] < 200
    assert focus.place(image, (400, 400), (1000, 100, 1100, 200))[2] >= 1100


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (97, 96)])
def test_small_and_thin_pictures_have_a_place(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    cut = shapes.cover(size, (64, 64)).cut
    box = focus.place(image, cut)
    assert (box[2] - box[0], box[3] - box[1]) == cut and box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]
