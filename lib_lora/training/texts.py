"""Captions → conditioning: encoded once and kept where text encoders stay as they are, each time where they learn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, Protocol

import torch

from lib_lora.model import Model, TextCond

BOUND = 256 * 1024**2  # bytes: a thousand captions of SD1, four hundred of SDXL; shuffling makes no end of them


class Texts(Protocol):
    """Encodes captions for the feed."""

    parts: tuple[Literal["te"], ...]  # what has to be on the device while steps are taken

    def ahead(self, texts: Sequence[str]) -> None:
        """These captions will be asked for next."""
        ...

    def encode(self, texts: Sequence[str]) -> TextCond:
        """The captions as one batch, on the model's device."""
        ...


class LiveTexts:
    """Text encoders learn: every batch is encoded with a graph."""

    parts: tuple[Literal["te"], ...] = ("te",)

    def __init__(self, model: Model) -> None:
        self._model = model

    def ahead(self, texts: Sequence[str]) -> None:
        """Nothing: what learns is encoded when it is used."""

    def encode(self, texts: Sequence[str]) -> TextCond:
        """The captions with a graph to the networks on the text encoders."""
        return self._model.encode_texts(texts, grad=True)


class CachedTexts:
    """Text encoders are frozen: a caption is encoded once, by itself, and kept on the CPU up to `bound` bytes."""

    parts: tuple[Literal["te"], ...] = ()

    def __init__(self, model: Model, bound: int = BOUND) -> None:
        self._model = model
        self._bound = bound
        self._held: OrderedDict[str, TextCond] = OrderedDict()
        self._bytes = 0

    def ahead(self, texts: Sequence[str]) -> None:
        """Encode what is not held, all in one go: a host short of memory moves its encoders once for it."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._held]
        if not missing:
            return
        self._model.place("te")
        for text in missing:
            self._held_of(text)
        self._model.place("unet")

    def encode(self, texts: Sequence[str]) -> TextCond:
        """The captions as one batch. Those of different length are encoded together: the host knows how to even them."""
        held = [self._held_of(text) for text in texts]
        if len({cond.context.shape[1] for cond in held}) > 1:
            with torch.no_grad():
                return self._model.encode_texts(texts)
        device = self._model.device()
        pooled = [cond.pooled for cond in held if cond.pooled is not None]
        return TextCond(torch.cat([cond.context for cond in held]).to(device), torch.cat(pooled).to(device) if pooled else None)

    def _held_of(self, text: str) -> TextCond:
        found = self._held.get(text)
        if found is not None:
            self._held.move_to_end(text)
            return found
        with torch.no_grad():
            cond = self._model.encode_texts([text])
        found = TextCond(cond.context.detach().cpu(), None if cond.pooled is None else cond.pooled.detach().cpu())
        self._held[text] = found
        self._bytes += _size(found)
        while self._bytes > self._bound and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= _size(dropped)
        return found


def _size(cond: TextCond) -> int:
    return sum(part.numel() * part.element_size() for part in (cond.context, cond.pooled) if part is not None)
