"""Starting points by goal: plain settings that a form or a job file begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib_lora.model import Family

# Sides a family's base models were trained at.
SIDES = {Family.SD1: 512, Family.SD2: 768, Family.SDXL: 1024}


@dataclass(frozen=True)
class Preset:
    """A goal with a sentence about it and the settings it begins with. All presets set the same names."""

    label: str
    help: str
    settings: Mapping[str, Any]


PRESETS: Mapping[str, Preset] = {
    "character": Preset(
        "Character",
        "One person or figure. About 20 good pictures are enough: all angles, heads and whole bodies.",
        {
            "data.repeats": 10,
            "caption.shuffle": True,
            "caption.keep_tokens": 1,
            # Small ranks learn less of the backgrounds by heart.
            "network": {"kind": "lora", "rank": 32, "alpha": 16.0, "conv_rank": 0, "conv_alpha": 1.0},
            "learning.epochs": 10,
            "learning.unet_lr": 1e-4,
            "learning.text_encoder_lr": 1e-5,
            "noise.offset": 0.0,
            "loss.min_snr_gamma": 5.0,
            "save.every_epochs": 1,
        },
    ),
    "style": Preset(
        "Style",
        "How pictures are drawn, not what is on them. 40 pictures or more of different subjects, all in one style.",
        {
            "data.repeats": 5,
            "caption.shuffle": True,
            "caption.keep_tokens": 1,
            # Strokes and textures live in the 3×3 convolutions, so a style trains them too.
            "network": {"kind": "lora", "rank": 32, "alpha": 16.0, "conv_rank": 16, "conv_alpha": 8.0},
            "learning.epochs": 12,
            "learning.unet_lr": 1e-4,
            "learning.text_encoder_lr": 5e-5,
            "noise.offset": 0.1,
            "loss.min_snr_gamma": 0.0,
            "save.every_epochs": 1,
        },
    ),
}
FIRST = "character"


def resolution_for(family: Family | None) -> tuple[int, int]:
    """The resolution to begin with on a model of that family."""
    side = SIDES[family or Family.SD1]
    return side, side
