"""The addresses of the older tagger extension, with its bodies, so that scripts written for it go on working."""

from __future__ import annotations

from typing import Any

from lib_lora.api.endpoint import Ask, Route, number, text
from lib_lora.api.tagging import PICTURE
from lib_lora.core.errors import ConfigError, NotFound
from lib_lora.core.messages import count, say
from lib_lora.tagging.tagger import Tagger
from lib_lora.workbench import Workbench

PREFIX = "/tagger/v1"
# What that extension calls the taggers that it knows.
CALLED = {
    "wd14-vit.v1": "wd-v1-4-vit-tagger",
    "wd14-vit.v2": "wd-v1-4-vit-tagger-v2",
    "wd14-convnext.v1": "wd-v1-4-convnext-tagger",
    "wd14-convnext.v2": "wd-v1-4-convnext-tagger-v2",
    "wd14-convnextv2.v1": "wd-v1-4-convnextv2-tagger-v2",
    "wd14-swinv2-v1": "wd-v1-4-swinv2-tagger-v2",
    "wd-v1-4-moat-tagger.v2": "wd-v1-4-moat-tagger-v2",
}


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""
    fields = {"image": True, "model": True, "threshold": False, "queue": False, "name_in_queue": False}

    def interrogators(ask: Ask) -> dict[str, Any]:
        """The taggers that are here, by our names and by those the older extension has for them."""
        del ask
        ready = _ready(bench)
        return {"models": [*ready, *(old for old, ours in CALLED.items() if ours in ready and old not in ready)]}

    def interrogate(ask: Ask) -> dict[str, Any]:
        """One picture: its ratings, and its tags above the threshold, characters among them, by raw name."""
        from lib_lora.tagging import inline
        from lib_lora.tagging.select import Thresholds, ratings, select

        if text(ask, "queue", "") or text(ask, "name_in_queue", ""):
            raise ConfigError(say("There are no named queues here: leave queue and name_in_queue empty, and the answer comes at once."))
        tagger = _named(bench, text(ask, "model"))
        threshold = number(ask, "threshold", 0.0)
        answer = bench.taggers.ask(inline.picture(text(ask, "image")), tagger.name)
        found = select(answer.row, answer.labels, Thresholds(threshold, threshold))
        tags = {tag: value for values in found.values() for tag, value in values.items()}
        return {"caption": {"rating": ratings(answer.row, answer.labels), "tag": dict(sorted(tags.items(), key=lambda item: -item[1]))}}

    def unload(ask: Ask) -> str:
        """Give the memory of the tagger back; the answer is a sentence with their number."""
        return count(int(bench.taggers.unload()), "1 tagger was unloaded.", "{n} taggers were unloaded.").text(ask.words)

    return (
        Route("GET", f"{PREFIX}/interrogators", interrogators),
        Route("POST", f"{PREFIX}/interrogate", interrogate, fields, longest=PICTURE),
        Route("POST", f"{PREFIX}/unload-interrogators", unload, bare=True),
    )


def _ready(bench: Workbench) -> dict[str, Tagger]:
    """Those that can answer in that form: with probabilities."""
    return {name: tagger for name, tagger in bench.taggers.listed().items() if tagger.missing is None and not tagger.sentence}


def _named(bench: Workbench, name: str) -> Tagger:
    there = {known: tagger for known, tagger in bench.taggers.listed().items() if not tagger.sentence}
    found = there.get(name) or there.get(CALLED.get(name, name))
    if found is None:
        raise NotFound(say("{kind}: no such {registry}; there are {known}", kind=name, registry="tagger", known=list(_ready(bench))))
    return found
