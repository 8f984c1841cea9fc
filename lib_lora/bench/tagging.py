"""Tagging: what it costs beside onnxruntime itself, and how fast thresholds move over many pictures."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib_lora.bench import wire
from lib_lora.core.messages import Message
from lib_lora.pictures import catalog
from lib_lora.tagging import run
from lib_lora.tagging.cache import Cache, Entry
from lib_lora.tagging.compose import Composer, Wish
from lib_lora.tagging.labels import CHARACTER, GENERAL, RATING, Labels
from lib_lora.tagging.profile import WD
from lib_lora.tagging.rules import Rules
from lib_lora.tagging.select import Thresholds
from lib_lora.tagging.session import CARDS, CPU, Graph
from lib_lora.tagging.tagger import Pair

SIDE, CHANNELS = 448, 64
LABELS = Labels(
    tuple(f"tag_{n}" for n in range(10_861)),
    (RATING,) * 4 + (GENERAL,) * 8_106 + (CHARACTER,) * 2_751,
)
LIKELY = 150  # tags of a picture that are not near 0


class _Silent:
    """A turn that nobody looks at."""

    cancelled = False

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """Nothing."""


def measure(pictures: int = 60, seconds: float = 0.3, rounds: int = 3, many: int = 2000) -> dict[str, Any]:
    """Figures as ratios within one run. `seconds` is what the graph takes per picture at least."""
    with tempfile.TemporaryDirectory(prefix="lora-studio-") as name:
        folder = Path(name)
        return {**_throughput(folder, pictures, seconds, rounds), **_previews(folder, many)}


def graph(folder: Path, layers: int) -> Pair:
    """A tagger of WD's signature that convolves `layers` times before it says anything."""
    chance = np.random.default_rng(1)
    constants = {
        "first": chance.normal(0, 0.01, (CHANNELS, 3, 4, 4)).astype(np.float32),
        "again": (np.eye(CHANNELS)[:, :, None, None] * np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])).astype(np.float32),
        "weights": chance.normal(0, 0.01, (CHANNELS, len(LABELS.names))).astype(np.float32),
    }
    nodes = [wire.Node("Transpose", ["input"], ["planes"], {"perm": [0, 3, 1, 2]}), wire.Node("Conv", ["planes", "first"], ["x0"], {"strides": [4, 4]})]
    nodes += [wire.Node("Conv", [f"x{n}", "again"], [f"x{n + 1}"], {"pads": [1, 1, 1, 1]}) for n in range(layers)]
    nodes += [
        wire.Node("ReduceMean", [f"x{layers}"], ["mean"], {"axes": [2, 3], "keepdims": 0}),
        wire.Node("MatMul", ["mean", "weights"], ["logits"]),
        wire.Node("Sigmoid", ["logits"], ["output"]),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    raw = wire.model(nodes, constants, ("input", ["batch", SIDE, SIDE, 3]), ("output", ["batch", len(LABELS.names)]))
    (folder / "model.onnx").write_bytes(raw)
    codes = {RATING: 9, GENERAL: 0, CHARACTER: 4}
    rows = [f"{n},{name},{codes[kind]},1" for n, (name, kind) in enumerate(zip(LABELS.names, LABELS.categories, strict=True))]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]), encoding="utf-8")
    return Pair(folder / "model.onnx", folder / "selected_tags.csv")


def _throughput(folder: Path, number: int, seconds: float, rounds: int) -> dict[str, Any]:
    running = _slow_enough(folder / "tagger", seconds)
    given = catalog.read(_drawn(folder / "pictures", number)).pictures
    inputs = np.stack([running.prepare(Image.open(picture.path).convert("RGB")) for picture in given[: running.batch]])
    plain = _plain(folder / "tagger" / "model.onnx", running)
    clock, processor, own = [], [], []
    for round_ in range(rounds):
        alone = _timed(lambda: [plain.run(None, {"input": inputs[: number - at]}) for at in range(0, number, running.batch)])
        cache = Cache(folder / f"state{round_}", running.digest)
        cache.begin(running.labels, "bench")
        whole = _timed(partial(run.tag, running, cache, given, _Silent()))
        clock.append(alone[0] / whole[0])
        processor.append(alone[1] / whole[1])
        own.append(alone[0] / number)
    return {
        "pictures": number,
        "batch": running.batch,
        "device": running.device,
        "onnxruntime_s_per_picture": round(statistics.median(own), 4),
        "share_of_onnxruntime": round(statistics.median(clock), 4),
        "shares": [round(share, 4) for share in clock],
        # Where other programs take the processor as well, the clock says little.
        "share_by_processor_time": round(statistics.median(processor), 4),
    }


def _plain(model: Path, running: Graph) -> Any:
    """onnxruntime as it comes, on the device that we chose."""
    import onnxruntime

    provider = next((name for name, card in CARDS.items() if card == running.device), CPU)
    return onnxruntime.InferenceSession(str(model), providers=[provider])


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    start, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - spent


def _slow_enough(folder: Path, seconds: float) -> Graph:
    layers = 4
    while True:
        running = Graph(graph(folder, layers), WD, "bench" * 8)
        blank = [np.zeros((SIDE, SIDE, 3), np.float32)] * running.batch
        running.run(blank)
        clock, spent = _timed(partial(running.run, blank))
        # What it would take were the machine ours alone.
        took = (min(clock, spent / (os.cpu_count() or 1)) if running.device == "CPU" else clock) / running.batch
        if took >= seconds:
            return running
        running.close()
        layers = max(layers + 1, int(layers * 1.1 * seconds / took))


def _drawn(folder: Path, number: int) -> Path:
    """Pictures of the size sets have, half PNG and half JPEG, with as much detail as drawings have."""
    folder.mkdir()
    chance = np.random.default_rng(2)
    for index in range(number):
        small = Image.fromarray(chance.integers(0, 256, (152, 104, 3), dtype=np.uint8))
        image = small.resize((832, 1216), Image.Resampling.BICUBIC)
        image.save(folder / (f"{index:03}.png" if index % 2 else f"{index:03}.jpg"))
    return folder


def _previews(folder: Path, many: int) -> dict[str, Any]:
    """Thresholds moved over `many` pictures with real numbers of tags: counts and captions."""
    cache = _filled(folder / "many", many)
    names = cache.table.names
    rules = Rules(trigger="sks", exclude=("tag_5000",))
    times = []
    for step in range(8):
        start = time.perf_counter()
        composer = Composer(cache.table, Wish(rules, target=Thresholds(0.2 + 0.08 * step)))
        composer.counts(names, False)
        for name in names:
            composer.caption(name)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    Cache(folder / "many", "f" * 64)
    return {
        "preview_pictures": many,
        "preview_first_s": round(times[0], 3),
        "preview_s": round(statistics.median(times[1:]), 3),
        "cache_read_s": round(time.perf_counter() - start, 3),
    }


def _filled(state: Path, many: int) -> Cache:
    from lib_lora.pictures.picture import Picture

    cache = Cache(state, "f" * 64)
    cache.begin(LABELS, "bench")
    chance = np.random.default_rng(3)
    entries: Sequence[Entry] = [Entry(Picture(f"{n}.png", Path(f"{n}.png"), (1, 1), "", None, (n, n)), f"{n:064x}", _row(chance)) for n in range(many)]
    cache.add(entries)
    return cache


def _row(chance: np.random.Generator) -> np.ndarray:
    row = chance.random(len(LABELS.names), dtype=np.float32) * 0.01
    row[chance.integers(4, len(row), LIKELY)] = chance.beta(0.5, 1.5, LIKELY)
    return row
