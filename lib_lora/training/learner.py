"""One optimizer step: batches → gradients → changed network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.model import Model, Part
from lib_lora.networks.registry import Network
from lib_lora.training import loss, noise
from lib_lora.training.batches import Batch, Source
from lib_lora.training.config import LearningConfig, TrainConfig
from lib_lora.training.optimizers import optimizers
from lib_lora.training.precision import resolve
from lib_lora.training.randomness import generator
from lib_lora.training.scaler import LossScaler

PARTS: tuple[Part, ...] = ("unet", "te1", "te2")


@dataclass(frozen=True)
class Outcome:
    """What a step came to. `loss` is the mean over its samples; `taken` is False where it or a gradient was no number."""

    loss: float
    norm: float
    taken: bool


def groups_of(network: Network, learning: LearningConfig) -> list[dict[str, Any]]:
    """The optimizer's groups ({"params", "lr", "name"}), one for each part that learns."""
    rates = {"unet": learning.unet_lr, "te1": learning.text_encoder_lr, "te2": learning.text_encoder_lr}
    groups = [{"params": network.parameters(part), "lr": rates[part], "name": part} for part in PARTS]
    groups = [group for group in groups if group["params"] and group["lr"] > 0]
    if not groups:
        raise ConfigError(say("Nothing would be learnt: give the UNet or the text encoder a learning rate above 0."))
    return groups


class Learner:
    """Holds the optimizer and whatever else lives from step to step."""

    def __init__(self, model: Model, network: Network, source: Source, config: TrainConfig) -> None:
        device = model.device()
        self._model = model
        self._source = source
        self._config = config
        self._alphas = model.alphas_cumprod()
        self._precision = resolve(config.run.precision, device)
        self._scaler = LossScaler(self._precision == "fp16")
        groups = groups_of(network, config.learning)
        self._rates = [group["lr"] for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self.notes: tuple[Message, ...]
        self._optimizer, self.notes = optimizers.get(config.optimizer.kind).build(groups, config.optimizer.options, device)

    @property
    def rate(self) -> float:
        """The first group's learning rate as it was used last."""
        return self._optimizer.param_groups[0]["lr"]

    @property
    def searching(self) -> bool:
        """Whether a step without a number is only fp16's loss scale finding its place."""
        return self._scaler.searching

    @property
    def optimizer(self) -> str:
        """The optimizer that learns, as sd-scripts writes it: module.Class(option=value,…). A fallback shows here."""
        kind, known = type(self._optimizer), self._optimizer.defaults
        options = ",".join(f"{name}={known[name]}" for name in ("betas", "weight_decay") if name in known)
        return f"{kind.__module__}.{kind.__qualname__}({options})"

    def step(self, batches: Sequence[Batch], number: int, factor: float) -> Outcome:
        """Take step `number` on `batches`, whose samples all count alike, at the learning rates times `factor`.

        The noise is a function of seed and number. The device is asked once, for loss and gradient norm together.
        """
        random = generator(self._config.learning.seed, "noise", number)
        samples = sum(len(batch) for batch in batches)
        with torch.enable_grad():
            total = sum((self._backward(batch, random, samples) for batch in batches), torch.zeros((), device=self._model.device()))
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self._scaler.unscale_(gradients)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._config.learning.max_grad_norm or math.inf)
        value, length = torch.stack([total, norm.to(total)]).tolist()
        taken = math.isfinite(value) and math.isfinite(length)
        self._update(taken, factor)
        return Outcome(value, length, taken)

    def _backward(self, batch: Batch, random: torch.Generator, samples: int) -> Tensor:
        """Add the gradients of one batch's share in the mean over `samples`  →  that share."""
        latents = noise.sample(batch.latents, random)
        t = noise.timesteps(len(batch), self._alphas, random).to(latents.device)
        gauss = noise.like(latents, random, self._config.noise.offset)
        with self._model.autocast(self._precision):
            cond = self._source.cond(batch)
            predicted = self._model.predict(noise.add(latents, gauss, self._alphas, t), t, cond, batch.sizes)
        wrong = loss.per_sample(predicted, noise.target(self._model.facts.prediction, latents, gauss, self._alphas, t)) * batch.weights
        if gamma := self._config.loss.min_snr_gamma:
            wrong = wrong * loss.min_snr_weights(self._alphas, t, gamma, self._model.facts.prediction)
        share = wrong.sum() / samples
        (share * self._scaler.scale).backward()
        return share.detach()

    def _update(self, taken: bool, factor: float) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        if taken:
            self._optimizer.step()
        self._scaler.update(taken)
        self._optimizer.zero_grad(set_to_none=True)
