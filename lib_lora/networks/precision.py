"""The number formats of files: rounding to them, and how far off what is computed with them may be."""

from __future__ import annotations

import torch
from torch import Tensor

from lib_lora.model import Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def rounded(tensor: Tensor, precision: Precision) -> Tensor:
    """The values as a file of that precision gives them back, float32."""
    return tensor.to(DTYPES[precision]).float()


def coarsest(one: Precision, other: Precision) -> Precision:
    """The one of the two that rounds more."""
    return max(one, other, key=lambda precision: torch.finfo(DTYPES[precision]).eps)


def tolerance(precision: Precision, size: float, numel: int) -> float:
    """The largest ‖difference‖ rounding explains, for a product of norm `size` with `numel` elements.

    Relative rounding of the product and its scale (a few units in the last place), and a step for each value so small that
    the format has only a fixed step left for it.
    """
    info = torch.finfo(DTYPES[precision])
    relative = 64 * info.eps if precision == "fp32" else 4 * info.eps
    step = info.smallest_normal * info.eps
    return relative * size + step * numel**0.5
