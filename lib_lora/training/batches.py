"""What the loop is fed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lib_lora.model import Posterior, SizeCond, TextCond

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Pictures of one bucket with their captions. `weights` (B,) float32 multiplies each one's loss."""

    latents: Posterior
    texts: tuple[str, ...]
    sizes: tuple[SizeCond, ...]
    weights: Tensor

    def __len__(self) -> int:
        return len(self.texts)


class Source(Protocol):
    """Where batches come from: `feed.Feed` in a training."""

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All batches of an epoch (from 1) on the model's device, the same ones for the same seed."""
        ...

    def cond(self, batch: Batch) -> TextCond:
        """The batch's captions, encoded; with a graph where text encoders learn."""
        ...
