"""A plan in sentences: what would be written, and what a user should know before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from lib_lora.core.messages import Message, count, say
from lib_lora.pictures.picture import Catalog
from lib_lora.prepare.plan import Folder, Known, Plan

if TYPE_CHECKING:
    from lib_lora.prepare.planning import Tally

NAMED = 3
MEGA = 1_000_000
SOFT = 2  # Lanczos beyond this is seen


def told(plan: Plan, known: Known, groups: Sequence[Sequence[str]], size: int) -> tuple[Message, ...]:
    """What would be written."""
    numbers = plan.numbers
    found = [
        count(
            numbers["pictures"],
            "1 picture is written: {mb} MB.",
            "{n} pictures are written, {originals} of them originals: about {mb} MB.",
            originals=numbers["originals"],
            mb=max(1, round(plan.bytes / MEGA)),
        ),
        *(_folder(folder) for folder in plan.folders),
        *_shaped(plan),
        *_copied(plan, groups, size),
        *_texts(plan, known),
    ]
    return tuple(found)


def _folder(folder: Folder) -> Message:
    known = {"name": folder.name, "repeats": folder.repeats}
    copies = folder.pictures - folder.originals
    if not copies:
        return count(folder.originals, "{name}: 1 picture, {repeats} × per epoch", "{name}: {n} pictures, {repeats} × per epoch", **known)
    more = count(copies, "1 copy", "{n} copies")
    return count(
        folder.originals, "{name}: 1 picture and {more}, {repeats} × per epoch", "{name}: {n} pictures and {more}, {repeats} × per epoch", more=more, **known
    )


def _shaped(plan: Plan) -> Iterable[Message]:
    numbers, config = plan.numbers, plan.config
    width, height = config.shape.size
    if numbers["crops"] and config.shape.kind == "auto":
        yield count(numbers["crops"], "1 picture is cut to its best size, from the middle.", "{n} pictures are cut to their best sizes, from the middle.")
    elif numbers["crops"]:
        around = say("around the face or what stands out") if config.shape.kind == "focal" else say("from the middle")
        yield count(
            numbers["crops"],
            "1 picture is cut to {width} × {height}, {around}.",
            "{n} pictures are cut to {width} × {height}, {around}.",
            width=width,
            height=height,
            around=around,
        )
    if numbers["trimmed_bars"]:
        yield count(
            numbers["trimmed_bars"],
            "The bars around 1 picture are cut off.",
            "The bars around {n} pictures are cut off.",
        )
    if numbers["padded"]:
        yield count(
            numbers["padded"],
            "1 picture is put on a square of {side}; {barred} of these get bars, and their captions say so.",
            "{n} pictures are put on squares of {side}; {barred} of these get bars, and their captions say so.",
            side=config.shape.side,
            barred=numbers["barred"],
        )
    if numbers["upscaled"]:
        yield count(
            numbers["upscaled"],
            "1 picture is too small and is enlarged by {name}.",
            "{n} pictures are too small and are enlarged by {name}.",
            name=config.enlarge.upscaler,
        )
    elif numbers["enlarged"]:
        yield count(
            numbers["enlarged"],
            "1 picture is smaller than its new size and is enlarged by plain resampling.",
            "{n} pictures are smaller than their new size and are enlarged by plain resampling.",
        )
    if numbers["unchanged"]:
        yield count(
            numbers["unchanged"],
            "1 picture keeps its pixels; what its file says about camera, place or prompt is left out.",
            "{n} pictures keep their pixels; what their files say about camera, place or prompt is left out.",
        )


def _copied(plan: Plan, groups: Sequence[Sequence[str]], size: int) -> Iterable[Message]:
    numbers = plan.numbers
    if numbers["flips"]:
        yield count(
            numbers["flips"],
            "1 mirrored copy is added, left and right swapped in its caption. It does not count as an original.",
            "{n} mirrored copies are added, left and right swapped in their captions. They do not count as originals.",
        )
    if groups and size and plan.config.folders.by == "classes":
        yield count(
            len(groups),
            "1 differential group gets {size} pictures: {duplicates} added by repeating, {trimmed} left out.",
            "{n} differential groups get {size} pictures each: {duplicates} added by repeating, {trimmed} left out.",
            size=size,
            duplicates=numbers["duplicates"],
            trimmed=numbers["trimmed"],
        )
    if numbers["discarded"]:
        yield count(numbers["discarded"], "1 discarded picture is left out.", "{n} discarded pictures are left out.")


def _texts(plan: Plan, known: Known) -> Iterable[Message]:
    numbers, trigger = plan.numbers, plan.config.files.trigger.strip()
    if numbers["captions"]:
        yield count(numbers["captions"], "1 caption is written.", "{n} captions are written.")
    if known.edited:
        yield count(
            known.edited,
            "1 edited caption that is not saved yet goes into the project as edited.",
            "{n} edited captions that are not saved yet go into the project as edited.",
        )
    if trigger:
        yield say("The trigger word {trigger} stands first in every caption.", trigger=trigger)


def warned(plan: Plan, catalog: Catalog, known: Known, earlier: Collection[str], tally: Tally) -> tuple[Message, ...]:
    """What a user should know before."""
    return (*_left_out(plan, catalog, known, earlier), *_unshaped(plan, tally), *_unsaid(plan, tally), *_unsorted(plan, known))


def _left_out(plan: Plan, catalog: Catalog, known: Known, earlier: Collection[str]) -> Iterable[Message]:
    if plan.numbers["unreadable"]:
        names = named(picture.key for picture in catalog.pictures if picture.flaw)
        yield count(
            plan.numbers["unreadable"],
            "1 picture cannot be read and is left out: {names}",
            "{n} pictures cannot be read and are left out: {names}",
            names=names,
        )
    if known.guessed:
        yield count(
            len(known.guessed),
            "1 picture is left out because its tags look like one to discard; give it a class in the step Pictures to keep it: {names}",
            "{n} pictures are left out because their tags look like ones to discard; give them a class in the step Pictures to keep them: {names}",
            names=named(sorted(known.guessed)),
        )
    yield from _twice(plan, known)
    if earlier:
        yield count(
            len(earlier),
            "1 copy that an earlier preparing made lies here; it is left out.",
            "{n} copies that an earlier preparing made lie here; they are left out.",
        )


def _twice(plan: Plan, known: Known) -> Iterable[Message]:
    met: set[str] = set()
    for key in dict.fromkeys(copy.key for copy in plan.copies):
        if not met.intersection(known.exact.get(key, ())):
            met.add(key)
    twice = [key for key in dict.fromkeys(copy.key for copy in plan.copies) if key not in met]
    if twice:
        yield count(
            len(twice),
            "1 picture is an exact copy of another and is prepared as well; move it to the trash in the step Check to train it once: {names}",
            "{n} pictures are exact copies of others and are prepared as well; move them to the trash in the step Check to train them once: {names}",
            names=named(twice),
        )


def _unshaped(plan: Plan, tally: Tally) -> Iterable[Message]:
    if tally.whole:
        yield count(
            len(tally.whole),
            "1 picture stays whole, because no automatic size is near its shape: {names}",
            "{n} pictures stay whole, because no automatic size is near their shape: {names}",
            names=named(tally.whole),
        )
    if tally.tiny:
        yield count(
            len(tally.tiny),
            "1 picture stays as it is, because it is more than 8 times too small: {names}",
            "{n} pictures stay as they are, because they are more than 8 times too small: {names}",
            names=named(tally.tiny),
        )
    soft = [copy.key for copy in plan.copies if not plan.config.enlarge.upscaler and copy.shape.resized[0] > SOFT * copy.shape.cut[0]]
    if soft:
        yield count(
            len(set(soft)),
            "1 picture becomes more than twice as large and will look soft; choose an upscaler or leave it out: {names}",
            "{n} pictures become more than twice as large and will look soft; choose an upscaler or leave them out: {names}",
            names=named(soft),
        )

    if tally.bars and not plan.config.shape.trim:
        yield count(
            len(tally.bars),
            "1 picture has bars around it, which would be learnt; cut them off above, or tag them: {names}",
            "{n} pictures have bars around them, which would be learnt; cut them off above, or tag them: {names}",
            names=named(tally.bars),
        )


def _unsaid(plan: Plan, tally: Tally) -> Iterable[Message]:
    if tally.unread and plan.config.files.trigger.strip():
        yield count(
            len(tally.unread),
            "1 caption cannot be read: its picture gets the trigger word alone, which will then stand for all of it. "
            "Mend it first, the step Check writes it as UTF-8: {names}",
            "{n} captions cannot be read: their pictures get the trigger word alone, which will then stand for all of them. "
            "Mend them first, the step Check writes them as UTF-8: {names}",
            names=named(tally.unread),
        )
    elif tally.unread:
        yield count(
            len(tally.unread),
            "1 caption cannot be read and is left out: {names}",
            "{n} captions cannot be read and are left out: {names}",
            names=named(tally.unread),
        )
    if tally.longer:
        yield count(
            len(tally.longer),
            "1 caption has more than one line; only the first, which training reads, is written: {names}",
            "{n} captions have more than one line; only the first, which training reads, is written: {names}",
            names=named(tally.longer),
        )
    if tally.named:
        yield count(
            len(tally.named),
            "1 picture has no caption and gets its folder's name, as training would read it: {names}",
            "{n} pictures have no caption and get their folder's name, as training would read it: {names}",
            names=named(tally.named),
        )
    if tally.bare and not plan.config.files.trigger.strip():
        yield count(
            len(tally.bare),
            "1 picture has no caption; training will read the new folder's name for it: {names}",
            "{n} pictures have no caption; training will read the new folder's name for them: {names}",
            names=named(tally.bare),
        )
    if tally.one_sided:
        yield count(
            len(tally.one_sided),
            "1 picture gets no mirrored copy, because text or a one-sided feature is tagged: {names}",
            "{n} pictures get no mirrored copy, because text or one-sided features are tagged: {names}",
            names=named(tally.one_sided),
        )
    if tally.mirrored:
        yield count(
            len(tally.mirrored),
            "1 picture gets no mirrored copy, because its mirror image is here already: {names}",
            "{n} pictures get no mirrored copy, because their mirror images are here already: {names}",
            names=named(tally.mirrored),
        )


def _unsorted(plan: Plan, known: Known) -> Iterable[Message]:
    if plan.config.folders.by != "classes":
        return
    unknown = list(dict.fromkeys(copy.key for copy in plan.copies if not known.classes.get(copy.key)))
    if unknown:
        yield count(
            len(unknown),
            "1 picture has no class and goes to the main visuals: {names}",
            "{n} pictures have no class and go to the main visuals: {names}",
            names=named(unknown),
        )
    if not known.settled:
        yield say("The pixels are still being looked at: groups, bars and mirrored pictures that are not found yet are not in this plan.")


def named(keys: Iterable[str]) -> str:
    """The first few names."""
    found = list(dict.fromkeys(keys))
    return ", ".join(found[:NAMED]) + (f" … (+{len(found) - NAMED})" if len(found) > NAMED else "")
