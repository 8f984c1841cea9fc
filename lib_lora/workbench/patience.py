"""How much of a folder is read before somebody is told to choose a smaller one: a whole disk is no set of pictures."""

from __future__ import annotations

import time
from pathlib import Path

from lib_lora.core.errors import DataError
from lib_lora.core.messages import say

PICTURES = 20_000
SECONDS = 10.0
FOLDERS = 200  # fewer are listed to their end, however slow the disk is


class Patience:
    """Watches the reading of one folder, and ends it with a sentence."""

    def __init__(self, root: Path, seconds: float = SECONDS) -> None:
        self.root = root
        self.seconds = seconds
        self._began = time.monotonic()

    def __call__(self, pictures: int, folders: int) -> None:
        """So much was found so far."""
        if pictures > PICTURES:
            raise DataError(
                say("{folder}: more than {n} pictures lie in it, which is too much for one set. Open a folder inside it.", folder=str(self.root), n=PICTURES)
            )
        if folders > FOLDERS and time.monotonic() - self._began > self.seconds:
            raise DataError(
                say(
                    "{folder}: so many folders lie in it that {seconds} seconds were too short to look through them. Open the folder that holds your pictures.",
                    folder=str(self.root),
                    seconds=round(self.seconds),
                )
            )
