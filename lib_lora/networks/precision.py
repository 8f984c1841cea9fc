"""The number formats of files: rounding to them, and how far off what is computed with them may be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lib_lora.model import Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def rounded(tensor: Tensor, precision: Precision) -> Tensor:
    """The values as a file of that precision gives them back, float32."""
    return tensor.to(DTYPES[precision]).float()


def tolerance(precisions: Sequence[Precision], size: float, numel: int) -> float:
    """The largest ‖difference‖ rounding explains, for a product of norm `size` with `numel` elements.

    It went through all of `precisions`: a few units in the last place for the product and its scale, and a step for each
    value so small that a format has only a fixed step left for it (float16 below 6e-5, which is where a LoRA begins).
    """
    infos = [(precision, torch.finfo(DTYPES[precision])) for precision in precisions]
    relative = max(info.eps * (64 if precision == "fp32" else 4) for precision, info in infos)
    step = max(info.smallest_normal * info.eps for _, info in infos)
    return relative * size + step * numel**0.5
