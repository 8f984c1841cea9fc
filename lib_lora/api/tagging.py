"""Routes of the dataset page: taggers, what they say of pictures, and captions made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, Route, number, text
from lib_lora.api.tagdocuments import Asked, asked, preview_document, scope, taggers_document
from lib_lora.core.errors import ConfigError, HostError
from lib_lora.core.messages import count, say
from lib_lora.workbench import Turn, Workbench

if TYPE_CHECKING:
    from lib_lora.tagging.tagger import Around

PICTURE = 32 * 1024 * 1024  # bytes of a body with a picture in it
WISH = {
    "tagger": False,
    "threshold": False,
    "character_threshold": False,
    "reg_threshold": False,
    "reg_character_threshold": False,
    "mcut": False,
    "rules": False,
    "policy": False,
    "regularisation": False,
    "keys": False,
    "where": False,
}
SET = {"set": True, "client": True}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    answers = _Answers(bench)
    return (
        Route("GET", "taggers", answers.taggers),
        Route(
            "POST",
            "tag",
            answers.tag,
            {"image": True, "tagger": False, "threshold": False, "character_threshold": False, "rules": False, "mcut": False, "floor": False},
            longest=PICTURE,
        ),
        Route("POST", "dataset/tag", answers.run, SET | {"tagger": False, "keys": False, "where": False}),
        Route("POST", "dataset/tag/preview", answers.preview, SET | WISH),
        Route("POST", "dataset/tag/write", answers.write, SET | WISH),
        Route("POST", "dataset/tagger/download", answers.download, {"set": False, "client": False, "tagger": True, "endpoint": False}),
        Route("POST", "dataset/tagger/unload", answers.unload, {"set": False, "client": False}),
    )


class _Answers:
    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def taggers(self, ask: Ask) -> dict[str, Any]:
        """The taggers there are: ready ones first, the others with the place and names of the files they need."""
        return taggers_document(self.bench.taggers, ask.words)

    def tag(self, ask: Ask) -> dict[str, Any]:
        """One picture: its tags above the thresholds by raw name, its ratings, and the caption by the rules."""
        from lib_lora.tagging import inline
        from lib_lora.tagging.compose import Composer
        from lib_lora.tagging.labels import RATING
        from lib_lora.tagging.select import ratings, select
        from lib_lora.tagging.table import single

        wish = asked(ask, 0.35)
        answer = self.bench.taggers.ask(inline.picture(text(ask, "image")), text(ask, "tagger", ""))
        table, name = single(answer.labels, answer.row, answer.sentence)
        floor = number(ask, "floor", -1)
        shown = wish.target if floor < 0 else replace(wish.target, general=floor, character=floor, mcut=False)
        found = select(answer.row, answer.labels, shown)
        tags = {tag: round(value, 6) for values in found.values() for tag, value in values.items()}
        return {
            "tagger": answer.tagger,
            "tags": dict(sorted(tags.items(), key=lambda item: -item[1])),
            "rating": {tag: round(value, 6) for tag, value in ratings(answer.row, answer.labels).items()},
            "caption": Composer(table, wish).caption(name),
            "categories": {tag: category for category, values in found.items() for tag in values if category != RATING},
            "device": answer.device,
            "notes": [note.text(ask.words) for note in answer.notes],
        }

    def run(self, ask: Ask) -> dict[str, Any]:
        """Start tagging pictures of an open folder: {"task"}. What is known of a picture already is not asked again."""
        opened = self.bench.opened(text(ask, "set"))
        tagger = self.bench.taggers.chosen(text(ask, "tagger", ""))
        keys = scope(ask, opened)
        if tagger.missing is not None:
            raise HostError(_where(tagger.name, tagger.missing))

        def work(turn: Turn) -> dict[str, Any]:
            from lib_lora.tagging import cache, run

            pictures = [opened.pictures[key] for key in keys if key in opened.pictures]
            turn.tell(0, len(pictures), say("Loading {tagger}", tagger=tagger.name))
            with self.bench.taggers.use(tagger) as (running, notes):
                self.bench.taggers.remember(tagger.name)
                turn.warn(*notes)
                kept = cache.at(opened.state, running.digest)
                kept.begin(running.labels, tagger.name)
                turn.tell(0, len(pictures), say("Tagging with {tagger} on {device}", tagger=tagger.name, device=running.device))
                outcome = run.tag(running, kept, pictures, turn)
                turn.warn(*(note for note in running.notes if note not in notes), *run.told(outcome))
            return {"tagged": outcome.tagged, "known": outcome.known, "broken": list(outcome.broken), "tagger": tagger.name}

        return {"task": self.bench.tasks.start("tag", opened.id, work), "pictures": len(keys)}

    def preview(self, ask: Ask) -> dict[str, Any]:
        """What thresholds and rules make of what the tagger said: counts per tag, and captions before and after."""
        made = Asked.of(self.bench, ask)
        return preview_document(made, ask.words)

    def write(self, ask: Ask) -> dict[str, Any]:
        """Make the captions, as one change that can be undone. Nothing is on the disk before it is saved."""
        from lib_lora.tagging import write

        made = Asked.of(self.bench, ask)
        if not made.captions:
            raise ConfigError(say("There is nothing to write yet: tag the pictures first."))
        change = write.apply(made.session, made.captions, made.tagger)
        sentence = count(
            len(change.edits),
            "1 caption was changed. Save writes it to the disk; undo takes it back.",
            "{n} captions were changed. Save writes them to the disk; undo takes it back.",
        )
        undo, redo = made.session.history()
        return {
            "changed": len(change.edits),
            "of": change.of,
            "what": change.what.text(ask.words),
            "left_out": [one.text(ask.words) for one in change.left_out],
            "said": sentence.text(ask.words),
            "unsaved": made.session.unsaved(),
            "undo": undo.text(ask.words) if undo else "",
            "redo": redo.text(ask.words) if redo else "",
        }

    def download(self, ask: Ask) -> dict[str, Any]:
        """Start fetching a tagger's files: {"task"}. Only ever because somebody asked for it."""
        tagger = self.bench.taggers.chosen(text(ask, "tagger"))
        missing = tagger.missing
        if missing is None:
            raise ConfigError(say("{tagger} is here already.", tagger=tagger.name))
        if not missing.files or not all(file.url for file in missing.files):
            raise HostError(_where(tagger.name, missing))
        mirror = self._mirror(text(ask, "endpoint", ""))
        if mirror:
            around: Around = self.bench.taggers.around()
            files = tuple(replace(file, url=file.url.replace(around.endpoint, mirror, 1)) for file in missing.files)
            missing = replace(missing, files=files)

        def work(turn: Turn) -> Mapping[str, Any]:
            from lib_lora.tagging import download

            return {"tagger": tagger.name, "complete": download.fetch(missing, turn)}

        return {"task": self.bench.tasks.start("tagger", tagger.name, work)}

    def unload(self, ask: Ask) -> dict[str, Any]:
        """Give the memory of the tagger back."""
        del ask
        return {"unloaded": self.bench.taggers.unload()}

    def _mirror(self, endpoint: str) -> str:
        address = endpoint.strip().rstrip("/")
        if not address:
            return ""
        if self.bench.host.paths().roots is not None:
            # Who comes from elsewhere must not send this computer to addresses of their choice.
            raise ConfigError(say("This server is open to others, so its mirror is set by HF_ENDPOINT where it is started."))
        if not address.lower().startswith(("https://", "http://")):
            raise ConfigError(say("{url}: only http and https addresses are downloaded from", url=address))
        return address


def _where(name: str, missing: Any) -> Any:
    from lib_lora.tagging.start import where_to_put

    return where_to_put(name, missing)
