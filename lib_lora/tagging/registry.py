"""The taggers there are: a card lists those it knows, with the files they need."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.core.registry import Registry
from lib_lora.tagging.tagger import Around, Build, Missing, Tagger

taggers: Registry[Build] = Registry("tagger", "lib_lora.tagging.kinds")
DEFAULT = "wd-vit-large-tagger-v3"
RUNTIME = "onnxruntime"


@dataclass(frozen=True)
class NoOptions:
    """A tagger's card has nothing to set."""


def listed(around: Around) -> dict[str, Tagger]:
    """All taggers by name, those that are ready first. Where two cards know a name, the first card's holds."""
    found: dict[str, Tagger] = {}
    for entry in sorted(taggers.entries().values(), key=lambda entry: entry.traits.get("order", 9)):
        for tagger in entry.build(entry.options(), around):
            found.setdefault(tagger.name, tagger)
    if importlib.util.find_spec(RUNTIME) is None:
        found = {name: tagger if tagger.hosted else _without_runtime(tagger) for name, tagger in found.items()}
    return dict(sorted(found.items(), key=lambda item: item[1].missing is not None))


def chosen(name: str, around: Around) -> Tagger:
    """The tagger of that name; without a name the default, or the first that is ready where the default is not."""
    there = listed(around)
    if not name.strip():
        ready = [tagger for tagger in there.values() if tagger.missing is None]
        default = there[DEFAULT]
        return default if default.missing is None or not ready else ready[0]
    # "SmilingWolf/wd-…" means the same; a folder named for this run that is itself a tagger's is meant by any name.
    named = [name.strip(), name.strip().rpartition("/")[2], *(folder.name for folder in around.given)]
    found = next((there[one] for one in named if one in there), None)
    if found is None:
        raise ConfigError(say("{kind}: no such {registry}; there are {known}", kind=name, registry=taggers.name, known=list(there)))
    return found


def _without_runtime(tagger: Tagger) -> Tagger:
    """A tagger of graphs where nothing runs graphs: it is not ready, whatever files it has."""
    missing = tagger.missing or Missing(Path(tagger.place), ())
    told = say(
        "Tagging needs the package onnxruntime, which is not installed here. In a WebUI, restart the WebUI: the extension installs the package when it starts. "
        "By hand: “{python}” -m pip install onnxruntime, then start anew.",
        python=sys.executable,
    )
    return replace(tagger, missing=replace(missing, also=(*missing.also, told)))
