"""How a tagger of graph and list is started, or why it cannot be."""

from __future__ import annotations

from collections.abc import Callable

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.tagging.profile import Profile
from lib_lora.tagging.tagger import Around, Missing, Pair, Running


def identified(pair: Pair | None, around: Around) -> Callable[[], str]:
    """What Tagger.identity is."""

    def identity() -> str:
        from lib_lora.tagging import digest

        return digest.remembered(pair.model, around.state) if pair else ""

    return identity


def starting(pair: Pair | None, profile: Profile, around: Around, name: str, missing: Missing | None = None, whole: int = 0) -> Callable[[bool], Running]:
    """What Tagger.start is: loads the pair, or raises the sentence about what is missing. `whole`: the bytes of its graph, if known."""

    def start(cpu: bool) -> Running:
        if pair is None:
            raise HostError(where_to_put(name, missing)) if missing else HostError(say("{tagger}: its files are not here.", tagger=name))
        from lib_lora.tagging import digest
        from lib_lora.tagging.session import Graph

        try:
            return Graph(pair, profile, digest.remembered(pair.model, around.state), cpu)
        except HostError as error:
            size = pair.model.stat().st_size
            if size >= whole:
                raise
            file = str(pair.model)
            cut = say("{file} has {size} of {whole} bytes: it was not fetched completely. Delete it and fetch it again.", file=file, size=size, whole=whole)
            raise HostError(*error.messages, cut) from error

    return start


def where_to_put(name: str, missing: Missing) -> Message:
    """The sentence about missing files: the exact folder, the names, and where they can be had."""
    found: Message | None = None
    if missing.files:
        found = say(
            "{tagger} is not on this machine. Put {files} into {folder}. They can be had from {urls}",
            tagger=name,
            files=[file.name for file in missing.files],
            folder=str(missing.folder),
            urls=[file.url for file in missing.files if file.url],
        )
    for more in missing.also:
        found = say("{sentence} – {another}", sentence=found, another=more) if found else more
    return found or say("{tagger}: its files are not here.", tagger=name)
