"""What a catalogue holds: a picture file with its caption's text, and the folders they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib_lora.core.messages import Message


@dataclass(frozen=True)
class Picture:
    """A picture file. `key` is its path from the root with "/" on every system: what pages and commands call it by.

    `size` is (width, height) as seen (EXIF applied), (0, 0) where `flaw` says why it cannot be read. `text` is the whole
    text of its caption file, None where there is none; `text_flaw` says why a file that is there cannot be used. `mark` is
    (bytes, mtime_ns) of the picture file: while it stays, what was learnt from its pixels holds. `notes` say what is done to
    it that a user should know (one frame of many, colours of print); `shares` is another picture with the same caption file.
    """

    key: str
    path: Path
    size: tuple[int, int]
    folder: str
    text: str | None
    mark: tuple[int, int]
    flaw: Message | None = None
    text_flaw: Message | None = None
    animated: bool = False
    notes: tuple[Message, ...] = ()
    shares: str = ""

    @property
    def text_path(self) -> Path:
        """Where its caption lies or will lie."""
        return self.path.with_suffix(".txt")

    @property
    def caption(self) -> str:
        """The first line of its text, as training reads it; "" without a text."""
        return (self.text or "").splitlines()[0].strip() if (self.text or "").strip() else ""


@dataclass(frozen=True)
class Shelf:
    """A folder that holds pictures directly. `key` is its path from the root, "" for the root itself.

    `repeats` and `concept` are read from a name like 6_kazari; None and the plain name where it is not one.
    """

    key: str
    path: Path
    repeats: int | None
    concept: str
    count: int


@dataclass(frozen=True)
class Catalog:
    """Everything below a root at one moment: pictures in a fixed order (by key), shelves, and what was found wrong.

    `roots` are the folders that links may lead into, None for anywhere.
    """

    root: Path
    pictures: tuple[Picture, ...]
    shelves: tuple[Shelf, ...]
    problems: tuple[Message, ...] = ()
    roots: tuple[Path, ...] | None = None

    def by_key(self) -> dict[str, Picture]:
        """The pictures by what they are called."""
        return {picture.key: picture for picture in self.pictures}
