"""Where stand-alone work is done and in which precision weights are kept."""

from __future__ import annotations

import torch


def best() -> torch.device:
    """The graphics card where there is one, Apple's, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA, as checkpoints are stored (bfloat16 would cut their numbers shorter); float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def dtype_name(device: torch.device) -> str:
    """The same for people and files: "float32"."""
    return str(dtype(device)).removeprefix("torch.")
