"""Which bucket a picture goes to: sd-scripts' answers, and what holds for every size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError, DataError
from lib_lora.dataset import buckets, statistics
from lib_lora.dataset.buckets import Placement
from lib_lora.dataset.config import BucketConfig, DataConfig
from lib_lora.dataset.scan import Item
from lib_lora.model import Family, SizeCond

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "buckets.json").read_text(encoding="utf-8"))
SETS = {f"{'x'.join(map(str, one['resolution']))}-{one['step']}{'-no_upscale' if one['no_upscale'] else ''}": one for one in GOLDEN["buckets"]}


def config_of(golden: dict[str, Any]) -> BucketConfig:
    return BucketConfig(min=golden["min"], max=golden["max"], step=golden["step"], no_upscale=golden["no_upscale"])


def item(size: tuple[int, int], name: str = "a.png", repeats: int = 1) -> Item:
    return Item(Path("set") / f"{repeats}_cat" / name, size, repeats, "a cat", "cat", "0")


@pytest.mark.parametrize("golden", SETS.values(), ids=list(SETS))
def test_the_list_of_buckets_is_sd_scripts(golden: dict[str, Any]) -> None:
    made = buckets.make(tuple(golden["resolution"]), golden["min"], golden["max"], golden["step"])
    assert [list(one) for one in made] == golden["all"]


@pytest.mark.parametrize("golden", SETS.values(), ids=list(SETS))
def test_every_picture_goes_where_sd_scripts_puts_it(golden: dict[str, Any]) -> None:
    assert len(golden["cases"]) >= 100
    sizes = [(case[0], case[1]) for case in golden["cases"]]
    report = buckets.buckets_report(tuple(golden["resolution"]), golden["min"], golden["max"], golden["step"], golden["no_upscale"], sizes)
    assert report == [{"image": case[:2], "bucket": case[2:4], "resized": case[4:]} for case in golden["cases"]]


@pytest.mark.parametrize("golden", SETS.values(), ids=list(SETS))
def test_the_error_of_shape_is_sd_scripts(golden: dict[str, Any]) -> None:
    data = DataConfig(resolution=tuple(golden["resolution"]))
    placed = buckets.place_all([item((case[0], case[1])) for case in golden["cases"]], data, config_of(golden))
    info = statistics.bucket_info(placed, config_of(golden))
    assert info is not None
    assert info["mean_img_ar_error"] == pytest.approx(golden["mean_error"], rel=1e-12)


@pytest.mark.parametrize(("resolution", "low", "high", "step", "down", "up"), GOLDEN["bounds"])
def test_bounds_are_rounded_as_sd_scripts_does(resolution: list[int], low: int, high: int, step: int, down: int, up: int) -> None:
    assert buckets.bounds((resolution[0], resolution[1]), BucketConfig(min=low, max=high, step=step)) == (down, up)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [((512, 512), (256, 1024)), ((1024, 1024), (256, 2048)), ((768, 768), (256, 1536)), ((128, 192), (128, 384)), ((100, 100), (64, 256))],
)
def test_bounds_choose_themselves(resolution: tuple[int, int], expected: tuple[int, int]) -> None:
    assert buckets.bounds(resolution, BucketConfig()) == expected


@pytest.mark.parametrize(
    ("resolution", "config", "named"),
    [
        ((512, 512), BucketConfig(min=576), "bucket.min"),
        ((512, 1024), BucketConfig(max=960), "bucket.max"),
        ((64, 64), BucketConfig(step=128), "data.resolution"),
    ],
)
def test_bounds_that_leave_no_bucket_are_named(resolution: tuple[int, int], config: BucketConfig, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        buckets.bounds(resolution, config)


sides = st.integers(min_value=64, max_value=8000)
configs = st.builds(BucketConfig, step=st.sampled_from([32, 64]), no_upscale=st.booleans())
resolutions = st.tuples(st.sampled_from([256, 448, 512, 640, 768, 1024]), st.sampled_from([256, 448, 512, 640, 768, 1024]))


def placement(size: tuple[int, int], resolution: tuple[int, int], config: BucketConfig) -> Placement | None:
    try:
        return buckets.place(size, resolution, config)
    except DataError:
        # Only a picture that cannot keep its shape within the area may have no place.
        ratio = max(size) / min(size)
        assert config.no_upscale
        assert (resolution[0] * resolution[1] / ratio) ** 0.5 < config.step + 1
        return None


@settings(deadline=None)
@given(st.tuples(sides, sides), resolutions, configs)
def test_any_picture_covers_its_bucket(size: tuple[int, int], resolution: tuple[int, int], config: BucketConfig) -> None:
    at = placement(size, resolution, config)
    if at is None:
        return
    for axis in (0, 1):
        assert at.bucket[axis] >= config.step
        assert at.bucket[axis] % config.step == 0
        assert at.resized[axis] >= at.bucket[axis]
        assert 0 <= at.crop[axis] <= at.resized[axis] - at.bucket[axis]
        assert abs(2 * at.crop[axis] + at.bucket[axis] - at.resized[axis]) <= 1
    assert at.bucket[0] * at.bucket[1] <= resolution[0] * resolution[1]
    if config.no_upscale:
        assert at.resized[0] <= size[0]
        assert at.resized[1] <= size[1]
    else:
        assert at.bucket in buckets.make(resolution, *buckets.bounds(resolution, config), config.step)
        # The shape is kept: one side fits exactly and the other by half a pixel.
        scale = max(at.bucket[0] / size[0], at.bucket[1] / size[1])
        assert abs(at.resized[0] - size[0] * scale) <= 0.5 + 1e-6
        assert abs(at.resized[1] - size[1] * scale) <= 0.5 + 1e-6


@settings(deadline=None)
@given(resolutions)
def test_upright_and_lying_pictures_find_the_same_shapes(resolution: tuple[int, int]) -> None:
    made = buckets.make(resolution, *buckets.bounds(resolution, BucketConfig()), 64)
    assert {(high, wide) for wide, high in made} == set(made)


@pytest.mark.parametrize("config", [BucketConfig(), BucketConfig(no_upscale=True), BucketConfig(enabled=False)])
@pytest.mark.parametrize("size", [(63, 900), (900, 63), (1, 1)])
def test_a_side_under_one_step_is_a_data_error(size: tuple[int, int], config: BucketConfig) -> None:
    with pytest.raises(DataError, match="at least 64 pixels"):
        buckets.place(size, (512, 512), config)


@pytest.mark.parametrize("size", [(100, 9000), (9000, 100)])
def test_a_strip_that_shrinks_under_one_step_is_a_data_error(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="long and narrow"):
        buckets.place(size, (512, 512), BucketConfig(no_upscale=True))
    assert 0 not in buckets.place(size, (512, 512), BucketConfig()).bucket


@pytest.mark.parametrize("size", [(300, 400), (512, 512), (2000, 700)])
def test_without_buckets_every_picture_is_cut_to_the_resolution(size: tuple[int, int]) -> None:
    at = buckets.place(size, (512, 448), BucketConfig(enabled=False, no_upscale=True))
    assert at.bucket == (512, 448)
    assert at.resized[0] >= 512
    assert at.resized[1] >= 448
    assert 512 in at.resized[:1] or 448 in at.resized[1:]


def test_all_pictures_without_a_place_are_named_at_once() -> None:
    items = [item((60, 60), "small.png"), item((600, 600), "good.png"), item((900, 10), "strip.png")]
    with pytest.raises(DataError) as caught:
        buckets.place_all(items, DataConfig(), BucketConfig())
    assert len(caught.value.messages) == 2
    assert "small.png" in str(caught.value)
    assert "strip.png" in str(caught.value)
    assert "good.png" not in str(caught.value)


def test_sdxl_is_told_what_was_really_done() -> None:
    (placed,) = buckets.place_all([item((1000, 1500))], DataConfig(resolution=(1024, 1024)), BucketConfig())
    assert (placed.bucket, placed.resized) == ((832, 1216), (832, 1248))
    assert placed.size_cond == SizeCond(original=(1000, 1500), crop=(0, 16), target=(832, 1216))


@pytest.mark.parametrize(
    ("family", "config", "resolution", "named"),
    [
        (Family.SD1, BucketConfig(step=32), (512, 512), "bucket.step"),
        (Family.SD2, BucketConfig(step=96), (768, 768), "bucket.step"),
        (Family.SD1, BucketConfig(enabled=False), (512, 480), "data.resolution"),
        (Family.SDXL, BucketConfig(enabled=False), (1024, 1000), "data.resolution"),
        (Family.SDXL, BucketConfig(max=512), (1024, 1024), "bucket.max"),
        (None, BucketConfig(step=48), (1024, 1024), "bucket.step"),
    ],
)
def test_settings_a_model_cannot_take_are_named(family: Family | None, config: BucketConfig, resolution: tuple[int, int], named: str) -> None:
    (problem,) = buckets.check(resolution, config, family)
    assert named in problem.text()


@pytest.mark.parametrize(
    ("family", "config", "resolution"),
    [
        (Family.SD1, BucketConfig(), (512, 512)),
        (Family.SDXL, BucketConfig(step=32), (1024, 1024)),
        (Family.SDXL, BucketConfig(enabled=False), (992, 1024)),
        (Family.SD2, BucketConfig(enabled=False), (768, 832)),
    ],
)
def test_settings_a_model_can_take_pass(family: Family, config: BucketConfig, resolution: tuple[int, int]) -> None:
    assert buckets.check(resolution, config, family) == ()


def test_bucket_statistics_count_repeats_and_sort_by_size() -> None:
    items = [item((600, 600), "a.png", 3), item((900, 600), "b.png", 2), item((601, 600), "c.png", 3)]
    placed = buckets.place_all(items, DataConfig(), BucketConfig())
    info = statistics.bucket_info(placed, BucketConfig())
    assert info is not None
    assert info["buckets"] == {"0": {"resolution": [512, 512], "count": 6}, "1": {"resolution": [640, 384], "count": 2}}
    assert statistics.bucket_info(placed, BucketConfig(enabled=False)) is None
    assert statistics.bucket_info((), BucketConfig()) == {"buckets": {}, "mean_img_ar_error": 0.0}
