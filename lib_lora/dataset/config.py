"""The settings of pictures, buckets and captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lib_lora.core.settings import opt


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures are and how large they are trained."""

    folder: str = opt("", "Picture folder", "A folder of pictures, or of folders named N_concept (N = how often each picture is repeated).", path=True)
    repeats: int = opt(10, "Repeats", "How often each picture is seen per epoch, for pictures that lie directly in the folder.", min=1, max=1000)
    resolution: tuple[int, int] = opt(
        (512, 512), "Resolution", "Width and height whose area a picture is brought to: 512,512 for SD1, 1024,1024 for SDXL.", min=64, max=4096
    )
    skip_unreadable: bool = opt(False, "Skip unreadable pictures", "Train without pictures that cannot be opened. Off: they are listed and nothing starts.")
    cache: Literal["memory", "disk"] = opt(
        "memory", "Cache latents in", "Pictures are encoded once. On disk a later run starts faster; a changed picture is always encoded again."
    )


@dataclass(frozen=True)
class BucketConfig:
    """How pictures of different shapes share batches."""

    enabled: bool = opt(True, "Buckets", "Keep each picture's shape: group shapes and cut only a little. Off: every picture is cut to the resolution.")
    min: int = opt(0, "Smallest side", "No bucket has a shorter side. 0 chooses: 256, or less for small resolutions.", min=0, max=4096, step=32, advanced=True)
    max: int = opt(0, "Largest side", "No bucket has a longer side. 0 chooses: twice the resolution's longer side.", min=0, max=8192, step=32, advanced=True)
    step: int = opt(64, "Bucket step", "Sides of buckets are multiples of this.", min=32, max=256, step=32, advanced=True)
    no_upscale: bool = opt(False, "Never enlarge", "Small pictures keep their size and get buckets of their own.")


@dataclass(frozen=True)
class CaptionConfig:
    """How a caption file becomes the text that is trained."""

    trigger: str = opt("", "Trigger word", "Put first in every caption; typing it in a prompt calls the LoRA. Empty: captions stay as they are.")
    shuffle: bool = opt(True, "Shuffle tags", "Mix the order of the tags at every step, so that none is learnt by its place.")
    keep_tokens: int = opt(
        1, "Keep first tags", "That many tags at the front stay in place when tags are shuffled; the trigger word is one of them.", min=0, max=255
    )
