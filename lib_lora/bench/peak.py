"""How much of what a device can multiply a training step really uses."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

SIDES = {"cuda": 8192, "cpu": 1024}
ROUNDS = 8


def matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of large square products in that format, the best of a few rounds: the device's measured peak."""
    side = SIDES.get(device.type, 2048)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(ROUNDS):
        _wait(device)
        started = time.perf_counter()
        left @ right
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of products, convolutions and attention in `work`, forward and backward, as torch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return counter.get_total_flops()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
