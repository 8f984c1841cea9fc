"""Placed pictures → batches: each picture is encoded once, each caption drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lib_lora.core.errors import DataError
from lib_lora.core.messages import say
from lib_lora.dataset import captions, images, order
from lib_lora.dataset.buckets import Placed
from lib_lora.model import Model, Posterior, TextCond
from lib_lora.training.batches import Batch
from lib_lora.training.cache import DiskCache, LatentCache, LatentKey, MemoryCache
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Phased
from lib_lora.training.randomness import rng
from lib_lora.training.texts import CachedTexts, LiveTexts, Texts

WIDEST = 32  # captions encoded ahead of their steps


@dataclass(frozen=True)
class _Planned:
    """A batch before anything is encoded: indices into the placed pictures, and the captions drawn for them."""

    indices: tuple[int, ...]
    texts: tuple[str, ...]


def make(model: Model, placed: Sequence[Placed], config: TrainConfig, folder: Path | None = None) -> Feed:
    """The feed of a run. `folder` is where latents are cached when the settings say disk."""
    on_disk = config.data.cache == "disk" and folder is not None
    live = config.learning.text_encoder_lr > 0
    return Feed(model, placed, config, DiskCache(folder) if on_disk else MemoryCache(), LiveTexts(model) if live else CachedTexts(model))


class Feed:
    """Batches of a run, in the order that seed and epoch give."""

    def __init__(self, model: Model, placed: Sequence[Placed], config: TrainConfig, cache: LatentCache, texts: Texts) -> None:
        self._model = model
        self._placed = placed
        self._config = config
        self._cache = cache
        self._texts = texts
        self._keys: dict[int, LatentKey] = {}
        self._vae = ""

    def prepare(self, control: Control) -> Iterator[Phased]:
        """Encode every picture that is not cached; says how far it is. Ends early when `control` asks for it."""
        total = len(self._placed)
        message = say("Encoding pictures")
        yield Phased("caching", message, 0, total)
        for index in range(total):
            if control.request:
                return
            if not self._cache.has(self._key(index)):
                self._model.place("vae")
                self._encode(index)
            yield Phased("caching", message, index + 1, total)
        self._place_for_steps()

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All batches of an epoch (from 1)."""
        plan = self._plan(epoch)
        first, width = 0, 1
        while first < len(plan):
            # The first step does not wait for more than its own captions; later ones are encoded ahead, together.
            window = plan[first : first + width]
            self._texts.ahead([text for planned in window for text in planned.texts])
            for planned in window:
                yield self._batch(planned)
            first += len(window)
            width = min(2 * width, max(1, WIDEST // self._config.learning.batch_size))

    def cond(self, batch: Batch) -> TextCond:
        """The batch's captions, encoded; with a graph where text encoders learn."""
        return self._texts.encode(batch.texts)

    def _plan(self, epoch: int) -> list[_Planned]:
        learning = self._config.learning
        plan: list[_Planned] = []
        drawn = 0
        for indices in order.epoch(self._placed, learning.batch_size, learning.seed, epoch):
            texts = []
            for index in indices:
                texts.append(captions.draw(self._placed[index].item.caption, self._config.caption, rng(learning.seed, "caption", epoch, drawn)))
                drawn += 1
            plan.append(_Planned(tuple(indices), tuple(texts)))
        return plan

    def _batch(self, planned: _Planned) -> Batch:
        device = self._model.device()
        found = [self._latents(index) for index in planned.indices]
        latents = Posterior(torch.cat([one.mean for one in found]).to(device), torch.cat([one.std for one in found]).to(device))
        sizes = tuple(self._placed[index].size_cond for index in planned.indices)
        return Batch(latents, planned.texts, sizes, torch.ones(len(planned.indices), device=device))

    def _latents(self, index: int) -> Posterior:
        found = self._cache.get(self._key(index))
        if found is None:  # somebody emptied the cache folder meanwhile
            self._model.place("vae")
            found = self._encode(index)
            self._place_for_steps()
        return found

    def _place_for_steps(self) -> None:
        self._model.place("unet", *self._texts.parts)

    def _key(self, index: int) -> LatentKey:
        if index not in self._keys:
            placed = self._placed[index]
            self._vae = self._vae or self._model.vae_fingerprint()  # hashes all its weights, so it is asked once
            self._keys[index] = LatentKey(placed.item.stamp, placed.bucket, placed.resized, placed.crop, self._vae)
        return self._keys[index]

    def _encode(self, index: int) -> Posterior:
        """One picture at a time: then its latents do not depend on which others it was encoded with."""
        placed = self._placed[index]
        if images.content_hash(placed.item.path) != placed.item.stamp:  # its latents would be kept under the old content's key
            raise DataError(say("{file}: this picture was changed after the run began. Start again.", file=str(placed.item.path)))
        pixels = torch.tensor(images.fit(images.open_picture(placed.item.path), placed.resized, placed.crop, placed.bucket))
        with torch.no_grad():
            scaled = pixels.permute(2, 0, 1).unsqueeze(0).to(self._model.device(), torch.float32) / 127.5 - 1
            posterior = self._model.encode_images(scaled)
        posterior = Posterior(posterior.mean.float().cpu(), posterior.std.float().cpu())
        self._cache.put(self._key(index), posterior)
        return posterior
