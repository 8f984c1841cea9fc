"""What the pixels of a picture say, small enough to be kept for thousands of pictures."""

from __future__ import annotations

import struct
from dataclasses import dataclass

GRID = 32  # a picture is compared in that many by that many blocks
CHANNELS = 4  # of a block: mean red, green, blue, and how much its brightness varies
STYLE = 12  # numbers of a style
TONES = ("colour", "grey", "tinted")
# Changes with everything that is computed: what was kept before is computed anew.
VERSION = 1
HEAD = struct.Struct(f"<32sIIQQBIIII{STYLE}f")


@dataclass(frozen=True)
class Seen:
    """What was seen in a picture that stands as its EXIF says.

    `pixels` is the sha256 of its RGB pixels and size. `dhash` and `mirrored` are 64-bit hashes of the picture and of its
    mirror image. `blocks` holds GRID × GRID × CHANNELS bytes, row by row. `tone` is one of TONES. `bars` are the pixels of
    black or white bars at left, top, right and bottom. `style` is what outliers are told by.
    """

    pixels: str
    size: tuple[int, int]
    dhash: int
    mirrored: int
    blocks: bytes
    tone: str
    bars: tuple[int, int, int, int]
    style: tuple[float, ...]


def pack(seen: Seen) -> bytes:
    """As bytes of a fixed layout: what is read back is data and nothing else."""
    head = HEAD.pack(bytes.fromhex(seen.pixels), *seen.size, seen.dhash, seen.mirrored, TONES.index(seen.tone), *seen.bars, *seen.style)
    return head + seen.blocks


def unpack(content: bytes) -> Seen | None:
    """What `pack` wrote; None where it is something else."""
    if len(content) != HEAD.size + GRID * GRID * CHANNELS:
        return None
    pixels, width, height, dhash, mirrored, tone, left, top, right, bottom, *style = HEAD.unpack_from(content)
    if tone >= len(TONES):
        return None
    return Seen(pixels.hex(), (width, height), dhash, mirrored, content[HEAD.size :], TONES[tone], (left, top, right, bottom), tuple(style))
