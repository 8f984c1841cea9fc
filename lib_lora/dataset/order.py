"""Placed pictures → the batches of an epoch; a pure function of (seed, epoch)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from lib_lora.dataset.buckets import Placed, Size


def epoch(placed: Sequence[Placed], batch_size: int, seed: int, epoch: int) -> tuple[tuple[int, ...], ...]:
    """Indices into `placed`, batch by batch: each picture as often as it repeats, one bucket per batch, all shuffled.

    The last batch of a bucket may be short; no picture is dropped.
    """
    rng = random.Random(f"order {seed} {epoch}")  # noqa: S311 - an order is no secret
    batches: list[tuple[int, ...]] = []
    for _, members in sorted(_buckets(placed).items()):
        queue = [index for index in members for _ in range(placed[index].item.repeats)]
        rng.shuffle(queue)
        batches += [tuple(queue[at : at + batch_size]) for at in range(0, len(queue), batch_size)]
    rng.shuffle(batches)
    return tuple(batches)


def batches_per_epoch(placed: Sequence[Placed], batch_size: int) -> int:
    """How many batches `epoch` gives: every bucket is rounded up on its own."""
    seen = (sum(placed[index].item.repeats for index in members) for members in _buckets(placed).values())
    return sum(math.ceil(pictures / batch_size) for pictures in seen)


def steps_per_epoch(placed: Sequence[Placed], batch_size: int, accumulation: int) -> int:
    """How many optimizer steps an epoch has."""
    return math.ceil(batches_per_epoch(placed, batch_size) / accumulation)


def _buckets(placed: Sequence[Placed]) -> dict[Size, list[int]]:
    buckets: dict[Size, list[int]] = {}
    for index, one in enumerate(placed):
        buckets.setdefault(one.bucket, []).append(index)
    return buckets
