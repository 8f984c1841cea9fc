"""The embedded default: what it is made of, and that a training on it learns."""

from __future__ import annotations

import math
from importlib import util
from itertools import chain
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

from lib_lora import demo
from lib_lora.core.settings import load
from lib_lora.dataset import scan
from lib_lora.demo import DemoSet, checkpoint, scenes, tables, weights
from lib_lora.training.config import TrainConfig

stand_alone = pytest.mark.skipif(util.find_spec("diffusers") is None, reason="diffusers belongs to the stand-alone environment")


def test_pictures_cover_what_a_set_may_hold(demo_set: DemoSet) -> None:
    paths = sorted(path for path in demo_set.pictures.rglob("*") if path.suffix in (".png", ".jpg"))
    assert len(paths) == len(scenes.SCENES) == 12
    assert {path.suffix for path in paths} == {".png", ".jpg"}
    for path, scene in zip(paths, scenes.SCENES, strict=True):
        with Image.open(path) as image:
            assert ImageOps.exif_transpose(image).size == scene.size
        assert path.with_suffix(".txt").read_text(encoding="utf-8").strip() == scene.caption
    with Image.open(paths[8]) as turned:
        assert turned.getexif()[scenes.EXIF_ORIENTATION] == scenes.EXIF_LEFT
        assert turned.size == scenes.SCENES[8].size[::-1]
        # Sky above, grass below, once it is turned as it says.
        upright = ImageOps.exif_transpose(turned)
    for corner, colour in (((4, 4), "yellow"), ((4, upright.height - 5), "green")):
        found = upright.getpixel(corner)
        assert sum(abs(a - b) for a, b in zip(found, scenes.COLOURS[colour], strict=True)) < 60


def test_pictures_are_the_same_each_time(tmp_path: Path) -> None:
    one, two = (demo.pictures(tmp_path / name).pictures for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 24
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)


def test_the_set_and_its_job_are_without_fault(demo_set: DemoSet) -> None:
    config = load(TrainConfig, demo_set.job)
    items = scan.require(scan.scan(config.data, config.caption))
    assert [item.repeats for item in items] == [scenes.REPEATS] * 12
    assert all(item.caption == scene.caption for item, scene in zip(items, scenes.SCENES, strict=True))


def test_the_example_for_any_checkpoint_names_its_folder_only(tmp_path: Path) -> None:
    made = demo.pictures(tmp_path)
    config = load(TrainConfig, made.job)
    assert Path(config.data.folder) == tmp_path.resolve()
    assert config.data.resolution == TrainConfig().data.resolution
    assert config.caption.trigger == scenes.TRIGGER


def test_what_is_there_is_kept_and_the_yaml_follows_the_folder(demo_set: DemoSet, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / demo_set.checkpoint.name).write_bytes(b"mine")
    path = checkpoint.make(folder)
    assert path.read_bytes() == b"mine"
    assert str((folder / "clip").resolve()) in path.with_suffix(".yaml").read_text(encoding="utf-8")


def test_weights_are_seeded_and_none_is_neutral() -> None:
    table = list(chain(tables.unet(tables.UNetSize()), tables.clip(tables.TextSize(50), "")))
    one, same, other = (weights.fill(table, seed, torch.float32) for seed in (1, 1, 2))
    assert one.keys() == dict(table).keys()
    assert all(torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name]) for name in one)
    # A norm without bias has mean 0, and the WebUI divides by the mean of an encoded text.
    assert all(tensor.abs().max() > 0 and tensor.std() > 0 for tensor in one.values())


@stand_alone
def test_signals_pass_through_the_checkpoint(demo_set: DemoSet, tmp_path: Path) -> None:
    """Latents of about unit size, predictions that hear the text, pictures inside −1…1."""
    from lib_lora.hosts.base import Lease
    from lib_lora.hosts.diffusers import DiffusersHost

    generator = torch.Generator().manual_seed(0)
    with DiffusersHost(demo_set.checkpoint, tmp_path).borrow(Lease()) as model, torch.no_grad():
        cond = model.encode_texts(["a red tree", "night sky, moon"])
        noisy = torch.randn(1, 4, 16, 16, generator=generator).expand(2, -1, -1, -1)
        one, two = model.predict(noisy, torch.tensor([500, 500]), cond, [])
        pixels = torch.nn.functional.interpolate(torch.rand(2, 3, 9, 9, generator=generator) * 2 - 1, size=(128, 128), mode="bicubic")
        posterior = model.encode_images(pixels)
        decoded = model.decode(torch.randn(1, 4, 16, 16, generator=generator))
    assert 0.3 < one.std() < 1.5
    assert (one - two).std() > 0.1
    assert 0.5 < posterior.mean.std() < 2
    assert posterior.std.max() < 0.1
    assert 0.2 < decoded.std() < 1


@stand_alone
def test_a_training_on_it_learns_and_its_file_acts(demo_set: DemoSet, tmp_path: Path) -> None:
    """The demo's own job with fewer epochs: the loss falls, the file is read back, its tag changes the picture."""
    import numpy as np

    from lib_lora.core.settings import merge
    from lib_lora.hosts.base import PictureRequest
    from lib_lora.hosts.diffusers import DiffusersHost
    from lib_lora.train import train
    from lib_lora.training.control import Control
    from lib_lora.training.events import Ended, Previewed, Saved, Stepped

    host = DiffusersHost(demo_set.checkpoint, tmp_path)
    config = load(TrainConfig, merge(demo_set.job, {"learning": {"epochs": 2}, "preview": {"steps": 2}}))
    request = PictureRequest("tako, 1girl", seed=3, steps=4, cfg=2, size=(64, 64))
    before = host.generate(request)
    events = list(train(config, host, Control()))
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert len(losses) == 2 * 24
    assert math.fsum(losses[-12:]) < 0.8 * math.fsum(losses[:12])
    saved = [event for event in events if isinstance(event, Saved)]
    assert [event.final for event in saved] == [False, True]
    assert saved[-1].path == tmp_path / f"{demo.NAME}.safetensors"
    assert all(event.path.is_file() for event in events if isinstance(event, (Saved, Previewed)))
    assert isinstance(events[-1], Ended)
    assert events[-1].phase == "done"
    assert host.generate(request).tobytes() == before.tobytes()
    tagged = host.generate(PictureRequest(f"tako, 1girl <lora:{demo.NAME}:1>", seed=3, steps=4, cfg=2, size=(64, 64)))
    assert np.abs(np.asarray(tagged, dtype=float) - np.asarray(before, dtype=float)).mean() > 2
