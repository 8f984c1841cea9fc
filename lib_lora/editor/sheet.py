"""A caption file as the editor sees it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lib_lora.core.messages import Message
from lib_lora.dataset import captions
from lib_lora.pictures.picture import Catalog


@dataclass(frozen=True)
class Sheet:
    """A caption file, there or not. Pictures that differ only in their suffix share one.

    `read` is its text when it was read; edits stand on that. `flaw` says why it cannot be edited. `unseen`: none of its
    pictures can be read.
    """

    file: str
    path: Path
    read: str | None
    pictures: int = 1
    flaw: Message | None = None
    unseen: bool = False

    @property
    def caption(self) -> str | None:
        """The first line, which is what training reads; None where there is no file."""
        return None if self.read is None else captions.lines(self.read)[0]


def file_of(key: str) -> str:
    """The caption file of a picture, from the root. Windows takes names that differ in case for the same."""
    name = str(PurePosixPath(key).with_suffix(".txt"))
    return name.casefold() if os.name == "nt" else name


def sheets(catalog: Catalog) -> dict[str, Sheet]:
    """The caption files of a catalogue's pictures."""
    found: dict[str, Sheet] = {}
    for picture in catalog.pictures:
        file = file_of(picture.key)
        if file in found:
            found[file] = replace(found[file], pictures=found[file].pictures + 1, unseen=found[file].unseen and picture.flaw is not None)
        else:
            found[file] = Sheet(file, picture.text_path, picture.text, 1, picture.text_flaw, picture.flaw is not None)
    return found
