"""A tagger's graph in onnxruntime: on the graphics card where that works, else on the CPU, and it says which."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib_lora.core.errors import HostError, MissingDependency
from lib_lora.core.messages import Message, say
from lib_lora.tagging import labels as label_files
from lib_lora.tagging import preprocess
from lib_lora.tagging.profile import Profile
from lib_lora.tagging.tagger import Pair

log = logging.getLogger(__name__)
CPU = "CPUExecutionProvider"
# Graphics cards' providers in the order of preference, with what a user calls them.
CARDS = {
    "CUDAExecutionProvider": "CUDA",
    "ROCMExecutionProvider": "ROCm",
    "MIGraphXExecutionProvider": "MIGraphX",
    "DmlExecutionProvider": "DirectML",
}
CUDA_OPTIONS = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}  # no more memory than it takes
BATCH_ON_CARD, BATCH_ON_CPU = 8, 4


class Graph:
    """A Running tagger. Raises HostError for files that do not belong together or are none."""

    def __init__(self, pair: Pair, profile: Profile, digest: str, cpu: bool = False) -> None:
        self._model, self._profile = pair.model, profile
        self.digest = digest
        self.labels = label_files.read(pair.labels)
        self.notes: tuple[Message, ...] = ()
        self._open(cpu)
        self._input, self._output = self._session.get_inputs()[0], self._session.get_outputs()[0]
        self.size = self._side()
        width = self._output.shape[-1]
        if isinstance(width, int):
            label_files.check_width(self.labels, width, pair.labels)
        self._labels_path = pair.labels

    @property
    def batch(self) -> int:
        """What the graph's first axis says: its number where it has one, else what suits the device."""
        fixed = self._input.shape[0]
        if isinstance(fixed, int) and fixed > 0:
            return fixed
        return BATCH_ON_CPU if self.device == "CPU" else BATCH_ON_CARD

    def prepare(self, image: Image.Image) -> np.ndarray:
        """By the profile's arithmetic."""
        return preprocess.prepare(image, self._profile, self.size)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """A row of probabilities per picture. A card that fails (its memory is full) hands over to the CPU for good."""
        rows = []
        fixed = self._input.shape[0] if isinstance(self._input.shape[0], int) else 0
        step = fixed if fixed > 0 else max(1, len(inputs))
        for at in range(0, len(inputs), step):
            part = list(inputs[at : at + step])
            # A graph of a fixed batch wants all of it: the last picture fills the places that are left.
            full = part + [part[-1]] * (fixed - len(part) if fixed > 0 else 0)
            rows.append(self._run(np.stack(full))[: len(part)])
        return np.concatenate(rows)

    def close(self) -> None:
        """Forget the session; onnxruntime frees what it held."""
        del self._session

    def _run(self, batch: np.ndarray) -> np.ndarray:
        feed = {self._input.name: batch}
        try:
            (found,) = self._session.run([self._output.name], feed)
        except Exception as error:
            if self.device == "CPU":
                raise HostError(say("{file}: the tagger failed: {why}", file=str(self._model), why=_first_line(error))) from error
            self._open(True)
            self.notes = (*self.notes, say("The graphics card failed while tagging ({why}); it goes on on the CPU.", why=_first_line(error)))
            (found,) = self._session.run([self._output.name], feed)
        rows = np.asarray(found, dtype=np.float32).reshape(len(batch), -1)
        label_files.check_width(self.labels, rows.shape[1], self._labels_path)
        return _sigmoid(rows) if self._profile.activation == "sigmoid" else rows

    def _open(self, cpu: bool) -> None:
        runtime = _onnxruntime()
        present = runtime.get_available_providers()
        card = next((name for name in CARDS if name in present and not cpu), None)
        self._session, failure = None, ""
        if card is not None:
            _cuda_libraries(runtime, card)
            with contextlib.suppress(Exception):
                self._session = _session(runtime, self._model, card)
            # onnxruntime does not raise when it cannot use the card: it takes the CPU, and only its list tells.
            if self._session is None or card not in self._session.get_providers():
                failure, card = CARDS[card], None
        if self._session is None or card is None:
            self._session = self._on_cpu(runtime)
        self.device = CARDS.get(card or "", "CPU")
        if failure:
            self.notes = (*self.notes, say("{card} cannot be used by onnxruntime here, so pictures are tagged on the CPU.", card=failure))
        elif self.device == "CPU" and not cpu:
            self.notes = (*self.notes, say("onnxruntime knows no graphics card here, so pictures are tagged on the CPU."))

    def _on_cpu(self, runtime: Any) -> Any:
        try:
            return _session(runtime, self._model, CPU)
        except Exception as error:
            raise HostError(say("{file}: onnxruntime cannot load this model: {why}", file=str(self._model), why=_first_line(error))) from error

    def _side(self) -> int:
        shape = self._input.shape
        channels, side = (shape[1], shape[2]) if self._profile.layout == "NCHW" else (shape[-1], shape[1])
        if len(shape) != 4 or (isinstance(channels, int) and channels != 3):
            raise HostError(
                say("{file}: this model does not take pictures as this kind of tagger does: its input is {shape}.", file=str(self._model), shape=shape)
            )
        return side if isinstance(side, int) and side > 0 else self._profile.size


def _session(runtime: Any, model: Path, provider: str) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if provider == CPU:
        # Pictures are read meanwhile, and somebody may be drawing: work in small parts, and threads that wait must not spin.
        options.add_session_config_entry("session.dynamic_block_base", "4")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [(provider, CUDA_OPTIONS) if CARDS.get(provider) == "CUDA" else provider]
    return runtime.InferenceSession(str(model), options, providers=[*providers, *([] if provider == CPU else [CPU])])


def _cuda_libraries(runtime: Any, card: str) -> None:
    # The CUDA libraries are PyTorch's where there is one; loaded first, onnxruntime finds them.
    if CARDS[card] == "CUDA" and importlib.util.find_spec("torch") is not None:
        with contextlib.suppress(ImportError, OSError):
            import torch  # noqa: F401

            getattr(runtime, "preload_dlls", lambda: None)()


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        told = say("Tagging needs the package onnxruntime, which is not installed here ({why}): pip install onnxruntime", why=str(error))
        raise MissingDependency(told) from error
    return onnxruntime


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # By the half that cannot overflow.
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
