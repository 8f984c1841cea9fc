"""What a job will do, in numbers and sentences, before it starts; nothing is loaded for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lib_lora.core.errors import LoraError
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import buckets, images, order, scan
from lib_lora.dataset.buckets import Placed
from lib_lora.dataset.scan import Item, Scan
from lib_lora.hosts.base import HostPaths, Lease, Overrides
from lib_lora.model import ModelFacts, Prediction
from lib_lora.training.config import TrainConfig
from lib_lora.training.presets import SIDES

FORBIDDEN_IN_NAMES = frozenset('<>:"/\\|?*,') | frozenset(map(chr, range(32)))
# Names Windows keeps for devices, whatever their ending.
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
LONGEST_NAME = 150  # bytes: file systems end at 255, and endings, epochs and the trash folder's date come on top


@dataclass(frozen=True)
class Plan:
    """The numbers of a job and what is to be said of them.

    `samples` counts pictures with their repeats in one epoch. `buckets` are ((width, height), samples), largest first.
    `seconds` is the time of all steps as far as a measured step tells, else None. A plan with `problems` cannot start.
    """

    name: str
    images: int
    samples: int
    buckets: tuple[tuple[tuple[int, int], int], ...]
    steps_per_epoch: int
    epochs: int
    steps: int
    seconds: float | None
    sentences: tuple[Message, ...]
    problems: tuple[Message, ...]
    warnings: tuple[Message, ...]


@dataclass(frozen=True)
class Prepared:
    """A scanned folder with every picture placed: what both a plan and a run start from."""

    scan: Scan
    placed: tuple[Placed, ...]
    problems: tuple[Message, ...]


def lease_of(config: TrainConfig) -> Lease:
    """What the job asks of the host."""
    model = config.model
    return Lease(
        trains_text=config.learning.text_encoder_lr > 0,
        overrides=Overrides(
            prediction=None if model.prediction == "auto" else Prediction(model.prediction),
            zero_terminal=None if model.zero_terminal == "auto" else model.zero_terminal == "yes",
            clip_skip=model.clip_skip or None,
        ),
    )


def prepare(config: TrainConfig, look: Callable[[Path], images.Look] = images.look) -> Prepared:
    """Scan the folder and place the pictures; what is wrong is collected, not raised.

    `look` is how a picture is checked: a plan that is made again and again remembers unchanged files (`scan.Looks`),
    a run looks at each of them anew.
    """
    found = scan.scan(config.data, config.caption, config.bucket, look)
    if found.problems:
        return Prepared(found, (), found.problems)
    try:
        return Prepared(found, buckets.place_all(found.items, config.data, config.bucket), ())
    except LoraError as error:
        return Prepared(found, (), error.messages)


def name_of(config: TrainConfig, items: Sequence[Item]) -> str:
    """The LoRA's name: as typed, or the trigger word, or the concept of the only folder, or the folder's name."""
    if config.save.name.strip():
        return config.save.name.strip()
    if config.caption.trigger.strip():
        return "".join(c for c in config.caption.trigger.strip() if c not in FORBIDDEN_IN_NAMES)[: LONGEST_NAME // 4]
    concepts = {item.concept for item in items}
    if len(concepts) == 1 and (concept := concepts.pop()):
        return concept
    return Path(config.data.folder).name or "lora"


def files_of(name: str, config: TrainConfig) -> list[str]:
    """File names the run will write, the final one last: epochs are numbered as sd-scripts does."""
    every, epochs = config.save.every_epochs, config.learning.epochs
    numbered = range(every, epochs, every) if every else ()
    return [f"{epoch_name(name, epoch)}.safetensors" for epoch in numbered] + [f"{name}.safetensors"]


def epoch_name(name: str, epoch: int) -> str:
    """The stem of an epoch's file."""
    return f"{name}-{epoch:06d}"


def steps_of(config: TrainConfig, placed: Sequence[Placed]) -> int:
    """Optimizer steps of one epoch, counted from the real buckets."""
    return order.steps_per_epoch(placed, config.learning.batch_size, config.learning.accumulation)


def name_problems(name: str, config: TrainConfig, paths: HostPaths) -> list[Message]:
    """Why no file of that name can be written."""
    bad = sorted(set(name) & FORBIDDEN_IN_NAMES)
    if bad:
        return [
            say(
                "save.name: {name} cannot be a LoRA's name because of {characters}: choose another",
                name=name,
                characters=" ".join(repr(character)[1:-1] for character in bad),
            )
        ]
    if not name.strip(". ") or name.split(".")[0].strip().lower() in DEVICES:
        return [say("save.name: {name} cannot be a file's name: choose another", name=repr(name))]
    if len(name.encode("utf-8")) > LONGEST_NAME:
        return [say("save.name: {name}… is too long for a file's name: choose a shorter one", name=name[:30])]
    there = [file for file in reversed(files_of(name, config)) if (paths.loras / file).exists()]
    if there and not config.save.replace:
        return [say("There already: {files}. Choose another name, or tick Replace: then old files go to the trash folder.", files=there[:3])]
    return []


