"""The number formats of files: rounding to them, and how far off what is computed with them may be."""

from __future__ import annotations

import torch
from torch import Tensor

from lib_lora.model import Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def rounded(tensor: Tensor, precision: Precision) -> Tensor:
    """The values as a file of that precision gives them back, float32."""
    return tensor.to(DTYPES[precision]).float()
