"""From Start to the beginning of the first step, with the model loaded and the pictures' latents cached."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from lib_lora.model import Posterior

PICTURES, SIDE = 40, 512


class _Stamped:
    """A host or model with something of it replaced; everything else is its own."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner = inner
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Begun(Exception):
    """The UNet was asked for the first time."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at


def measure(model: str, runs: int = 5) -> dict[str, Any]:
    """Median seconds of `runs` starts on the stand-alone host, with SD1.5's real sizes ("sd15") or the embedded default's.

    The pictures' latents are random and cached before: encoding them is no part of this.
    """
    import torch

    from lib_lora import demo
    from lib_lora.hosts.diffusers import DiffusersHost

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = _pictures(folder / "pictures")
        checkpoint = _real_sizes(folder / "model") if model == "sd15" else demo.make(folder / "demo").checkpoint
        host = DiffusersHost(checkpoint, folder / "loras")
        _start(host, pictures, encode_images=_random_latents)
        starts = [_start(host, pictures) for _ in range(runs)]
        device = host.facts().device
    return {
        "model": model,
        "start_s": statistics.median(starts),
        "starts": starts,
        "pictures": PICTURES,
        "size": SIDE,
        "torch": torch.__version__,
        "device": device,
    }


def _start(host: Any, pictures: Path, **replaced: Any) -> float:
    """Seconds until the UNet is asked for the first time; the run is broken off there. `replaced` is changed in the model."""
    from lib_lora.core.settings import load
    from lib_lora.train import train
    from lib_lora.training.config import TrainConfig
    from lib_lora.training.control import Control

    config = load(
        TrainConfig,
        {"data": {"folder": str(pictures), "resolution": [SIDE, SIDE], "repeats": 1, "cache": "disk"}, "save": {"name": "bench"}},
    )

    def begun(*arguments: Any) -> Any:  # noqa: ARG001 - a prediction that is not made
        raise _Begun(time.perf_counter())

    @contextmanager
    def borrow(*arguments: Any) -> Iterator[Any]:
        with host.borrow(*arguments) as model:
            yield _Stamped(model, predict=begun, **replaced)

    started = time.perf_counter()
    try:
        for _ in train(config, _Stamped(host, borrow=borrow), Control()):
            continue
    except _Begun as first:
        return first.at - started
    raise AssertionError("the run ended without a step")


def _random_latents(pixels: Tensor) -> Posterior:
    import torch

    from lib_lora.model import Posterior

    mean = torch.randn(1, 4, pixels.shape[2] // 8, pixels.shape[3] // 8)
    return Posterior(mean, torch.full_like(mean, 0.1))


def _real_sizes(folder: Path) -> Path:
    """A checkpoint of SD1.5's sizes with random weights, in half precision as such files are."""
    import torch

    from lib_lora.demo import checkpoint, weights
    from lib_lora.demo.tables import TextSize, UNetSize, VAESize, clip, unet, vae

    rows = checkpoint.write_clip(folder / "clip", 768, 12)
    table = chain(unet(UNetSize(320, context=768)), vae(VAESize(128)), clip(TextSize(rows, 768), checkpoint.TEXT))
    path = folder / "sd15.safetensors"
    checkpoint.write_tensors(path, weights.fill(table, 0, torch.float16))
    return path


def _pictures(folder: Path) -> Path:
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for n in range(PICTURES):
        small = Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        small.resize((SIDE * 3 // 2, SIDE * 3 // 2)).save(folder / f"{n:02d}.jpg", quality=92)
        (folder / f"{n:02d}.txt").write_text(f"picture, number {n}, colours", encoding="utf-8")
    return folder
