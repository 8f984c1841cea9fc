"""Constant: the learning rate stays."""

from __future__ import annotations

from dataclasses import dataclass

from lib_lora.training.schedulers import Factor, schedulers


@dataclass(frozen=True)
class ConstantOptions:
    """Nothing to choose."""


@schedulers.add("constant", "Constant", ConstantOptions)
def build(options: ConstantOptions) -> Factor:
    """1"""
    return lambda step, steps: 1.0  # noqa: ARG005
