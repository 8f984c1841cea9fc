"""A full card, said in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say


@contextmanager
def told_of_full_memory() -> Iterator[None]:
    """Turns torch's error about a full card into one that says what to do."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise HostError(
            say("The card's memory is full. Tick gradient checkpointing, lower the batch size or the resolution, or close what else uses the card.")
        ) from error
