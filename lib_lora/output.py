"""Network → file: written whole, read back by the host's own loader, with its card and picture beside it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora import plan
from lib_lora.core.errors import DataError, HostError
from lib_lora.core.files import write_atomic
from lib_lora.dataset import buckets, captions, images, order, statistics
from lib_lora.dataset.buckets import Placed
from lib_lora.hosts.base import Host, PictureRequest
from lib_lora.model import Model, Precision
from lib_lora.networks import card, file, metadata, verify
from lib_lora.networks.card import Card
from lib_lora.networks.metadata import RunFacts
from lib_lora.networks.registry import Network
from lib_lora.training import precision
from lib_lora.training.config import TrainConfig
from lib_lora.training.events import Planned, PreviewDue, Previewed, Saved, SaveDue
from lib_lora.training.schedulers import schedulers

if TYPE_CHECKING:
    from PIL import Image

CARD_SIDE = 512
STORED: dict[str, Precision] = {"float16": "fp16", "bfloat16": "bf16"}


class Writer:
    """Writes a run's files: one for each epoch that is kept, and the last."""

    def __init__(self, config: TrainConfig, host: Host, model: Model, network: Network, placed: Sequence[Placed], name: str) -> None:
        self._config = config
        self._host = host
        self._model = model
        self._network = network
        self._placed = placed
        self._name = name
        self._facts = facts_of(config, model, network, placed, name, time.time(), config.optimizer.kind)
        self._mine: set[Path] = set()
        self._preview: Image.Image | None = None

    def planned(self, event: Planned) -> None:
        """Take over what is known once the run is set up."""
        self._facts = replace(self._facts, optimizer=event.optimizer)

    def save(self, due: SaveDue) -> Saved:
        """Write the network as it is now, with card and picture. Raises HostError when the host's loader reads something else."""
        path = self._path(due.epoch, due.final)
        replaced = self._set_aside(path)
        facts, now, kept = self._facts, time.time(), self._config.save
        file.write(path, self._network.tensors(), metadata.build(facts, due.epoch, due.step, now), kept.precision)
        self._mine.add(path)
        card.write(path, Card(activation_text=facts.trigger, family=self._model.facts.family, notes=kept.description), replaced)
        _write_picture(path.with_suffix(".png"), self._preview or self._first_picture())
        return Saved(path, due.epoch, due.final, self._read_back(path))

    def _set_aside(self, path: Path) -> dict[str, str] | None:
        """Keep a file of somebody else's in the trash before it is replaced → its metadata, None where there is none."""
        if path in self._mine or not path.exists():
            return None
        card.set_aside(path, self._host.paths().trash, datetime.datetime.now(datetime.timezone.utc).astimezone())
        try:
            return file.header(path)[0]
        except DataError:
            return None

    def preview(self, due: PreviewDue) -> Previewed:
        """Sample with the network as it is in memory; the picture also becomes the card's of this epoch's file."""
        picture = self._host.picture(self._model, self._request())
        self._preview = picture
        path = self._host.paths().state / "previews" / self._name / f"{due.epoch:06d}.png"
        _write_picture(path, picture)
        for saved in (self._path(due.epoch, False), self._path(due.epoch, True)):
            if saved in self._mine:
                _write_picture(saved.with_suffix(".png"), picture)
        return Previewed(path, due.epoch)

    def _path(self, epoch: int, final: bool) -> Path:
        stem = self._name if final else plan.epoch_name(self._name, epoch)
        return self._host.paths().loras / f"{stem}.safetensors"

    def _read_back(self, path: Path) -> float:
        stored = STORED.get(self._model.facts.dtype, "fp32")
        verdict = verify.compare(self._network, self._host.deltas(path, self._model), self._config.save.precision, stored)
        if verdict.message is not None:
            raise HostError(verdict.message)
        return verdict.error

    def _request(self) -> PictureRequest:
        wanted = self._config.preview
        prompt = wanted.prompt.strip() or captions.first_text(self._placed[0].item, self._config.caption)
        return PictureRequest(prompt, wanted.negative, wanted.seed, wanted.steps, wanted.cfg, wanted.size)

    def _first_picture(self) -> Image.Image:
        """Without previews the card shows what it was trained on."""
        picture = images.open_picture(self._placed[0].item.path)
        picture.thumbnail((CARD_SIDE, CARD_SIDE))
        return picture


def facts_of(config: TrainConfig, model: Model, network: Network, placed: Sequence[Placed], name: str, started: float, optimizer: str) -> RunFacts:
    """The run as its file will tell it."""
    learning, items = config.learning, [one.item for one in placed]
    computed = precision.resolve(config.run.precision, model.device())
    return RunFacts(
        output_name=name,
        network=network.metadata(),
        model=model.facts,
        session_id=learning.seed,
        started_at=started,
        images=sum(item.repeats for item in items),
        batches_per_epoch=order.batches_per_epoch(placed, learning.batch_size),
        epochs=learning.epochs,
        max_steps=plan.steps_of(config, placed) * learning.epochs,
        unet_lr=learning.unet_lr,
        text_encoder_lr=learning.text_encoder_lr,
        scheduler=schedulers.get(config.scheduler.kind).traits.get("sd_scripts", config.scheduler.kind),
        optimizer=optimizer,
        resolution=config.data.resolution,
        seed=learning.seed,
        warmup_steps=learning.warmup_steps,
        batch_size=learning.batch_size,
        accumulation=learning.accumulation,
        checkpointing=config.run.checkpointing,
        mixed_precision="no" if computed == "fp32" else computed,
        max_grad_norm=learning.max_grad_norm,
        noise_offset=config.noise.offset,
        min_snr_gamma=config.loss.min_snr_gamma,
        shuffle_caption=config.caption.shuffle,
        keep_tokens=config.caption.keep_tokens,
        enable_bucket=config.bucket.enabled,
        bucket_no_upscale=config.bucket.no_upscale,
        bucket_reso=buckets.bounds(config.data.resolution, config.bucket),
        dataset_dirs=statistics.dataset_dirs(items),
        tag_frequency=statistics.tag_frequency(items, config.caption),
        bucket_info=statistics.bucket_info(placed, config.bucket),
        author=config.save.author,
        license=config.save.license,
        description=config.save.description,
        trigger=config.caption.trigger.strip(),
    )


def _write_picture(path: Path, picture: Image.Image) -> None:
    write_atomic(path, lambda stream: picture.save(stream, format="PNG"))
