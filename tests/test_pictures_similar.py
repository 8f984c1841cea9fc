"""Copies, mirror images and differential groups, against drawn sets whose truth is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import drawn
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from lib_lora.pictures import outliers, sight, similar
from lib_lora.pictures.seen import Seen

DISTINCT, CHANGED = 2000, 120
Pairs = set[frozenset[str]]
Change = Callable[[Image.Image], Image.Image]


def scene(n: int) -> drawn.Scene:
    """Small where it is only there to be no other's copy: thousands are drawn."""
    one = drawn.scene(n)
    return one if n < CHANGED else replace(one, size=(one.size[0] * 5 // 8, one.size[1] * 5 // 8))


def base(n: int) -> Image.Image:
    return drawn.draw(scene(n)).image


@lru_cache(maxsize=1)
def distinct() -> Mapping[str, Seen]:
    """Two thousand pictures of which no two belong together."""
    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(lambda n: (f"d{n:04}", sight.seen_in(base(n))), range(DISTINCT)))


@lru_cache(maxsize=1)
def mixed() -> tuple[Mapping[str, Seen], Mapping[str, Pairs]]:
    """The distinct ones and copies, mirror images and variants of some, with the pairs that are true."""
    seen, truth = dict(distinct()), {"exact": set(), "near": set(), "flips": set(), "groups": set()}
    for n in range(CHANGED):
        kind, names, images = _changed(n)
        seen.update({name: sight.seen_in(image) for name, image in zip(names, images, strict=True)})
        truth[kind] |= pairs_of([(f"d{n:04}", *names)])
    return seen, truth


def _changed(n: int) -> tuple[str, list[str], list[Image.Image]]:
    picture = base(n)
    if n % 6 == 0:
        return "near", [f"x{n}"], [drawn.near(picture, n)]
    if n % 6 == 1:
        return "flips", [f"x{n}"], [drawn.mirrored(picture)]
    if n % 6 == 2:
        return "exact", [f"x{n}"], [picture.copy()]
    count = 1 + n % 4
    variants = [drawn.draw(drawn.variant(scene(n), v)).image for v in range(count)]
    return "groups", [f"x{n}v{v}" for v in range(count)], [drawn.jpeg(one, 85) if n % 2 else one for one in variants]


def pairs_of(sets: Iterable[Iterable[str]]) -> Pairs:
    return {frozenset(pair) for one in sets for pair in itertools.combinations(one, 2)}


@pytest.mark.parametrize("kind", ["exact", "near", "flips", "groups"])
def test_what_belongs_together_is_found_among_two_thousand(kind: str) -> None:
    seen, truth = mixed()
    found = pairs_of(getattr(similar.find(seen), kind))
    right = len(found & truth[kind])
    precision, recall = right / len(found), right / len(truth[kind])
    print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {len(truth[kind])} pairs among {len(seen)} pictures")
    assert precision >= 0.95
    assert recall >= 0.95


def test_nothing_belongs_together_in_two_thousand_distinct_pictures() -> None:
    assert len(distinct()) == DISTINCT
    assert similar.find(distinct()) == similar.Similar()


def test_few_pictures_and_none() -> None:
    one = sight.seen_in(base(1))
    assert similar.find({}) == similar.Similar()
    assert similar.find({"a": one}) == similar.Similar()
    assert similar.find({"b": one, "a": one}) == similar.Similar(exact=(("a", "b"),))


def test_all_of_a_group_are_one_set() -> None:
    variants = [drawn.scene(5), *(drawn.variant(drawn.scene(5), n) for n in range(4))]
    seen = {f"{n}": sight.seen_in(drawn.draw(one).image) for n, one in enumerate(variants)}
    assert similar.find(seen).groups == (("0", "1", "2", "3", "4"),)
    others = {f"o{n}": sight.seen_in(base(n)) for n in range(20, 30)}
    assert similar.find({**others, **seen}).groups == (("0", "1", "2", "3", "4"),)


def test_variants_are_of_one_size() -> None:
    one, other = drawn.draw(drawn.scene(5)).image, drawn.draw(drawn.variant(drawn.scene(5), 1)).image
    smaller = other.resize((other.width // 2, other.height // 2), Image.Resampling.LANCZOS)
    assert similar.find({"a": sight.seen_in(one), "b": sight.seen_in(other)}).groups == (("a", "b"),)
    assert similar.find({"a": sight.seen_in(one), "b": sight.seen_in(smaller)}).groups == ()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_empty_pictures_are_copies_and_no_variants(shade: int) -> None:
    """Nothing is drawn on them, so that nothing can have been drawn anew."""
    seen = {f"{n}": sight.seen_in(Image.new("RGB", (200 + n, 300), (shade,) * 3)) for n in range(4)}
    found = similar.find(seen)
    assert (found.groups, found.flips) == ((), ())
    assert found.near == (("0", "1", "2", "3"),)


def test_a_picture_that_is_its_own_mirror_image_has_no_flipped_copy() -> None:
    image = Image.new("RGB", (300, 300), "white")
    image.paste((200, 40, 40), (100, 60, 200, 260))
    seen = {"a": sight.seen_in(image), "b": sight.seen_in(drawn.jpeg(image, 60))}
    found = similar.find(seen)
    assert (found.near, found.flips) == ((("a", "b"),), ())


def test_order_and_names_do_not_matter() -> None:
    seen, _ = mixed()
    part = dict(itertools.islice(seen.items(), 1990, None))
    assert similar.find(dict(reversed(part.items()))) == similar.find(part)


def pale(image: Image.Image) -> Image.Image:
    return ImageEnhance.Color(image).enhance(0.3)


def rough(image: Image.Image) -> Image.Image:
    grain = np.random.default_rng(0).normal(0, 70, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) * 0.4 + grain).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("usual", "strange"), [(Image.Image.copy, rough), (pale, rough)])
def test_strangers_in_style_are_hinted_at(usual: Change, strange: Change) -> None:
    seen = {f"u{n}": sight.seen_in(usual(base(n))) for n in range(60)}
    seen |= {f"s{n}": sight.seen_in(strange(base(100 + n))) for n in range(4)}
    found = outliers.find({key: replace(one, tone="colour") for key, one in seen.items()})
    assert all(score > 1 for score in found.values())
    assert len([key for key in found if key.startswith("s")]) >= 3
    assert len([key for key in found if key.startswith("u")]) <= 2


def test_no_strangers_in_a_small_set_nor_in_one_of_copies() -> None:
    few = dict(itertools.islice(distinct().items(), outliers.FEWEST - 1))
    assert outliers.find(few) == {}
    assert outliers.find({}) == {}
    assert outliers.find({f"{n}": few["d0000"] for n in range(40)}) == {}
