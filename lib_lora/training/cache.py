"""Encoded pictures, kept: in memory for a run, or on disk for later ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lib_lora.core.files import write_bytes
from lib_lora.model import Posterior

FORMAT = "1"  # part of every key: a change of what is stored makes old files unused


@dataclass(frozen=True)
class LatentKey:
    """Everything a picture's latents depend on. `content` is the file's hash, `vae` the VAE's; sides are (width, height)."""

    content: str
    bucket: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int]
    vae: str

    def text(self) -> str:
        """The key in full, as a cache file carries it."""
        return json.dumps(asdict(self) | {"format": FORMAT}, sort_keys=True)

    def name(self) -> str:
        """A file name of its own."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:32]


class LatentCache(Protocol):
    """Posteriors by key, float32 on the CPU, each (1, 4, h, w).

    float32 because they are small (131 kB for 512² and its std) and then a cached run is the very run without a cache.
    """

    def has(self, key: LatentKey) -> bool:
        """Whether `get` will answer."""
        ...

    def get(self, key: LatentKey) -> Posterior | None:
        """What was put, or None."""
        ...

    def put(self, key: LatentKey, posterior: Posterior) -> None:
        """Keep it."""
        ...


class MemoryCache:
    """Latents held in memory as long as the run."""

    def __init__(self) -> None:
        self._held: dict[LatentKey, Posterior] = {}

    def has(self, key: LatentKey) -> bool:
        """Whether it was put."""
        return key in self._held

    def get(self, key: LatentKey) -> Posterior | None:
        """What was put, or None."""
        return self._held.get(key)

    def put(self, key: LatentKey, posterior: Posterior) -> None:
        """Keep it on the CPU."""
        self._held[key] = _plain(posterior)


class DiskCache:
    """Latents as safetensors files, one for each key, named by it and carrying it.

    A file that is broken or says another key counts as absent, so that it is made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: LatentKey) -> Path:
        """Where that key's file lies, or would."""
        return self.folder / f"{key.name()}.safetensors"

    def has(self, key: LatentKey) -> bool:
        """Whether a whole file of that key is there."""
        return self._read(key, tensors=False) is not None

    def get(self, key: LatentKey) -> Posterior | None:
        """What was put by this or an earlier run, or None."""
        found = self._read(key, tensors=True)
        return Posterior(**found) if found else None

    def put(self, key: LatentKey, posterior: Posterior) -> None:
        """Write the file, whole or not at all."""
        plain = _plain(posterior)
        write_bytes(self.path(key), save({"mean": plain.mean, "std": plain.std}, {"key": key.text()}))

    def _read(self, key: LatentKey, tensors: bool) -> dict[str, torch.Tensor] | None:
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                if (file.metadata() or {}).get("key") != key.text() or set(file.keys()) != {"mean", "std"}:
                    return None
                return {name: file.get_tensor(name) for name in ("mean", "std")} if tensors else {}
        except (SafetensorError, OSError, ValueError):
            return None


def _plain(posterior: Posterior) -> Posterior:
    # Contiguous: a picture out of a batch is a view, which safetensors refuses and which would hold the whole batch.
    return Posterior(*(part.detach().to("cpu", torch.float32).contiguous() for part in (posterior.mean, posterior.std)))
