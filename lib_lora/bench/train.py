"""A whole training step against a bare forward, in pairs, so that the weather on the machine is the same for both.

A frozen base asks for one product going back for each going forth, so 2 is the least, 2.01 with the LoRA's own products.
What a step costs beyond a forward at 256², rank 16, fp32. On one thread (ratio 2.14): the LoRA going forth 0.03 of a forward,
the way back 1.10, clipping and AdamW 0.006. On two threads of the same machine 2.26 to 2.42, by operator, step against
forward: linear layers 2.13, convolutions 2.23, attention 3.5 (its forward is computed again on the way back), and everything
small together 3.4: gates, norms, sums, AdamW. Both are timed with the heap as a training
has it (`training/heap.py`).
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from lib_lora.bench import peak, unets
from lib_lora.bench.memory import peak_bytes
from lib_lora.bench.model import BenchModel, RandomBatches
from lib_lora.core.settings import load
from lib_lora.networks.registry import networks
from lib_lora.training import loop
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Stepped
from lib_lora.training.precision import resolve
from lib_lora.training.randomness import generator


@dataclass(frozen=True)
class Work:
    """What is measured."""

    model: str = "sd15"
    backend: unets.Backend = "ldm"
    size: int = 256
    batch: int = 1
    rank: int = 16
    pairs: int = 9
    warmup: int = 2
    precision: str = "auto"
    checkpointing: bool = False


def measure(work: Work, device: torch.device) -> dict[str, Any]:
    """Times of both, the median ratio of the pairs, and the most memory there was."""
    shape, precision = unets.SHAPES[work.model], resolve(work.precision, device)
    # Cards hold the base in the format they compute in, as hosts do; the CPU computes in float32.
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    model = BenchModel(work.backend, unets.make(work.backend, shape, device, dtype), device)
    bare = BenchModel(work.backend, unets.twin(model.unet), device)
    number = work.warmup + work.pairs
    batches = RandomBatches(device, work.size, work.batch, shape.context, number + 1)
    config = job(work.rank, work.batch, precision, work.checkpointing)
    network = networks.get("lora").build(model.layers(), config.network.options, device, generator(0, "network"))
    forwards, steps = [], []
    with unets.scaled_dot_product(work.backend):
        events = loop.run(model, network, batches, config, loop.Steps(number + 1, 1), Control())
        for _ in range(number):
            forwards.append(_forward(bare, batches, precision, device))
            steps.append(_step(events, device))
        counted = peak.operations(lambda: _step(events, device))
        events.close()
    flops, step_s = peak.matmul_flops(device, dtype), statistics.median(steps[work.warmup :])
    ratios = [step / forward for step, forward in zip(steps[work.warmup :], forwards[work.warmup :], strict=True)]
    return {
        **asdict(work),
        "precision": precision,
        "modules": len(network.keys()),
        "forward_s": statistics.median(forwards[work.warmup :]),
        "step_s": step_s,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "peak_bytes": peak_bytes(device),
        "step_flop": counted,
        "matmul_flops": flops,
        "share": counted / step_s / flops,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": str(dtype).removeprefix("torch."),
    }


def job(rank: int, batch: int, precision: str, checkpointing: bool = False) -> TrainConfig:
    """The settings of a run of one epoch that saves nothing on its way."""
    return load(
        TrainConfig,
        {
            "network": {"kind": "lora", "rank": rank, "alpha": rank / 2},
            "learning": {"epochs": 1, "batch_size": batch},
            "run": {"precision": precision, "checkpointing": checkpointing},
            "save": {"every_epochs": 0},
        },
    )


def _forward(model: BenchModel, batches: RandomBatches, precision: Any, device: torch.device) -> float:
    """Seconds of a forward without gradients of a model that no network hangs on."""
    batch = batches.batch
    timesteps = torch.full((len(batch),), 500, device=device)
    _wait(device)
    started = time.perf_counter()
    with torch.no_grad(), model.autocast(precision):
        model.predict(batch.latents.mean, timesteps, batches.cond(batch), batch.sizes)
    _wait(device)
    return time.perf_counter() - started


def _step(events: Any, device: torch.device) -> float:
    """Seconds of the loop from one step's event to the next one's."""
    started = time.perf_counter()
    while not isinstance(next(events), Stepped):
        # What is said before the first step takes no time of its own.
        continue
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
