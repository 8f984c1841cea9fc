"""What a tagger's captions are for the editor: one change of many captions, that can be undone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.editor.change import Change
from lib_lora.editor.session import Session
from lib_lora.editor.sheet import file_of
from lib_lora.pictures.picture import Picture
from lib_lora.tagging.cache import Cache
from lib_lora.tagging.compose import Composer


@dataclass(frozen=True)
class Tagged:
    """Gives each caption a text of its own, in their order."""

    texts: tuple[str, ...]
    tagger: str

    def run(self, texts: Sequence[str], counts: Mapping[str, int]) -> list[str]:
        """The new ones. ConfigError where the folder is another one by now."""
        del counts
        if len(texts) != len(self.texts):
            raise ConfigError(say("The folder has changed meanwhile: look at the preview again."))
        return list(self.texts)

    def said(self) -> Message:
        """For the list of what can be undone."""
        return say("Captions by {tagger}", tagger=self.tagger)


def captions(session: Session, cache: Cache, composer: Composer, pictures: Sequence[Picture], regularisation: Collection[str]) -> dict[str, str]:
    """Picture key → its new caption, of those that have a row and a caption that can be edited, one for each caption file."""
    found: dict[str, str] = {}
    files: set[str] = set()
    for picture in pictures:
        pixels = cache.pixels(picture)
        file = file_of(picture.key)
        if pixels is not None and picture.text_flaw is None and file not in files:
            files.add(file)
            found[picture.key] = composer.merged(session.text(picture.key), pixels, picture.key in regularisation)
    return found


def apply(session: Session, texts: Mapping[str, str], tagger: str) -> Change:
    """Do it, as one change."""
    return session.apply(Tagged(tuple(texts.values()), tagger), list(texts))
