"""Memory of this process and of the card, and whether a long run makes it grow."""

from __future__ import annotations

import gc
import sys
import warnings
from typing import Any

import torch

PROBES = (100, 500)


def peak_bytes(device: torch.device) -> int:
    """The most there ever was: allocated on a card, resident on the CPU; 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def live_tensors() -> int:
    """How many tensors Python holds."""
    gc.collect()
    with warnings.catch_warnings():
        # Looking at every object touches deprecated ones that nobody uses.
        warnings.simplefilter("ignore")
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def measure(backend: Any, device: torch.device) -> dict[str, Any]:
    """500 steps of a small UNet of SD1's topology: what has grown since the hundredth."""
    from lib_lora.bench import unets
    from lib_lora.bench.model import BenchModel, RandomBatches
    from lib_lora.bench.train import job
    from lib_lora.networks.registry import networks
    from lib_lora.training import loop
    from lib_lora.training.control import Control
    from lib_lora.training.events import Stepped
    from lib_lora.training.randomness import generator

    model = BenchModel(backend, unets.make(backend, unets.SMALL, device, torch.float32), device)
    config, last = job(4, 1, "fp32"), PROBES[-1]
    network = networks.get("lora").build(model.layers(), config.network.options, device, generator(0, "network"))
    batches = RandomBatches(device, 64, 1, unets.SMALL.context, last)
    found: list[tuple[int, int]] = []
    with unets.scaled_dot_product(backend):
        for event in loop.run(model, network, batches, config, loop.Steps(last, 1), Control()):
            if isinstance(event, Stepped) and event.step in PROBES:
                found.append((peak_bytes(device), live_tensors()))
    (bytes_before, tensors_before), (bytes_after, tensors_after) = found
    return {
        "backend": backend,
        "steps": last,
        "peak_bytes": bytes_after,
        "grown_bytes": bytes_after - bytes_before,
        "grown_tensors": tensors_after - tensors_before,
        "torch": torch.__version__,
        "device": device.type,
    }