def make(
    config: TrainConfig,
    facts: ModelFacts | None,
    paths: HostPaths,
    refusals: Sequence[Message] = (),
    seconds_per_step: float | None = None,
    prepared: Prepared | None = None,
) -> Plan:
    """Count everything and say it. `prepared` saves the scan where the caller has one of the same settings."""
    if not config.data.folder.strip():
        return _empty(config, say("Name the folder your pictures are in."))
    prepared = prepared or prepare(config)
    name = name_of(config, prepared.scan.items)
    family = facts.family if facts else None
    problems = [
        *prepared.problems,
        *buckets.check(config.data.resolution, config.bucket, family),
        *_setting_problems(config),
        *precision_problems(config, facts),
        *name_problems(name, config, paths),
        *refusals,
    ]
    samples = Counter({placed.bucket: 0 for placed in prepared.placed})
    for placed in prepared.placed:
        samples[placed.bucket] += placed.item.repeats
    per_epoch = steps_of(config, prepared.placed) if prepared.placed else 0
    steps = per_epoch * config.learning.epochs
    plan = Plan(
        name=name,
        images=len(prepared.placed),
        samples=sum(samples.values()),
        buckets=tuple(samples.most_common()),
        steps_per_epoch=per_epoch,
        epochs=config.learning.epochs,
        steps=steps,
        seconds=None if seconds_per_step is None else steps * seconds_per_step,
        sentences=(),
        problems=_once(problems),
        warnings=(*prepared.scan.warnings, *_warnings(config, facts)),
    )
    return plan if problems else _with_sentences(plan, config, facts, prepared.placed)


def _once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Each sentence once: a scan and a check may have found the same."""
    return tuple({str(message): message for message in messages}.values())


def _empty(config: TrainConfig, problem: Message) -> Plan:
    return Plan("", 0, 0, (), 0, config.learning.epochs, 0, None, (), (problem,), ())


def precision_problems(config: TrainConfig, facts: ModelFacts | None) -> list[Message]:
    """Why the chosen precision cannot be computed with weights as the host holds them."""
    if facts is None or config.run.precision != "fp32" or facts.dtype == "float32":
        return []
    return [say("Mixed precision is fp32, but the model's weights are {dtype}: choose auto, or start the WebUI with --no-half.", dtype=facts.dtype)]


def _setting_problems(config: TrainConfig) -> list[Message]:
    learning, found = config.learning, []
    if learning.unet_lr == 0 and learning.text_encoder_lr == 0:
        found.append(say("Both learning rates are 0, so nothing would be learnt: set the UNet's to 1e-4, for example."))
    return found


def _warnings(config: TrainConfig, facts: ModelFacts | None) -> list[Message]:
    if facts is None:
        return []
    found = list(facts.notes)
    usual, side = SIDES[facts.family], max(config.data.resolution)
    if side > usual * 1.6 or side < usual * 0.6:
        found.append(
            say(
                "{model} usually learns at {usual}×{usual}; the resolution is {width}×{height}.",
                model=facts.name,
                usual=usual,
                width=config.data.resolution[0],
                height=config.data.resolution[1],
            )
        )
    return found


def _with_sentences(plan: Plan, config: TrainConfig, facts: ModelFacts | None, placed: Sequence[Placed]) -> Plan:
    repeats = {one.item.repeats for one in placed}
    said: list[Message] = []
    if facts is not None:
        said.append(say("Trains on {model} ({family}).", model=facts.name, family=facts.family.value.upper()))
    if len(repeats) == 1:
        said.append(
            count(
                plan.images,
                "1 picture × {repeats} repeats = {samples} per epoch.",
                "{n} pictures × {repeats} repeats = {samples} per epoch.",
                repeats=next(iter(repeats)),
                samples=plan.samples,
            )
        )
    else:
        said.append(
            count(
                plan.images, "1 picture, {samples} per epoch with its repeats.", "{n} pictures, {samples} per epoch with their repeats.", samples=plan.samples
            )
        )
    shapes = [f"{width}×{height}" for (width, height), _ in plan.buckets]
    more = f" +{len(shapes) - 4}" if len(shapes) > 4 else ""
    said.append(count(len(shapes), "1 bucket: {shapes}.", "{n} buckets: {shapes}.", shapes=", ".join(shapes[:4]) + more))
    said.append(
        count(
            plan.epochs,
            "1 epoch of {steps} steps at batch {batch}.",
            "{n} epochs × {per_epoch} steps = {steps} steps at batch {batch}.",
            per_epoch=plan.steps_per_epoch,
            steps=plan.steps,
            batch=config.learning.batch_size * config.learning.accumulation,
        )
    )
    if plan.seconds is not None:
        said.append(duration(plan.seconds))
    files = len(files_of(plan.name, config))
    if files < 2:
        said.append(say("Writes {name}.safetensors.", name=plan.name))
    else:
        said.append(count(files - 1, "Writes {name}.safetensors and 1 epoch before it.", "Writes {name}.safetensors and {n} epochs before it.", name=plan.name))
    return replace(plan, sentences=tuple(said))


def duration(seconds: float) -> Message:
    """About how long, in the unit a person would use."""
    if seconds < 90:
        return say("About {n} seconds.", n=max(1, round(seconds)))
    if seconds < 90 * 60:
        return say("About {n} minutes.", n=round(seconds / 60))
    return say("About {n} hours.", n=round(seconds / 3600, 1))
