"""The WebUI's own taggers, DeepBooru and BLIP: each batch under the WebUI's queue, and nothing is ever downloaded here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lib_lora.core.errors import BusyError, HostError, LoraError
from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Interrogator
from lib_lora.hosts.webui import program, queue

if TYPE_CHECKING:
    from PIL import Image

PATIENCE = 60.0  # seconds a batch waits for a picture that is being made
DEEPBOORU, BLIP = "deepbooru", "blip"
DEEPBOORU_SIDE, BLIP_SIDE = 512, 384
TOKENIZER, TOKENIZER_FILE = "bert-base-uncased", "vocab.txt"
DEEPBOORU_URL = "https://github.com/AUTOMATIC1111/TorchDeepDanbooru/releases/download/v1/model-resnet_custom_v3.pt"
BLIP_URL = "https://storage.googleapis.com/sfr-vision-language-research/BLIP/models/model_base_caption_capfilt_large.pth"


def there() -> tuple[Interrogator, ...]:
    """Both, with what they miss."""
    from modules import paths_internal

    models = Path(paths_internal.models_path)
    return (_deepbooru(models / "torch_deepdanbooru"), _blip(models / "BLIP"))


def _deepbooru(folder: Path) -> Interrogator:
    weights = _weights(folder, ".pt")
    return Interrogator(DEEPBOORU, "DeepBooru", True, folder, _named(DEEPBOORU_URL), DEEPBOORU_URL, lambda: DeepBooru(folder), weights)


def _blip(folder: Path) -> Interrogator:
    weights = _weights(folder, ".pth")
    return Interrogator(BLIP, "BLIP", False, folder, _named(BLIP_URL), BLIP_URL, lambda: Blip(folder), weights, _no_tokenizer(), _blip_settings())


class DeepBooru:
    """The WebUI's DeepBooru, asked for its raw probabilities: the WebUI's own threshold and filters have no say."""

    def __init__(self, folder: Path) -> None:
        from modules import deepbooru, devices

        weights = _weights(folder, ".pt")
        if weights is None:
            raise HostError(say("{folder}: DeepBooru's weights are not here any more.", folder=str(folder)))
        self._own = deepbooru.model
        with _turn(), _sound(weights):
            try:
                self._own.load()
            except BaseException:
                # The WebUI keeps a half loaded model and would use it from then on.
                self._own.model = None
                raise
        self.names = tuple(str(name) for name in self._own.model.tags)
        self.device = _called(devices.device)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Fitted into the square it knows, its edges drawn out. Never by the user's upscaler: the same picture gives the same tags."""
        from modules import images

        fitted = images.resize_image(2, image.convert("RGB"), DEEPBOORU_SIDE, DEEPBOORU_SIDE, upscaler_name="None")
        return np.asarray(fitted, dtype=np.uint8)

    def probabilities(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Of all its tags."""
        import torch
        from modules import devices

        pixels = np.stack([np.asarray(one, dtype=np.float32) / 255 for one in prepared])
        with _turn(), _working("DeepBooru"), _room():
            self._own.start()
            try:
                with torch.no_grad(), devices.autocast():
                    found = self._own.model(torch.from_numpy(pixels).to(devices.device, devices.dtype))
                return np.asarray(found.detach().float().cpu().numpy())
            finally:
                self._own.stop()

    def sentences(self, prepared: Sequence[np.ndarray]) -> list[str]:
        """It writes none."""
        raise NotImplementedError

    def close(self) -> None:
        """The WebUI keeps it in memory for its own use, away from the card."""


class Blip:
    """The WebUI's BLIP alone: its own caption step loads CLIP as well, and adds artists' names to the sentence."""

    names: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        from modules import devices, shared

        self._own, self._weights = shared.interrogator, _weights(folder, ".pth")
        lacks = _no_tokenizer()
        if self._weights is None:
            raise HostError(say("{folder}: BLIP's weights are not here any more.", folder=str(folder)))
        if lacks and self._own.blip_model is None:
            raise HostError(*lacks)
        with _turn():
            self._load()
        self.device = _called(devices.device_interrogate)

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Squashed into the square it knows, as the WebUI would do it later."""
        from PIL import Image

        return np.asarray(image.convert("RGB").resize((BLIP_SIDE, BLIP_SIDE), Image.Resampling.BICUBIC))

    def probabilities(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """It has no tags."""
        raise NotImplementedError

    def sentences(self, prepared: Sequence[np.ndarray]) -> list[str]:
        """By the WebUI's own settings of length and beams."""
        from modules import devices, torch_utils
        from PIL import Image

        own = self._own
        with _turn(), _working("BLIP"), _room():
            self._load()
            own.blip_model = own.blip_model.to(devices.device_interrogate)
            try:
                with program.attributes_kept(own, dtype=torch_utils.get_param(own.blip_model).dtype):
                    return [str(own.generate_caption(Image.fromarray(one))).strip() for one in prepared]
            finally:
                own.send_blip_to_ram()

    def close(self) -> None:
        """The WebUI keeps it in memory for its own use, away from the card."""

    def _load(self) -> None:
        from modules import shared

        if self._own.blip_model is not None or self._weights is None:
            return
        with _sound(self._weights):
            model = self._own.load_blip_model()
            half = not shared.cmd_opts.no_half and not self._own.running_on_cpu
            self._own.blip_model = model.half() if half else model


def _turn() -> AbstractContextManager[None]:
    """A place in the WebUI's queue. A training holds it for hours, so nobody waits for one."""
    from modules import shared

    def trains() -> bool:
        return bool(shared.state.job == program.JOB)

    if trains() and queue.taken():
        raise BusyError(say("The model's device is in use by LoRA Studio itself (a training, or upscaling). Ask this tagger afterwards, or take another one."))
    until = time.monotonic() + PATIENCE
    return queue.turn(lambda: time.monotonic() < until and not trains())


@contextmanager
def _room() -> Iterator[None]:
    """Memory on the card before, and given back after."""
    from modules import devices, lowvram

    lowvram.send_everything_to_cpu()
    devices.torch_gc()
    try:
        yield
    finally:
        devices.torch_gc()


@contextmanager
def _sound(weights: Path) -> Iterator[None]:
    try:
        yield
    except LoraError:
        raise
    except Exception as error:
        raise HostError(say("{file}: the WebUI cannot load these weights: {why}", file=str(weights), why=_first_line(error))) from error


@contextmanager
def _working(name: str) -> Iterator[None]:
    try:
        yield
    except LoraError:
        raise
    except Exception as error:
        raise HostError(say("The WebUI's {tagger} failed: {why}", tagger=name, why=_first_line(error))) from error


def _weights(folder: Path, suffix: str) -> Path | None:
    """The file the WebUI would take, without an address that it could download from."""
    from modules import modelloader

    found = modelloader.load_models(model_path=str(folder), ext_filter=[suffix]) if folder.is_dir() else []
    return Path(found[0]) if found else None


def _no_tokenizer() -> tuple[Message, ...]:
    folder = _hub()
    try:
        found = any((folder / f"models--{TOKENIZER}" / "snapshots").glob(f"*/{TOKENIZER_FILE}"))
    except OSError:
        found = False
    if found:
        return ()
    return (
        say(
            "BLIP reads with the tokenizer {name}, which is not in {folder}: the WebUI's own Interrogate CLIP puts it there once, when it is online.",
            name=TOKENIZER,
            folder=str(folder),
        ),
    )


def _hub() -> Path:
    """Where transformers looks for what it has downloaded."""
    known = getattr(sys.modules.get("transformers.utils.hub"), "TRANSFORMERS_CACHE", None)
    return Path(known) if known else Path.home() / ".cache" / "huggingface" / "hub"


def _blip_settings() -> str:
    from modules import shared

    found: list[str] = []
    with suppress(AttributeError):
        opts = shared.opts
        found = [str(value) for value in (opts.interrogate_clip_num_beams, opts.interrogate_clip_min_length, opts.interrogate_clip_max_length)]
    return "-".join(found)


def _called(device: Any) -> str:
    kind = str(getattr(device, "type", device))
    return kind.upper()


def _named(url: str) -> str:
    return url.rpartition("/")[2]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
