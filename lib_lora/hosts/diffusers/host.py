"""The stand-alone host: one checkpoint file, loaded when first needed and kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import BusyError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Access, HostPaths, Lease, Overrides, PictureRequest
from lib_lora.hosts.diffusers import checkpoint as checkpoints
from lib_lora.model import Family, Model, ModelFacts, Prediction

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lib_lora.hosts.diffusers.model import DiffusersModel
    from lib_lora.hosts.diffusers.tokens import Tokens

WAIT = 0.2
STATE = ".lora-studio"


class DiffusersHost:
    """Lends the checkpoint of one file. LoRAs go to and come from `folder`; caches, trash and logs lie in a folder in it.

    Raises HostError for a file that cannot be used. Another checkpoint is another host.
    """

    name = "diffusers"

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self._checkpoint = checkpoints.inspect(checkpoint)
        self._folder = folder
        self._lock = threading.Lock()
        self._leased = False
        self._model: DiffusersModel | None = None
        self._tokens: Tokens | None = None
        self._tokenless = False  # whether it was tried to read the tokenizer alone
        self._facts: ModelFacts | None = None  # of the loaded model, without a lease's overrides

    def paths(self) -> HostPaths:
        """Beneath the folder this host was given; a local user may name any path."""
        return HostPaths(self._folder, self._folder / STATE)

    def access(self) -> Access:
        """No login: the page is this computer's."""
        return Access()

    def checkpoints(self) -> tuple[Path, ...]:
        """The checkpoint files beside this one, it included."""
        return checkpoints.listing(self._checkpoint.path.parent)

    def facts(self, overrides: Overrides = Overrides()) -> ModelFacts:
        """From the header until the model is loaded, then what was loaded; the user's word over both."""
        return _overridden(self._facts or self._described(), overrides)

    def refusals(self, lease: Lease) -> list[Message]:
        """Nothing: files that cannot be trained are refused when the host is made."""
        del lease
        return []

    @contextlib.contextmanager
    def borrow(self, lease: Lease, waiting: Callable[[], bool] = lambda: True) -> Iterator[Model]:
        """Wait for the picture that is being sampled, load if needed, lend, put back."""
        while not self._lock.acquire(timeout=WAIT):
            if not waiting():
                raise BusyError(say("The wait for the model was ended."))
        try:
            self._leased = True
            model = self._loaded()
            try:
                model.facts = self.facts(lease.overrides)
                with model.lent():
                    yield model
            finally:
                model.facts = self.facts()
        finally:
            self._leased = False
            self._lock.release()

    def busy(self) -> bool:
        """Whether a training or a picture uses the model."""
        return self._lock.locked()

    def picture(self, model: Model, request: PictureRequest) -> Image.Image:
        """Sample with the lent model, networks in memory and networks named in the prompt."""
        from lib_lora.hosts.diffusers import sampling

        lent = self._loaded()
        assert model is lent, "a model is sampled by the host that lends it"
        with lent.everywhere():
            return sampling.sample(lent, request, self.paths().loras)

    def generate(self, request: PictureRequest) -> Image.Image:
        """Sample a picture outside of a training; waits for another picture, refuses while a training has the model."""
        while not self._lock.acquire(timeout=WAIT):
            if self._leased:
                raise BusyError(say("A training holds the model. Stop it, or wait until it is done."))
        try:
            model = self._loaded()
            with model.lent():
                return self.picture(model, request)
        finally:
            self._lock.release()

    def deltas(self, path: Path, model: Model) -> Iterator[tuple[str, Tensor]]:
        """Read back by diffusers' own LoRA loader."""
        from lib_lora.hosts.diffusers import readback

        lent = self._loaded()
        assert model is lent, "a network is read back for the model that is lent"
        return readback.deltas(path, lent)

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """By the checkpoint's tokenizer, which is read alone while the model is not loaded; None where its files are missing."""
        if self._model is not None:
            return self._model.tokenizer.lengths(texts)
        if self._tokens is None and not self._tokenless:
            self._tokenless = True
            with contextlib.suppress(Exception):  # a count is a courtesy; what is wrong is said when the model is loaded
                self._tokens = _tokenizer(self._checkpoint, self.paths().state)
        return self._tokens.lengths(texts) if self._tokens is not None else None

    def forget(self, paths: Sequence[Path]) -> None:
        """Nothing is kept of networks: each picture reads their files anew."""
        del paths

    def _loaded(self) -> DiffusersModel:
        if self._model is None:
            self._model = _load(self._checkpoint, self._described(), self.paths().state)
            self._facts = self._model.facts
        return self._model

    def _described(self) -> ModelFacts:
        from lib_lora.hosts.diffusers import device as devices

        found, place, notes = self._checkpoint, devices.best(), list(self._checkpoint.notes)
        prediction = found.prediction
        if prediction is None:
            prediction = Prediction.V
            notes.append(say("There is no yaml beside this SD2 checkpoint, so what it predicts is found out when it is loaded."))
        return ModelFacts(found.name, found.family, prediction, found.zero_terminal, 1, place.type, devices.dtype_name(place), found.path, notes=tuple(notes))


def _overridden(facts: ModelFacts, overrides: Overrides) -> ModelFacts:
    skip = overrides.clip_skip if overrides.clip_skip and facts.family is Family.SD1 else facts.clip_skip
    zero = facts.zero_terminal if overrides.zero_terminal is None else overrides.zero_terminal
    return replace(facts, prediction=overrides.prediction or facts.prediction, zero_terminal=zero, clip_skip=skip)


def _rows(found: checkpoints.Checkpoint) -> int:
    return next(shape[0] for key, shape in found.shapes.items() if key.endswith("token_embedding.weight"))


def _tokenizer(found: checkpoints.Checkpoint, state: Path) -> Tokens:
    from lib_lora.hosts.diffusers import tokens

    return tokens.load(found, _rows(found), state)


def _load(found: checkpoints.Checkpoint, facts: ModelFacts, state: Path) -> DiffusersModel:
    from lib_lora.hosts.diffusers import device as devices
    from lib_lora.hosts.diffusers import tokens, weights
    from lib_lora.hosts.diffusers.model import DiffusersModel

    place = devices.best()
    rows = _rows(found)
    tokenizer = tokens.load(found, rows, state)
    modules = weights.load(found, devices.dtype(place), place, tokens.heads_of(tokens.folder_of(found, rows)))
    model = DiffusersModel(replace(facts, sha256=modules.sha256), modules, tokenizer, found.scale_factor, found.betas, place)
    if found.prediction is None:
        model.facts = replace(model.facts, prediction=_probed(model), notes=found.notes)
    return model


def _probed(model: DiffusersModel) -> Prediction:
    """What an SD2 UNet predicts, by the WebUI's own test: at the last step ε stays near the input and v does not."""
    import torch

    from lib_lora.model import TextCond

    unet = model.modules.unet
    with torch.no_grad():
        noisy = torch.full((1, 4, 8, 8), 0.5, device=model.device())
        context = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, device=model.device())
        moved = model.predict(noisy, torch.tensor([999], device=model.device()), TextCond(context), []) - noisy
    return Prediction.V if moved.mean().item() < -1 else Prediction.EPSILON
