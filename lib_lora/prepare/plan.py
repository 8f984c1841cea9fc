"""What a plan is: each file of the project, where it comes from and how it is made, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib_lora.core.messages import Message
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.shapes import Box, Shape, Size

ORIGINAL, FLIP, DUPLICATE = "original", "flip", "duplicate"
DISCARD, DIFFERENTIAL, MAIN = "discard", "differential", "main"


@dataclass(frozen=True)
class Known:
    """What is known of pictures beside their files, by key. `captions`: as edited. `tags`: what a tagger saw.

    `classes`: face, main, full, discard or a name of the user's own. `mirrored`: the mirror images of a picture
    among the others, `exact` its copies. `bars` are the widths (left, top, right, bottom) of bars that are there already. `repeats` and `names`
    are by class; `keys` are the pictures that are wanted, None for all. `guessed`: discarded
    pictures that nobody discarded by hand. `edited` captions are not saved yet. `settled`:
    nothing more about pixels is being found out.
    """

    captions: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()
    faces: Mapping[str, Box] = field(default_factory=dict)
    bars: Mapping[str, Box] = field(default_factory=dict)
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mirrored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exact: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[str] | None = None
    guessed: frozenset[str] = frozenset()
    edited: int = 0
    settled: bool = True


@dataclass(frozen=True)
class Copy:
    """One picture file of the project. `stem` lacks the suffix, which the content decides. `caption` None: it has none.

    `role` is original, flip or duplicate; `number` tells several duplicates of one picture apart.
    """

    key: str
    source: Path
    mark: tuple[int, int]
    size: Size
    folder: str
    stem: str
    shape: Shape
    caption: str | None
    role: str = ORIGINAL
    number: int = 0
    face: Box | None = None
    bars: Box = (0, 0, 0, 0)

    @property
    def inside(self) -> Box:
        """The picture without its bars, in pixels of the source."""
        return self.bars[0], self.bars[1], self.size[0] - self.bars[2], self.size[1] - self.bars[3]

    @property
    def made(self) -> bool:
        """Whether its pixels are other ones than the source's."""
        return self.role == FLIP or any(self.bars) or self.shape.changes(self.size)

    @property
    def identity(self) -> str:
        """By what it is known again the next time, whatever its folder is called then."""
        return f"{self.role}:{self.number}:{self.key}"

    @property
    def pixels(self) -> int:
        """How many the written picture has."""
        return self.shape.canvas[0] * self.shape.canvas[1]


@dataclass(frozen=True)
class Folder:
    """One folder of the project. `pictures` counts all files, `originals` those that are no copies."""

    name: str
    kind: str
    repeats: int
    pictures: int
    originals: int


@dataclass(frozen=True)
class Plan:
    """All of it. With `problems` nothing can be written. `bytes` is about what it will take."""

    config: PrepareConfig
    copies: tuple[Copy, ...]
    folders: tuple[Folder, ...]
    sentences: tuple[Message, ...] = ()
    warnings: tuple[Message, ...] = ()
    problems: tuple[Message, ...] = ()
    bytes: int = 0
    numbers: Mapping[str, int] = field(default_factory=dict)
