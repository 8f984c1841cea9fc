"""The settings of preparing: what shape pictures get, which copies are made, how folders are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lib_lora.core.settings import opt, section

SIDE = 64  # sides of padded pictures and of automatic sizes are multiples of this, as buckets are


@dataclass(frozen=True)
class ShapeConfig:
    """What is cut off or added."""

    kind: Literal["keep", "auto", "centre", "focal", "pad"] = opt(
        "keep",
        "Shape",
        "What is cut off or added. Without any of it training cuts a little from each picture, as its bucket asks.",
    )
    trim: bool = opt(False, "Cut off bars", "Black or white bars that are around a picture already are cut off first, where they were found.")
    size: tuple[int, int] = opt((768, 1024), "Crop size", "Width and height. The picture always fills it: no bars.", min=64, max=4096)
    side: int = opt(1024, "Side of the square", "A multiple of 64: 1024 for SDXL, up to 1536 for Illustrious.", min=SIDE, max=4096, step=SIDE)
    colour: Literal["black", "white"] = opt("black", "Colour of the bars", "The caption is told of them by itself: letterboxed or pillarboxed.")
    low: int = opt(384, "Shortest side", "No side is shorter.", min=64, max=4096, step=8, advanced=True)
    high: int = opt(768, "Longest side", "No side is longer. 768 suits SD1, 1536 SDXL.", min=64, max=4096, step=8, advanced=True)
    area_low: int = opt(64, "Smallest area", "At least a square of this side.", min=8, max=4096, step=8, advanced=True)
    area_high: int = opt(640, "Largest area", "At most a square of this side. 640 suits SD1, 1280 SDXL.", min=8, max=4096, step=8, advanced=True)
    tolerance: float = opt(
        0.1, "Tolerance", "How far the shape may be from the picture's own; 0.1 cuts off a tenth at most.", min=0, max=1, step=0.01, advanced=True
    )
    prefer: Literal["area", "shape"] = opt("area", "Prefer", "The largest area within the tolerance, or the shape that is nearest.", advanced=True)


@dataclass(frozen=True)
class EnlargeConfig:
    """What happens to pictures that are too small."""

    upscaler: str = opt("", "Upscaler", "Enlarges the pictures that are too small, and only those. With “None” they stay as they are.")
    below: int = opt(
        512,
        "Short side at least",
        "Pictures with a shorter side than this are enlarged to it, where they are not cut or padded anyway. 0: none.",
        min=0,
        max=4096,
        step=64,
    )


@dataclass(frozen=True)
class CopiesConfig:
    """Which pictures are written more than once."""

    flip: bool = opt(
        False, "Flipped copies", "A mirrored copy beside each picture, left and right swapped in its caption; not where text or one-sided features are tagged."
    )
    groups: Literal["keep", "duplicate", "trim"] = opt(
        "duplicate",
        "Differential groups",
        "The rules want groups of one size. Nothing of a group is lost in your own folder.",
    )
    group_size: int = opt(0, "Group size", "How many pictures a group keeps. 0: as many as the smallest group has.", min=0, max=100)


@dataclass(frozen=True)
class FoldersConfig:
    """Which folders the project has."""

    by: Literal["classes", "folders", "one"] = opt("classes", "Folders", "Each folder is called N_name, and training sees its pictures N times per epoch.")
    concept: str = opt("", "Name", "What folders are named after their number of repeats: 6_name. Empty: the opened folder's name.")
    repeats: int = opt(1, "Repeats", "For folders that have no number of their own.", min=1, max=1000)


@dataclass(frozen=True)
class FilesConfig:
    """How files are written."""

    trigger: str = opt("", "Trigger word", "Put first in every caption of the project. Empty: captions stay as they are.")
    format: Literal["png", "jpeg"] = opt(
        "png", "Changed pictures as", "PNG loses nothing; JPEG takes a fifth of the room. Pictures that are not changed keep their own file."
    )


@dataclass(frozen=True)
class PrepareConfig:
    """All of it."""

    shape: ShapeConfig = section(ShapeConfig, "Cut or pad")
    enlarge: EnlargeConfig = section(EnlargeConfig, "Pictures that are too small")
    copies: CopiesConfig = section(CopiesConfig, "Copies")
    folders: FoldersConfig = section(FoldersConfig, "Folders")
    files: FilesConfig = section(FilesConfig, "Files")
