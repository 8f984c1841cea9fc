"""From Start to the beginning of the first step, with the model loaded and the pictures' latents cached."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PICTURES, SIDE = 40, 512


class _Stamped:
    """A host or model with something of it replaced; everything else is its own."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner = inner
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def measure(checkpoint: Path | None, runs: int = 3) -> dict[str, Any]:
    """The least seconds of `runs` starts on the stand-alone host; without a checkpoint on the embedded default."""
    import torch

    from lib_lora import demo
    from lib_lora.hosts.diffusers import DiffusersHost

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = _pictures(folder / "pictures")
        host = DiffusersHost(checkpoint or demo.make(folder / "demo").checkpoint, folder / "loras")
        first = _start(host, pictures)
        again = [_start(host, pictures) for _ in range(runs)]
        device = host.facts().device
    return {
        "start_s": min(again),
        "first_start_s": first,
        "pictures": PICTURES,
        "size": SIDE,
        "checkpoint": str(checkpoint) if checkpoint else "embedded default",
        "torch": torch.__version__,
        "device": device,
    }


def _start(host: Any, pictures: Path) -> float:
    """Seconds until the UNet is asked for the first time; the run is cancelled there."""
    from lib_lora.core.settings import load
    from lib_lora.train import train
    from lib_lora.training.config import TrainConfig
    from lib_lora.training.control import Control

    config = load(
        TrainConfig,
        {"data": {"folder": str(pictures), "resolution": [SIDE, SIDE], "repeats": 1, "cache": "disk"}, "save": {"name": "bench"}},
    )
    control, stamps = Control(), []

    @contextmanager
    def borrow(*arguments: Any) -> Iterator[Any]:
        with host.borrow(*arguments) as model:
            yield _Stamped(model, predict=_first(model.predict, stamps, control))

    started = time.perf_counter()
    for _ in train(config, _Stamped(host, borrow=borrow), control):
        # Events take no time here: what is measured is what lies between them.
        continue
    return stamps[0] - started


def _first(predict: Callable[..., Any], stamps: list[float], control: Any) -> Callable[..., Any]:
    def stamped(*arguments: Any) -> Any:
        stamps.append(time.perf_counter())
        control.cancel()
        return predict(*arguments)

    return stamped


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
