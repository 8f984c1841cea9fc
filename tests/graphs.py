"""Taggers for tests: graphs with the signatures of real ones, whose outputs follow from a picture's mean colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib_lora.bench import wire

# name, category by Danbooru's numbers, and the weights of mean (blue, green, red) in its probability.
ROWS = (
    ("general", 9, (0.0, 0.9, 0.0)),
    ("sensitive", 9, (0.0, 0.0, 0.5)),
    ("questionable", 9, (0.1, 0.0, 0.0)),
    ("explicit", 9, (0.0, 0.0, 0.0)),
    ("red_hair", 0, (0.0, 0.0, 1.0)),
    ("hatsune_miku_(cosplay)_(vocaloid)", 4, (0.5, 0.5, 0.0)),
    ("green_hair", 0, (0.0, 1.0, 0.0)),
    ("blue_hair", 0, (1.0, 0.0, 0.0)),
    ("^_^", 0, (0.4, 0.4, 0.2)),
    ("grey_background", 0, (0.0, 0.4, 0.4)),
    ('don\'t_say_"lazy"', 0, (0.2, 0.2, 0.2)),
)
SIDE = 16
WEIGHTS = np.array([row[2] for row in ROWS], dtype=np.float32).T  # (3, tags)


def truth(rgb: tuple[int, int, int]) -> np.ndarray:
    """The probabilities of a picture of one colour."""
    return (np.array(rgb[::-1], dtype=np.float32) / 255) @ WEIGHTS


def wd(batch: int | str = "batch", weights: np.ndarray = WEIGHTS) -> bytes:
    """WD's signature: NHWC, BGR, 0–255 → probabilities. `batch` is a number for v2's fixed axis, a text for v3's free one."""
    nodes = [
        wire.Node("ReduceMean", ["input"], ["mean"], {"axes": [1, 2], "keepdims": 0}),
        wire.Node("MatMul", ["mean", "weights"], ["output"]),
    ]
    return wire.model(nodes, {"weights": weights / 255}, ("input", [batch, SIDE, SIDE, 3]), ("output", [batch, weights.shape[1]]))


def cl(weights: np.ndarray = WEIGHTS) -> bytes:
    """cl_tagger's: NCHW, BGR, −1…1 → logits."""
    nodes = [
        wire.Node("ReduceMean", ["pixels"], ["mean"], {"axes": [2, 3], "keepdims": 0}),
        wire.Node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    return wire.model(nodes, {"weights": weights}, ("pixels", ["n", 3, SIDE, SIDE]), ("logits", ["n", weights.shape[1]]))


def csv(rows: Sequence[tuple[str, int, object]] = ROWS, extra: bool = False) -> str:
    """selected_tags.csv, or PixAI's layout with more columns in another order."""
    if extra:
        lines = ["id,tag_id,name,category,count,ips", *(f'{n},{n + 7},"{_quoted(row[0])}",{row[1]},5,[]' for n, row in enumerate(rows))]
    else:
        lines = ["tag_id,name,category,count", *(f'{n},"{_quoted(row[0])}",{row[1]},5' for n, row in enumerate(rows))]
    return "\n".join(lines) + "\n"


def tagger(folder: Path, batch: int | str = "batch", labels: str = "selected_tags.csv") -> Path:
    """A complete tagger in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(wd(batch))
    (folder / labels).write_text(csv(), encoding="utf-8")
    return folder


def _quoted(name: str) -> str:
    return name.replace('"', '""')
