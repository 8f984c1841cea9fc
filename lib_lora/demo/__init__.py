"""The embedded default: a small checkpoint and a captioned picture set that the project makes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "demo-tako"


@dataclass(frozen=True)
class PictureSet:
    """A captioned picture set on the disk, and the settings (nested, as in a job file) that fit it on any checkpoint."""

    pictures: Path
    job: dict[str, Any]


@dataclass(frozen=True)
class DemoSet:
    """All a training needs: checkpoint, pictures and a job for the two, short enough for a CPU."""

    checkpoint: Path
    pictures: Path
    job: dict[str, Any]


def pictures(folder: Path) -> PictureSet:
    """Draw the picture set into a folder."""
    from lib_lora.demo import scenes

    drawn = scenes.draw(folder).resolve()
    return PictureSet(drawn, {"data": {"folder": str(drawn)}, "caption": {"trigger": scenes.TRIGGER}, "save": {"name": NAME}})


def make(folder: Path) -> DemoSet:
    """Make the checkpoint in `folder/models` and the pictures in `folder/pictures`; what is there already is kept."""
    from lib_lora.demo import checkpoint, scenes

    drawn = pictures(folder / "pictures")
    job = {
        "data": {**drawn.job["data"], "resolution": [128, 128]},
        "bucket": {"min": 64, "max": 256, "step": 64},
        "caption": drawn.job["caption"],
        "network": {"kind": "lora", "rank": 8, "alpha": 8.0},
        # The weights are random, so a rate far above what a trained checkpoint bears.
        "learning": {"epochs": 4, "batch_size": 2, "unet_lr": 2e-3},
        "save": {"name": NAME, "replace": True, "description": "Trained on the embedded default: random weights, to see the way and not for use."},
        "preview": {"every_epochs": 2, "prompt": f"{scenes.TRIGGER}, {scenes.SCENES[0].caption}", "steps": 8, "cfg": 2.0, "size": [128, 128]},
    }
    return DemoSet(checkpoint.make(folder / "models"), drawn.pictures, job)
