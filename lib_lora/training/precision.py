"""Which number format a run computes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.model import Precision

if TYPE_CHECKING:
    import torch

Choice = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class Capability:
    """What mixed precision a device does in hardware."""

    fp16: bool = False
    bf16: bool = False


def capability(device: torch.device) -> Capability:
    """What that device can do. Emulated bf16 does not count: it is slower than fp32."""
    import torch

    if device.type == "cpu":
        # autocast exists here for bf16 alone.
        return Capability(bf16=True)
    if device.type == "xpu":
        return Capability(fp16=True, bf16=True)
    if device.type != "cuda":
        return Capability()
    if torch.version.hip:
        return Capability(fp16=True, bf16=torch.cuda.is_bf16_supported())
    return Capability(fp16=True, bf16=torch.cuda.get_device_capability(device)[0] >= 8)


def resolve(choice: Choice, device: torch.device, able: Callable[[torch.device], Capability] = capability) -> Precision:
    """The format for a choice: auto takes bf16 where a card has it, fp16 on other cards, fp32 elsewhere.

    A choice the device cannot follow is a ConfigError that names those it can.
    """
    can = able(device)
    if choice == "auto":
        if device.type == "cpu":
            return "fp32"
        return "bf16" if can.bf16 else "fp16" if can.fp16 else "fp32"
    if (choice == "fp16" and not can.fp16) or (choice == "bf16" and not can.bf16):
        known = ["auto", "fp32", *(name for name in ("fp16", "bf16") if getattr(can, name))]
        raise ConfigError(
            say("run.precision: {choice} cannot be trained on this device ({device}); choose one of {known}", choice=choice, device=device.type, known=known)
        )
    return choice
