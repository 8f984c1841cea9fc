"""A stand-alone page around a host without a model and a training that only counts, to drive the page itself."""

from __future__ import annotations

import math
import random
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from standin import StandInHost

from lib_lora import app as composition
from lib_lora.core.messages import say
from lib_lora.hosts.base import PictureRequest
from lib_lora.jobs import Jobs
from lib_lora.plan import files_of, name_of
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Event, Phased, Planned, Previewed, Saved, Stepped, Warned

Address = str


class PaintingHost(StandInHost):
    """A stand-in that also answers the Generate panel, in the colour of the seed."""

    def generate(self, request: PictureRequest) -> Image.Image:
        return Image.new("RGB", request.size, (request.seed * 40 % 256, 90, 160))


class Counting:
    """A training of `steps` steps with a loss that falls; each takes `pause` seconds. Files are written empty."""

    def __init__(self, steps: int = 400, epochs: int = 4, pause: float = 0.01, fails: Exception | None = None) -> None:
        self.steps, self.epochs, self.pause, self.fails = steps, epochs, pause, fails

    def __call__(self, config: TrainConfig, host: Any, control: Control) -> Generator[Event, None, None]:
        loras = host.paths().loras
        loras.mkdir(parents=True, exist_ok=True)
        name = name_of(config, ())
        yield Phased("caching", say("Encoding pictures"), 3, 12)
        if self.fails:
            raise self.fails
        yield Planned(self.steps, self.steps // self.epochs, self.epochs)
        yield Warned(say("Step {step} gave no finite number and was left out.", step=3))
        chance, step = random.Random(1), 0
        for step in range(1, self.steps + 1):
            if control.request:
                break
            time.sleep(self.pause)
            loss = 0.11 + 0.06 * math.exp(-3 * step / self.steps) + chance.gauss(0, 0.02)
            epoch = math.ceil(step * self.epochs / self.steps)
            yield Stepped(step, epoch, abs(loss), 1e-4, self.pause)
            if step % (self.steps // self.epochs) == 0 and step < self.steps:
                yield from self._epoch(loras, name, epoch)
        asked = control.request
        if asked != "cancel":
            path = loras / files_of(name, config)[-1]
            path.write_bytes(b"")
            yield Saved(path, self.epochs, True, 0.0)
        yield Ended({"stop": "stopped", "cancel": "cancelled"}.get(asked or "", "done"), step)

    def _epoch(self, loras: Path, name: str, epoch: int) -> Generator[Event, None, None]:
        path = loras / f"{name}-{epoch:06d}.safetensors"
        path.write_bytes(b"")
        yield Saved(path, epoch, False, 0.0)
        picture = loras / f"{name}-{epoch}.png"
        Image.radial_gradient("L").resize((128, 128)).save(picture)
        yield Previewed(picture, epoch)


@contextmanager
def served(app: Any) -> Iterator[Address]:
    """The app on a free port of this machine, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def standin_page(folder: Path, run: Any) -> Iterator[tuple[Address, Jobs]]:
    """The stand-alone page with that training behind it."""
    host = PaintingHost(folder)
    jobs = Jobs(host, run)
    with served(composition.alone(host, jobs)) as address:
        yield address, jobs
    jobs.shutdown()
