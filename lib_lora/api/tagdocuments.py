"""What the tagging routes are asked and answer, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lib_lora.api.endpoint import Ask, flag, number, text, texts
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.tagging.service import Taggers
from lib_lora.workbench import Opened, Workbench

if TYPE_CHECKING:
    from lib_lora.editor.session import Session
    from lib_lora.tagging.cache import Cache
    from lib_lora.tagging.compose import Composer, Wish

MOST = 300  # tags of a preview
EXAMPLES = 8
Words = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """Captions as a body asks for them. `regularisation` are keys; `untagged` those no row is there of."""

    tagger: str
    session: Session
    cache: Cache
    composer: Composer
    pixels: Mapping[str, str]
    regularisation: frozenset[str]
    untagged: int
    captions: Mapping[str, str]

    @classmethod
    def of(cls, bench: Workbench, ask: Ask) -> Asked:
        """Work them out, from what is kept: no tagger runs for it."""
        from lib_lora.tagging import cache, write
        from lib_lora.tagging.compose import Composer

        opened = bench.opened(text(ask, "set"))
        session = opened.session(text(ask, "client"))
        tagger = bench.taggers.chosen(text(ask, "tagger", ""))
        wish = asked(ask, 0.5)
        pictures = [opened.pictures[key] for key in scope(ask, opened) if key in opened.pictures]
        last, model = cache.last(opened.state)
        # The hash of a large model takes seconds: it is not asked for where nothing was tagged yet.
        digest = tagger.identity() if last and tagger.missing is None else model if last == tagger.name else ""
        kept = cache.at(opened.state, digest or tagger.name)
        kept.look()
        composer = Composer(kept.table, wish)
        found = {picture.key: name for picture in pictures if (name := kept.pixels(picture)) is not None}
        folders = texts(ask, "regularisation")
        regularisation = frozenset(picture.key for picture in pictures if any(_inside(picture.folder, folder) for folder in folders))
        captions = write.captions(session, kept, composer, pictures, regularisation)
        return cls(tagger.name, session, kept, composer, found, regularisation, len(pictures) - len(found), captions)


def scope(ask: Ask, opened: Opened) -> list[str]:
    """The pictures that a body means: `keys`, or those that the filter `where` shows, or all."""
    from lib_lora.editor.filters import Where

    if ask.body.get("keys") is not None:
        return texts(ask, "keys")
    if ask.body.get("where") is None:
        return list(opened.pictures)
    where = Where.read(ask.body["where"])
    session = opened.session(text(ask, "client"))
    return session.find(where, opened.facts(session=session) if where.folder or where.kind or where.flag else {})


def asked(ask: Ask, general: float) -> Wish:
    """Thresholds, rules and policy of a body; ConfigError for what is none."""
    from lib_lora.tagging.compose import POLICIES, SKIP, Wish
    from lib_lora.tagging.select import Thresholds

    mcut = flag(ask, "mcut")
    target = Thresholds(_share(ask, "threshold", general), _share(ask, "character_threshold", 0.85), mcut)
    regularisation = Thresholds(_share(ask, "reg_threshold", 0.35), _share(ask, "reg_character_threshold", target.character), mcut)
    policy = text(ask, "policy", SKIP)
    if policy not in POLICIES:
        raise ConfigError(say("{name}: {value} is none of {choices}", name="policy", value=repr(policy), choices=POLICIES))
    return Wish(_rules(ask.body.get("rules")), target, regularisation, policy)


def taggers_document(taggers: Taggers, words: Words) -> dict[str, Any]:
    """All taggers."""
    from lib_lora.tagging import registry
    from lib_lora.tagging.start import where_to_put

    rows = []
    for tagger in taggers.listed().values():
        missing = tagger.missing
        needs = missing and {
            "folder": str(missing.folder),
            "files": [{"name": file.name, "url": file.url, "bytes": file.bytes} for file in missing.files],
            "also": [more.text(words) for more in missing.also],
            "text": where_to_put(tagger.name, missing).text(words),
            "download": bool(missing.files) and all(file.url for file in missing.files),
        }
        rows.append(
            {
                "name": tagger.name,
                "label": tagger.label,
                "kind": tagger.kind,
                "ready": missing is None,
                "hint": tagger.hint,
                "place": tagger.place,
                "sentence": tagger.sentence,
                "missing": needs,
                "loaded": taggers.loaded == tagger.name,
            }
        )
    return {"taggers": rows, "default": registry.DEFAULT, "unavailable": dict(registry.taggers.unavailable)}


def preview_document(made: Asked, words: Words) -> dict[str, Any]:
    """Counts per tag and examples, the training set and the regularisation set each for itself."""
    del words
    sides = {}
    for name, is_regularisation in (("target", False), ("regularisation", True)):
        keys = [key for key in made.pixels if (key in made.regularisation) == is_regularisation]
        counts = made.composer.counts([made.pixels[key] for key in keys], is_regularisation)
        captions = {key: made.captions[key] for key in keys if key in made.captions}
        changed = [key for key, after in captions.items() if after != made.session.text(key)]
        shown = [*changed, *(key for key in captions if key not in set(changed[:EXAMPLES]))][:EXAMPLES]
        sides[name] = {
            "pictures": len(keys),
            "captions": len(captions),
            "changed": len(changed),
            "empty": sum(not made.composer.caption(made.pixels[key], is_regularisation) for key in captions),
            "different": len(counts),
            "tags": counts.most_common(MOST),
            "examples": [{"key": key, "before": made.session.text(key), "after": captions[key]} for key in shown],
        }
    return {"tagger": made.tagger, "untagged": made.untagged, **sides}


def _rules(raw: Any) -> Any:
    """Rules from plain data: texts, lists of texts, yes or no, by the names of their fields."""
    from lib_lora.tagging.rules import Rules

    if raw is None:
        return Rules()
    known = {field.name: field for field in fields(Rules)}
    if not isinstance(raw, Mapping):
        raise ConfigError(say("{name}: {value} is no {type}", name="rules", value=repr(raw)[:200], type="object"))
    unknown = [say("{name}: unknown field; known here: {known}", name=f"rules.{name}", known=list(known)) for name in raw if name not in known]
    if unknown:
        raise ConfigError(*unknown)
    plain = Rules()
    return Rules(**{name: _value(name, value, getattr(plain, name)) for name, value in raw.items()})


def _value(name: str, value: Any, like: Any) -> Any:
    if isinstance(like, tuple):
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
            raise ConfigError(say("{name}: {value} is no {type}", name=f"rules.{name}", value=repr(value)[:200], type="list of texts"))
        return tuple(one.strip() for one in value if one.strip())
    if not isinstance(value, type(like)):
        raise ConfigError(say("{name}: {value} is no {type}", name=f"rules.{name}", value=repr(value)[:200], type=type(like).__name__))
    return value


def _share(ask: Ask, name: str, default: float) -> float:
    value = number(ask, name, default)
    if not 0 <= value <= 1:
        raise ConfigError(say("{name}: {value} is not between 0 and 1", name=name, value=value))
    return float(value)


def _inside(folder: str, wanted: str) -> bool:
    """Whether a folder is the one named or lies in it; "." and "" are all of them."""
    return wanted in ("", ".") or folder == wanted or folder.startswith(f"{wanted}/")
