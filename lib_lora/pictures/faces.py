"""A face detector, where the user has one: any ONNX file of the YOLO layout in a folder of ours. Without one nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib_lora.core.errors import HostError, MissingDependency
from lib_lora.core.messages import say

SCORE, OVERLAP = 0.35, 0.5
SIDE = 640  # where the graph leaves it open
GREY = 114  # what YOLO graphs were taught to find around a picture
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """A face: (left, top, right, bottom) in pixels of the picture, and how sure the detector is."""

    box: Box
    score: float


def found_in(folder: Path) -> Path | None:
    """The detector somebody put there; the first by name where there are several."""
    return min(folder.glob("*.onnx"), default=None) if folder.is_dir() else None


def ratio(faces: Sequence[Face], height: int) -> float | None:
    """The height of the largest face in that of the picture; None without one."""
    return max(((face.box[3] - face.box[1]) / height for face in faces), default=None)


class Detector:
    """Finds faces by an ONNX graph of the YOLO layout: RGB from 0 to 1, boxes as centre and size."""

    def __init__(self, path: Path, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        self.path = path
        self._session = _session(path, providers)
        graph = self._session.get_inputs()[0]
        self._input = graph.name
        self._side = _side(path, graph.shape)

    def faces(self, image: Image.Image) -> tuple[Face, ...]:
        """The faces of an upright RGB picture, the surest first."""
        pixels, scale, left, top = _fitted(image, self._side)
        rows, scores = candidates(self._session.run(None, {self._input: pixels})[0])
        found = [(row, score) for row, score in zip(rows, scores, strict=True) if score >= SCORE]
        boxes = [(_in_picture(row, scale, left, top, image.size), float(score)) for row, score in found]
        return tuple(Face(box, score) for box, score in _apart(boxes))


def _session(path: Path, providers: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency(say("Finding faces needs the package onnxruntime: pip install onnxruntime")) from error
    try:
        return onnxruntime.InferenceSession(str(path), providers=list(providers))
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise HostError(say("{file}: this face detector cannot be loaded ({why})", file=path.name, why=str(error).splitlines()[0])) from error


def _side(path: Path, shape: Sequence[Any]) -> int:
    if len(shape) != 4 or shape[1] != 3:
        raise HostError(say("{file}: this is no face detector of the YOLO layout; its input is {shape}", file=path.name, shape=list(map(str, shape))))
    return shape[2] if isinstance(shape[2], int) and shape[2] > 0 else SIDE


def _fitted(image: Image.Image, side: int) -> tuple[np.ndarray, float, int, int]:
    """The picture in the middle of a grey square, as (1, 3, side, side), with its scale and place there."""
    scale = min(side / image.width, side / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square = Image.new("RGB", (side, side), (GREY, GREY, GREY))
    square.paste(image.resize(size, Image.Resampling.BILINEAR), (left, top))
    pixels = np.asarray(square, np.float32).transpose(2, 0, 1)[None] / 255
    return np.ascontiguousarray(pixels), scale, left, top


def candidates(output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output of a graph → a row (x, y, width, height) and a score for each box.

    Newer graphs give a column for each box, box and scores of classes; older ones a row, with a score that there is
    something at all before those of the classes.
    """
    found = output[0]
    if found.shape[0] < found.shape[1]:
        return found[:4].T, found[4:].max(axis=0)
    return found[:, :4], found[:, 4] * (found[:, 5:].max(axis=1) if found.shape[1] > 5 else 1)


def _in_picture(row: np.ndarray, scale: float, left: int, top: int, size: tuple[int, int]) -> Box:
    x, y, wide, high = (float(value) for value in row[:4])
    edges = ((x - wide / 2 - left) / scale, (y - high / 2 - top) / scale, (x + wide / 2 - left) / scale, (y + high / 2 - top) / scale)
    width, height = size
    return min(max(edges[0], 0.0), width), min(max(edges[1], 0.0), height), min(max(edges[2], 0.0), width), min(max(edges[3], 0.0), height)


def _apart(boxes: Sequence[tuple[Box, float]]) -> list[tuple[Box, float]]:
    """The surest of boxes that overlap."""
    kept: list[tuple[Box, float]] = []
    for box, score in sorted(boxes, key=lambda one: -one[1]):
        if all(_overlap(box, other) < OVERLAP for other, _ in kept):
            kept.append((box, score))
    return kept


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both)
