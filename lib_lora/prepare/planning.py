"""Catalogue and settings → the plan: every file of the project, its sentences and what is wrong. Nothing is written or opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lib_lora.core.messages import Message, say
from lib_lora.dataset import captions as texts
from lib_lora.pictures.picture import Catalog, Picture
from lib_lora.prepare import captions, flips, layout, manifest, sentences
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.layout import Placed
from lib_lora.prepare.names import Taken, safe
from lib_lora.prepare.plan import DISCARD, DUPLICATE, FLIP, ORIGINAL, Copy, Folder, Known, Plan
from lib_lora.prepare.repeats import settled
from lib_lora.prepare.shapes import Box, Shape, Size, shape

PNG_BYTES, JPEG_BYTES = 1.5, 0.4  # of a pixel, for drawn pictures


@dataclass
class Tally:
    """What was met on the way, for the sentences."""

    whole: list[str] = field(default_factory=list)
    one_sided: list[str] = field(default_factory=list)
    mirrored: list[str] = field(default_factory=list)
    tiny: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    longer: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    bars: list[str] = field(default_factory=list)


def make(catalog: Catalog, config: PrepareConfig, known: Known | None = None, upscalers: Sequence[str] = ()) -> Plan:
    """The whole plan. `upscalers` are the names the host offers."""
    known = known or Known()
    earlier = manifest.copies(catalog.root)
    pictures = layout.pictures_of(catalog, known, earlier)
    groups = layout.groups_of(pictures, known)
    config, known, advice = settled(pictures, groups, known, config)
    placed = layout.place(pictures, groups, known, config)
    names = layout.folder_names(list(dict.fromkeys(one.kind for one in placed if one.times)), catalog, known, config)
    tally = Tally()
    copies = tuple(_copies(placed, {kind: name for kind, (name, _) in names.items()}, catalog, known, config, tally))
    found = Plan(config, copies, _folders(copies, names), problems=tuple(_problems(copies, config, known, upscalers)), bytes=_bytes(copies, config))
    found = replace(found, numbers=_numbers(found, catalog, known, groups, placed))
    told = sentences.told(found, known, groups, layout.group_size(groups, config))
    return replace(found, sentences=told, warnings=(*advice, *sentences.warned(found, catalog, known, earlier, tally)))


def _copies(placed: Sequence[Placed], names: dict[str, str], catalog: Catalog, known: Known, config: PrepareConfig, tally: Tally) -> Iterable[Copy]:
    taken = {name: Taken() for name in names.values()}
    concepts = captions.concepts(catalog)
    kinds = {one.picture.key: one.kind for one in placed if one.times}
    for one in placed:
        if not one.times:
            continue
        picture = one.picture
        bars = _bars(picture, known, config, tally)
        form = _shape(picture, (picture.size[0] - bars[0] - bars[2], picture.size[1] - bars[1] - bars[3]), config, tally)
        caption = _caption(picture, known, concepts, tally)
        # A mirror image that is discarded, or of another class, takes no copy's place in this folder.
        beside = any(kinds.get(other) == one.kind for other in known.mirrored.get(picture.key, ()))
        mirror = config.copies.flip and _may_flip(picture, caption, known, beside, tally)
        trigger, folder = config.files.trigger.strip(), names[one.kind]
        base = Copy(picture.key, picture.path, picture.mark, picture.size, folder, "", form, None, face=known.faces.get(picture.key), bars=bars)
        for number in range(one.times):
            stem = safe(picture.path.stem) + (f"_copy{number + 1}" if number else "")
            stem = taken[folder].free(stem, flips.SUFFIX) if mirror else taken[folder].free(stem)
            text = captions.written(caption, trigger, form.tag, False)
            yield replace(base, stem=stem, caption=text, role=DUPLICATE if number else ORIGINAL, number=number)
            if mirror:
                text = captions.written(caption, trigger, form.tag, True)
                yield replace(base, stem=f"{stem}{flips.SUFFIX}", caption=text, role=FLIP, number=number)


def _bars(picture: Picture, known: Known, config: PrepareConfig, tally: Tally) -> Box:
    bars = known.bars.get(picture.key)
    if bars is None or not any(bars) or bars[0] + bars[2] >= picture.size[0] or bars[1] + bars[3] >= picture.size[1]:
        return 0, 0, 0, 0
    tally.bars.append(picture.key)
    return bars if config.shape.trim else (0, 0, 0, 0)


def _shape(picture: Picture, size: Size, config: PrepareConfig, tally: Tally) -> Shape:
    found = shape(size, config)
    if found is None:
        tally.whole.append(picture.key)
        return Shape(size, size, size)
    if config.shape.kind == "keep" and config.enlarge.upscaler and min(size) < config.enlarge.below and not found.enlarges:
        tally.tiny.append(picture.key)
    return found


def _caption(picture: Picture, known: Known, concepts: dict[str, str], tally: Tally) -> str | None:
    unread = picture.text_flaw is not None and picture.key not in known.captions
    if unread:
        tally.unread.append(picture.key)
    if picture.text is not None and any(texts.lines(picture.text)[1:]):
        tally.longer.append(picture.key)
    found = captions.own(picture, known)
    if found:
        return found
    # Training reads no folder's name where a caption lies that it cannot read: it refuses to begin.
    if picture.folder in concepts and not unread:
        tally.named.append(picture.key)
        return concepts[picture.folder]
    tally.bare.append(picture.key)
    return None


def _may_flip(picture: Picture, caption: str | None, known: Known, beside: bool, tally: Tally) -> bool:
    if beside:
        tally.mirrored.append(picture.key)
        return False
    if flips.one_sided([*texts.tags(caption or ""), *sorted(known.tags.get(picture.key, ()))]):
        tally.one_sided.append(picture.key)
        return False
    return True


def _folders(copies: Sequence[Copy], names: dict[str, tuple[str, int]]) -> tuple[Folder, ...]:
    found = []
    for kind, (name, repeats) in names.items():
        inside = [copy for copy in copies if copy.folder == name]
        found.append(Folder(name, kind, repeats, len(inside), sum(copy.role == ORIGINAL for copy in inside)))
    return tuple(sorted(found, key=lambda folder: -folder.originals))


def _problems(copies: Sequence[Copy], config: PrepareConfig, known: Known, upscalers: Sequence[str]) -> Iterable[Message]:
    wrong = layout.repeats_problem(known.repeats)
    if wrong:
        yield say("The repeats of {kind} are no number from 1 to 1000.", kind=wrong)
    chosen, shaped = config.enlarge.upscaler, config.shape
    if chosen and chosen not in upscalers:
        yield say("There is no upscaler {name} here; choose one of: {names}.", name=chosen, names=tuple(upscalers))
    if shaped.kind == "auto" and (shaped.low > shaped.high or shaped.area_low > shaped.area_high):
        yield say("The smallest automatic size is larger than the largest: no picture can be cut to it.")
    if shaped.kind == "pad" and shaped.side % 64:
        yield say("The side of the square is {side}: choose a multiple of 64, such as {near}.", side=shaped.side, near=max(64, round(shaped.side / 64) * 64))
    if not copies and known.guessed and known.keys is None:
        yield say("All pictures look like ones to discard by their tags: give those that are to be trained a class in the step Pictures.")
    elif not copies:
        yield say("There is no picture to prepare: open a folder with pictures, or take some out of discard.")


def _bytes(copies: Sequence[Copy], config: PrepareConfig) -> int:
    each = PNG_BYTES if config.files.format == "png" else JPEG_BYTES
    return int(sum(copy.pixels * each if copy.made else copy.mark[0] for copy in copies))


def _numbers(plan: Plan, catalog: Catalog, known: Known, groups: Sequence[Sequence[str]], placed: Sequence[Placed]) -> dict[str, int]:
    copies, config = plan.copies, plan.config
    originals = [copy for copy in copies if copy.role == ORIGINAL]
    enlarged = sum(copy.shape.enlarges for copy in originals)
    return {
        "pictures": len(copies),
        "originals": len(originals),
        "flips": sum(copy.role == FLIP for copy in copies),
        "duplicates": sum(copy.role == DUPLICATE for copy in copies),
        "trimmed": sum(not one.times for one in placed),
        "groups": len(groups),
        "crops": sum(copy.shape.changes(_inner(copy)) and config.shape.kind in ("auto", "centre", "focal") for copy in originals),
        "padded": sum(config.shape.kind == "pad" for _ in originals),
        "barred": sum(bool(copy.shape.tag) for copy in originals),
        "enlarged": enlarged,
        "upscaled": enlarged if config.enlarge.upscaler else 0,
        "trimmed_bars": sum(any(copy.bars) for copy in originals),
        "unchanged": sum(not copy.made for copy in copies),
        "captions": sum(copy.caption is not None for copy in copies),
        "discarded": sum(known.classes.get(picture.key) == DISCARD for picture in catalog.pictures),
        "unreadable": sum(picture.flaw is not None for picture in catalog.pictures),
        "edited": known.edited,
    }


def _inner(copy: Copy) -> Size:
    left, top, right, bottom = copy.inside
    return right - left, bottom - top
