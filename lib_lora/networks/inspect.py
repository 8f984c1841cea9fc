"""What a network file holds, in facts: family, algorithms, ranks and alphas per part, words and numbers of its training."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lib_lora.networks import card, contents, keys
from lib_lora.networks.contents import Held
from lib_lora.networks.file import Entry, header

SHOWN_TAGS = 50
# What of the metadata is shown beside the whole of it: our name → theirs.
TRAINING = {
    "base_model": "ss_sd_model_name",
    "images": "ss_num_train_images",
    "steps": "ss_steps",
    "epoch": "ss_epoch",
    "resolution": "ss_resolution",
    "unet_lr": "ss_unet_lr",
    "text_encoder_lr": "ss_text_encoder_lr",
    "optimizer": "ss_optimizer",
    "scheduler": "ss_lr_scheduler",
    "batch_size": "ss_total_batch_size",
    "clip_skip": "ss_clip_skip",
    "seed": "ss_seed",
    "prediction": "modelspec.prediction_type",
    "author": "modelspec.author",
    "license": "modelspec.license",
    "description": "modelspec.description",
}


def inspect(path: Path) -> dict[str, Any]:
    """The facts of a file as plain data. Raises DataError for what is no safetensors file."""
    metadata, entries = header(path)
    layers = contents.layers_of(entries)
    family, said = contents.family_of(layers, metadata), contents.said_family(metadata)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "family": family.value if family else None,
        "family_in_metadata": said.value if said else None,
        "kinds": sorted({held.algorithm or "unknown" for held in layers.values()}),
        "precision": sorted({entry.dtype for entry in entries.values()}),
        "layers": len(layers),
        "parts": _parts(path, layers.values()),
        "embeddings": contents.embeddings_of(entries),
        "name": metadata.get("ss_output_name"),
        "trigger": _trigger(path, metadata),
        "training": {name: metadata[theirs] for name, theirs in TRAINING.items() if metadata.get(theirs, "None") != "None"},
        "tags": tags_of(metadata)[:SHOWN_TAGS],
        "metadata": metadata,
    }


def tags_of(metadata: Mapping[str, str]) -> list[tuple[str, int]]:
    """Tags of the pictures it was trained on, all folders together, the most frequent first."""
    total: Counter[str] = Counter()
    for folder in _object(metadata.get("ss_tag_frequency", "")).values():
        if isinstance(folder, dict):
            total.update({str(tag): count for tag, count in folder.items() if isinstance(count, int)})
    return sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))


def alpha_of(path: Path, held: Held) -> float | None:
    """A layer's alpha, read from its place in the file; None where it has none."""
    entry = held.entries.get("alpha")
    return None if entry is None else _number(path, entry)


def _parts(path: Path, layers: Iterable[Held]) -> dict[str, Any]:
    """part → how many layers, and how many of them have which rank and alpha."""
    parts: dict[str, Any] = {}
    for held in layers:
        part = parts.setdefault(keys.part_of(held.key) or "other", {"layers": 0, "ranks": Counter(), "alphas": Counter()})
        part["layers"] += 1
        if held.rank is not None:
            part["ranks"][str(held.rank)] += 1
        alpha = alpha_of(path, held)
        if alpha is not None:
            part["alphas"][f"{alpha:g}"] += 1
    return {name: {**part, "ranks": dict(part["ranks"]), "alphas": dict(part["alphas"])} for name, part in parts.items()}


def _trigger(path: Path, metadata: Mapping[str, str]) -> str:
    """The file's own trigger, or what the card beside it puts into the prompt."""
    beside = card.path_of(path)
    told = _object(beside.read_text(encoding="utf-8", errors="replace")) if beside.is_file() else {}
    return metadata.get("modelspec.trigger_phrase") or str(told.get("activation text") or "")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(path: Path, entry: Entry) -> float | None:
    with path.open("rb") as file:
        file.seek(entry.place[0])
        raw = file.read(entry.place[1] - entry.place[0])
    if entry.dtype == "BF16":
        return struct.unpack("<f", b"\0\0" + raw[:2])[0]
    form = {"F16": "<e", "F32": "<f", "F64": "<d", "I64": "<q", "I32": "<i"}.get(entry.dtype)
    return None if form is None or struct.calcsize(form) != len(raw) else float(struct.unpack(form, raw)[0])
