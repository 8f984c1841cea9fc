"""A folder of the dataset page → what the training form is filled with, and a sentence for each of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import DataError
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import captions
from lib_lora.workbench.counts import class_of

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Catalog, Picture, Shelf

LARGEST = 1000
# A first tag that as good as all captions share is the trigger word, unless it says what is on the pictures.
SHARED = 0.9
NO_TRIGGER = frozenset(
    {"1girl", "1boy", "1other", "2girls", "2boys", "3girls", "multiple girls", "multiple boys", "solo", "no humans", "original", "absurdres", "highres"}
    | {"masterpiece", "best quality", "high quality", "general", "sensitive", "questionable", "explicit"}
)


@dataclass(frozen=True)
class Sending:
    """Settings of a training that follow from its pictures. `told` says what was filled in, `warnings` what to look at first."""

    config: Mapping[str, Any]
    told: tuple[Message, ...]
    warnings: tuple[Message, ...]


@dataclass(frozen=True)
class Wish:
    """What the page knows: a trigger word, the side of the resolution (0: as it is in the form), and repeats by class with their counts."""

    trigger: str = ""
    side: int = 0
    repeats: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None


def send(catalog: Catalog, wish: Wish, unsaved: int = 0) -> Sending:
    """What training `catalog` begins with. DataError where training would find no picture in it."""
    direct, numbered = trained(catalog)
    shelves = [*direct, *numbered]
    if not shelves:
        raise DataError(
            say("Training reads pictures that lie in the folder itself or in folders named N_concept, and there are none. Prepare writes such folders.")
        )
    keys = {shelf.key for shelf in shelves}
    pictures = [picture for picture in catalog.pictures if picture.folder in keys and picture.flaw is None]
    data: dict[str, Any] = {"folder": str(catalog.root)}
    told = [say("Picture folder: {folder}", folder=str(catalog.root))]
    warnings = []
    if direct:
        repeats = _direct(catalog, wish)
        if repeats:
            data["repeats"] = repeats
            told.append(say("Repeats: {n}, for the pictures directly in the folder.", n=repeats))
        if _differ(wish) and not numbered:
            warnings.append(say("The classes lie in one folder, so that all get the same repeats. Prepare writes a folder with its own repeats for each."))
    if numbered:
        told.append(say("Repeats come from the names of the folders: {folders}.", folders=[shelf.key for shelf in numbered]))
        warnings += _other_repeats(numbered, wish)
    config: dict[str, Any] = {"data": data}
    trigger = wish.trigger.strip() or trigger_of(pictures)
    if trigger:
        config["caption"] = {"trigger": trigger, "keep_tokens": 1}
        told.append(say("Trigger word: {trigger}; it is kept in front when tags are shuffled (1).", trigger=trigger))
    else:
        warnings.append(say("No trigger word was found: without one every tag learns a part of it."))
    if wish.side:
        data["resolution"] = [wish.side, wish.side]
        told.append(say("Resolution: {side} × {side}", side=wish.side))
    return Sending(config, tuple(told), (*warnings, *_left(catalog, keys, unsaved)))


def trained(catalog: Catalog) -> tuple[list[Shelf], list[Shelf]]:
    """The folders whose pictures a training reads: the root itself, and N_concept folders directly in it."""
    direct = [shelf for shelf in catalog.shelves if shelf.key == ""]
    numbered = [shelf for shelf in catalog.shelves if shelf.key and "/" not in shelf.key and shelf.repeats]
    return direct, numbered


def trigger_of(pictures: Sequence[Picture]) -> str:
    """The tag that nearly every caption begins with, if it is none that describes."""
    first = Counter(tags[0] for picture in pictures if (tags := captions.tags(picture.caption)))
    if not first:
        return ""
    word, n = first.most_common(1)[0]
    plain = word.replace("_", " ").casefold()
    return word if n >= 2 and n >= SHARED * len(pictures) and plain not in NO_TRIGGER and len(word) <= 60 else ""


def _other_repeats(numbered: Sequence[Shelf], wish: Wish) -> Iterator[Message]:
    """Folders of a class whose number is another one than was computed."""
    computed = {kind: n for kind, n in (wish.repeats or {}).items() if n}
    differing = [(shelf.key, computed[kind]) for shelf in numbered if (kind := class_of(shelf.concept)) in computed and shelf.repeats != computed[kind]]
    if differing:
        names = [f"{folder} ({n})" for folder, n in differing]
        yield say("These folders have other repeats than computed (in brackets): {names}. Prepare writes them anew, or rename the folders.", names=names)


def _direct(catalog: Catalog, wish: Wish) -> int:
    """How often pictures directly in the folder are repeated: as it is named, else as computed on the average of the classes."""
    named = next((shelf.repeats for shelf in catalog.shelves if shelf.key == "" and shelf.repeats), None)
    if named:
        return min(named, LARGEST)
    counts = {name: n for name, n in (wish.counts or {}).items() if n and (wish.repeats or {}).get(name)}
    pictures = sum(counts.values())
    seen = sum(n * (wish.repeats or {})[name] for name, n in counts.items())
    return min(LARGEST, max(1, round(seen / pictures))) if pictures else 0


def _differ(wish: Wish) -> bool:
    return len({n for name, n in (wish.repeats or {}).items() if n and (wish.counts or {}).get(name)}) > 1


def _left(catalog: Catalog, keys: set[str], unsaved: int) -> list[Message]:
    warnings = []
    left = sum(picture.folder not in keys for picture in catalog.pictures)
    if left:
        told = count(
            left,
            "1 picture lies where training does not look, in a folder without a number of repeats or deeper: Prepare brings it along.",
            "{n} pictures lie where training does not look, in folders without a number of repeats or deeper: Prepare brings them along.",
        )
        warnings.append(told)
    if unsaved:
        told = count(
            unsaved,
            "1 caption is edited and not saved; training reads what is saved.",
            "{n} captions are edited and not saved; training reads what is saved.",
        )
        warnings.append(told)
    return warnings
