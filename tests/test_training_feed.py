"""From placed pictures to batches: what is encoded, when it is encoded again, and that batches follow seed and epoch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeModel
from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.core.settings import load
from lib_lora.dataset import buckets, captions, images, order, scan
from lib_lora.model import Posterior, TextCond
from lib_lora.training import feed
from lib_lora.training.cache import DiskCache, LatentKey, MemoryCache
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.texts import CachedTexts

SHAPES = ((256, 64), (64, 256), (128, 128), (260, 70))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "2_thing"
    pictures.mkdir()
    draw = np.random.default_rng(1)
    for n, (width, height) in enumerate(SHAPES):
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(pictures / f"{n}.png")
        (pictures / f"{n}.txt").write_text(f"thing, number {n}, red, green, blue, white", encoding="utf-8")
    return tmp_path


def config_of(folder: Path, **sections: dict[str, Any]) -> TrainConfig:
    raw: dict[str, Any] = {"data": {"folder": str(folder), "resolution": [128, 128]}, "bucket": {"min": 64, "max": 256, "step": 64}}
    return load(TrainConfig, {name: raw.get(name, {}) | sections.get(name, {}) for name in {*raw, *sections}})


def placed_of(config: TrainConfig) -> tuple[buckets.Placed, ...]:
    return buckets.place_all(scan.require(scan.scan(config.data, config.caption)), config.data, config.bucket)


def ready(model: FakeModel, config: TrainConfig, cache: Path | None = None) -> feed.Feed:
    made = feed.make(model, placed_of(config), config, cache)
    list(made.prepare(Control()))
    return made


def encoded(model: FakeModel) -> int:
    return sum(call[0] == "encode_images" for call in model.calls)


def test_pictures_are_encoded_once_as_they_are_cut_and_caching_is_counted(folder: Path) -> None:
    model, config = FakeModel(), config_of(folder)
    placed = placed_of(config)
    made = feed.make(model, placed, config)
    events = list(made.prepare(Control()))
    assert [(event.phase, event.done, event.total) for event in events] == [("caching", n, 4) for n in range(5)]
    for epoch in (1, 2):
        list(made.epoch(epoch))
    assert encoded(model) == 4

    by_bucket = {one.bucket: one for one in placed}
    for batch in made.epoch(1):
        height, width = (side * 8 for side in batch.latents.mean.shape[2:])
        one = by_bucket[width, height]
        pixels = images.fit(images.open_picture(one.item.path), one.resized, one.crop, one.bucket)
        assert batch.sizes[0].target == one.bucket == (width, height)
        if sum(other.bucket == one.bucket for other in placed) == 1:
            expected = model.encode_images(torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)
            torch.testing.assert_close(batch.latents.mean, expected.mean)
            torch.testing.assert_close(batch.latents.std, expected.std)


def test_batches_follow_from_seed_and_epoch_and_captions_are_drawn_for_each(folder: Path) -> None:
    config = config_of(folder, learning={"batch_size": 2})
    first, again = ready(FakeModel(), config), ready(FakeModel(), config)
    texts = [[batch.texts for batch in first.epoch(epoch)] for epoch in (1, 2, 1)]
    assert texts[0] == texts[2] == [batch.texts for batch in again.epoch(1)]
    assert texts[0] != texts[1]
    placed = placed_of(config)
    plan = order.epoch(placed, 2, config.learning.seed, 1)
    for indices, drawn in zip(plan, texts[0], strict=True):
        for index, text in zip(indices, drawn, strict=True):
            assert sorted(captions.tags(text)) == sorted(captions.tags(placed[index].item.caption))
            assert captions.tags(text)[0] == "thing"
    assert len({text for batch in texts[0] for text in batch}) == 8, "each repeat has an order of its own"


def test_the_batches_of_an_epoch_are_as_many_as_are_counted(folder: Path) -> None:
    for size in (1, 2, 3):
        config = config_of(folder, learning={"batch_size": size})
        made = ready(FakeModel(), config)
        found = list(made.epoch(1))
        assert len(found) == order.steps_per_epoch(placed_of(config), size, 1)
        assert sum(len(batch) for batch in found) == 8
        assert all(bool((batch.weights == 1).all()) and batch.weights.shape == (len(batch),) for batch in found)


def test_latents_on_disk_serve_the_next_run(folder: Path, tmp_path: Path) -> None:
    config, cache = config_of(folder, data={"cache": "disk"}), tmp_path / "cache"
    model = FakeModel()
    first = next(iter(ready(model, config, cache).epoch(1)))
    assert (encoded(model), len(list(cache.iterdir()))) == (4, 4)
    model = FakeModel()
    second = next(iter(ready(model, config, cache).epoch(1)))
    assert encoded(model) == 0
    assert torch.equal(first.latents.mean, second.latents.mean)
    assert torch.equal(first.latents.std, second.latents.std)


@pytest.mark.parametrize("change", ["content", "vae", "place", "cut off", "garbage", "empty", "other key"])
def test_latents_are_made_again_when_anything_they_depend_on_has_changed(folder: Path, tmp_path: Path, change: str) -> None:
    config, cache = config_of(folder, data={"cache": "disk"}), tmp_path / "cache"
    ready(FakeModel(), config, cache)
    files, model, expected = sorted(cache.iterdir()), FakeModel(), 1
    if change == "content":
        picture = folder / "2_thing" / "0.png"
        before = picture.stat()
        Image.new("RGB", SHAPES[0], "red").save(picture)
        os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "vae":
        model, expected = FakeModel(seed=1), 4
    elif change == "place":
        config, expected = config_of(folder, data={"cache": "disk"}, bucket={"enabled": False}), 3  # the square one is cut as before
    elif change == "cut off":
        files[0].write_bytes(files[0].read_bytes()[:-1])
    elif change == "garbage":
        files[0].write_bytes(b"not a safetensors file at all")
    elif change == "empty":
        files[0].write_bytes(b"")
    else:
        files[0].write_bytes(files[1].read_bytes())
    made = ready(model, config, cache)
    assert encoded(model) == expected
    for batch in made.epoch(1):
        assert bool(batch.latents.mean.isfinite().all())
    assert encoded(model) == expected


def test_a_cache_emptied_while_a_run_goes_on_is_filled_again(folder: Path, tmp_path: Path) -> None:
    config, cache, model = config_of(folder, data={"cache": "disk"}), tmp_path / "cache", FakeModel()
    made = ready(model, config, cache)
    expected = [batch.latents.mean for batch in made.epoch(1)]
    for file in cache.iterdir():
        file.unlink()
    found = [batch.latents.mean for batch in made.epoch(1)]
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert encoded(model) == 8


def test_a_picture_changed_after_the_scan_is_not_kept_under_its_old_content(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, data={"cache": "disk"})
    made = feed.make(FakeModel(), placed_of(config), config, tmp_path / "cache")
    Image.new("RGB", SHAPES[0], "red").save(folder / "2_thing" / "0.png")
    with pytest.raises(DataError, match=r"0\.png.*Start again"):
        list(made.prepare(Control()))


def test_caching_ends_when_the_run_is_to_end(folder: Path) -> None:
    model, config, control = FakeModel(), config_of(folder), Control()
    for event in feed.make(model, placed_of(config), config).prepare(control):
        if event.done == 2:
            control.cancel()
    assert encoded(model) == 2


def test_captions_are_encoded_once_where_text_encoders_stay(folder: Path) -> None:
    model = FakeModel()
    made = ready(model, config_of(folder, caption={"shuffle": False}))
    for epoch in (1, 2):
        for batch in made.epoch(epoch):
            cond = made.cond(batch)
            assert torch.equal(cond.context, model.text(ids_of(batch.texts)))
            assert not cond.context.requires_grad
    assert sum(call[0] == "encode_texts" for call in model.calls) == 4


def test_captions_are_encoded_each_time_with_a_graph_where_text_encoders_learn(folder: Path) -> None:
    model = FakeModel()
    model.text.fc2.weight.requires_grad_(True)
    made = ready(model, config_of(folder, caption={"shuffle": False}, learning={"text_encoder_lr": 1e-4}))
    for _ in range(2):
        assert made.cond(next(iter(made.epoch(1)))).context.requires_grad
    assert sum(call[0] == "encode_texts" for call in model.calls) == 2
    assert ("place", "unet", "te") in model.calls


def test_the_parts_of_the_model_are_called_for_in_turn(folder: Path) -> None:
    """A host short of memory moves its VAE, text encoders and UNet in and out as this says."""
    model = FakeModel()
    made = ready(model, config_of(folder))
    places = [call[1:] for call in model.calls if call[0] == "place"]
    assert places == [("vae",)] * 4 + [("unet",)]
    for batch in made.epoch(1):
        made.cond(batch)
    places = [call[1:] for call in model.calls if call[0] == "place"][5:]
    assert places == [("te",), ("unet",)] * 4, "windows of 1, 2, 4 and the last of the 8 steps"


def test_the_cache_of_captions_keeps_to_its_bound() -> None:
    model = FakeModel()
    one = CachedTexts(model).encode(["a"]).context
    texts = CachedTexts(model, bound=3 * one.numel() * one.element_size())
    for n in range(10):
        texts.encode([f"caption {n}"])
    model.calls.clear()
    texts.encode([f"caption {n}" for n in (7, 8, 9)])
    assert model.calls == []
    texts.encode(["caption 0"])
    assert model.calls == [("encode_texts", ("caption 0",))]


def test_captions_of_different_length_are_evened_by_the_host() -> None:
    class Long(FakeModel):
        def encode_texts(self, texts: Any, grad: bool = False) -> TextCond:
            cond = super().encode_texts(texts, grad)
            chunks = max(1 + len(text) // 10 for text in texts)
            return replace(cond, context=cond.context.repeat(1, chunks, 1))

    texts = CachedTexts(Long())
    assert texts.encode(["short", "a good deal longer"]).context.shape[:2] == (2, 32)
    assert texts.encode(["short"]).context.shape[:2] == (1, 16)


def test_caches_give_back_what_was_put(tmp_path: Path) -> None:
    key = LatentKey("content", (64, 64), (70, 64), (3, 0), "vae")
    many = Posterior(torch.randn(3, 4, 8, 8), torch.rand(3, 4, 8, 8))
    view = Posterior(many.mean[1:2].half(), many.std[1:2])
    for cache in (MemoryCache(), DiskCache(tmp_path / "not there yet")):
        assert not cache.has(key)
        assert cache.get(key) is None
        cache.put(key, view)
        found = cache.get(key)
        assert cache.has(key)
        assert found is not None
        assert torch.equal(found.mean, view.mean.float())
        assert torch.equal(found.std, view.std)
        assert not cache.has(replace(key, crop=(4, 0)))


def ids_of(texts: tuple[str, ...]) -> torch.Tensor:
    return torch.tensor([[*text.encode()[:16], *[0] * (16 - len(text.encode()[:16]))] for text in texts])
