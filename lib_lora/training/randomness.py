"""Own random numbers: each is a function of the seed and of what it is for, so that nobody's reseeding reaches them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def rng(seed: int, *purpose: int | str) -> random.Random:
    """Python's generator for one purpose: the same for the same seed and purpose, unrelated for any other."""
    # A text seed is hashed with SHA-512: neighbours such as (1, 11) and (11, 1) have nothing in common.
    return random.Random("/".join(map(str, (seed, *purpose))))  # noqa: S311 - not for secrets


def generator(seed: int, *purpose: int | str) -> torch.Generator:
    """torch's generator for one purpose.

    It lives on the CPU whatever the device: noise is small, and so a seed means the same on every card.
    """
    import torch

    return torch.Generator().manual_seed(rng(seed, *purpose).getrandbits(63))
