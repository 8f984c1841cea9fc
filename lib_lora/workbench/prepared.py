"""What the record of a prepared project says of its pictures, before anything is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lib_lora.core.messages import say

if TYPE_CHECKING:
    from lib_lora.pictures.classes import Judged
    from lib_lora.pictures.picture import Catalog, Picture

SURE = 0.95  # a folder was named by a person, or by Prepare from what a person chose


@dataclass(frozen=True)
class Prepared:
    """`copies` are pictures that Prepare made of others, `padded` those it put bars around; `kinds` gives a folder's class by its key."""

    copies: frozenset[str] = frozenset()
    padded: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict)

    def judged(self, picture: Picture) -> Judged | None:
        """The class of a picture by its folder; None where that names none."""
        from lib_lora.pictures.classes import Judged

        kind = self.kinds.get(picture.folder)
        return Judged(kind, SURE, say("Its folder {folder} is of this class.", folder=picture.path.parent.name)) if kind else None


def of(catalog: Catalog) -> Prepared:
    """From the project's record; the folders of others may be called as they like."""
    from lib_lora.pictures.classes import KINDS
    from lib_lora.prepare import manifest

    made = manifest.made(catalog.root)
    return Prepared(manifest.copies(catalog.root), made.padded, {key: kind for key, kind in made.kinds.items() if kind in KINDS})
