"""`<lora:name:1>` in a prompt: found, taken out, and put on the model for as long as a picture takes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say

if TYPE_CHECKING:
    from torch import Tensor

    from lib_lora.model import Delta, Layer, Part

TAG = re.compile(r"<lora:([^<>:]+)((?::[^<>:]*)*)>")


@dataclass(frozen=True)
class Tag:
    """A network a prompt asks for, with its strength on text encoders and on the UNet."""

    name: str
    te: float = 1.0
    unet: float = 1.0

    def strength(self, part: Part) -> float:
        """The strength on that part of the model."""
        return self.unet if part == "unet" else self.te


def parse(prompt: str) -> tuple[str, tuple[Tag, ...]]:
    """The prompt without its tags, and the tags: `<lora:name>`, `:1`, `:te:unet`, `:te=0.5:unet=1` as the WebUI reads them."""
    tags = tuple(_tag(found.group(1), found.group(2)) for found in TAG.finditer(prompt))
    return TAG.sub("", prompt), tags


def find(name: str, folder: Path) -> Path:
    """The network file of that name in a folder or below it; HostError names the folder."""
    for path in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else ():
        # Folders with a dot hold our own state: replaced files lie there under their old names.
        if path.stem == name and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            return path
    raise HostError(say("{name}: there is no such LoRA in {folder}", name=name, folder=str(folder)))


@contextlib.contextmanager
def applied(layers: Sequence[Layer], tags: Sequence[Tag], folder: Path) -> Iterator[None]:
    """While open, the layers compute with these networks."""
    from safetensors.torch import load_file

    with ExitStack() as stack:
        for tag in tags:
            path = find(tag.name, folder)
            tensors = load_file(path)
            used = 0
            for layer in layers:
                strength = tag.strength(layer.part)
                delta = _delta(tensors, layer, strength)
                if delta is not None:
                    used += 1
                    stack.callback(layer.attach(delta))
            if not used:
                raise HostError(
                    say("{name}: this LoRA fits no layer of the loaded checkpoint; it belongs to another family or is of another kind", name=tag.name)
                )
        yield


def _tag(name: str, rest: str) -> Tag:
    named: dict[str, float] = {}
    places: list[float] = []
    for part in rest.split(":")[1:]:
        key, equals, value = part.partition("=")
        try:
            if equals:
                named[key.strip()] = float(value)
            else:
                places.append(float(part))
        except ValueError as error:
            raise HostError(say("{name}: {value} is no strength", name=name, value=part)) from error
    te = named.get("te", places[0] if places else 1.0)
    unet = named.get("unet", places[1] if len(places) > 1 else te)
    return Tag(name.strip(), te, unet)


def _delta(tensors: Mapping[str, Tensor], layer: Layer, strength: float) -> Delta | None:
    down, up = tensors.get(f"{layer.key}.lora_down.weight"), tensors.get(f"{layer.key}.lora_up.weight")
    if down is None or up is None or not strength:
        return None
    rank = down.shape[0]
    alpha = tensors.get(f"{layer.key}.alpha")
    return _product(layer, down.float(), up.float(), strength * (float(alpha) if alpha is not None else rank) / rank)


def _product(layer: Layer, down: Tensor, up: Tensor, scale: float) -> Callable[[Tensor], Tensor]:
    from torch.nn import functional

    conv = layer.conv
    moved: dict[str, tuple[Tensor, Tensor]] = {}

    def factors(x: Tensor) -> tuple[Tensor, Tensor]:
        # Brought to the device once per picture, where it is first seen.
        key = str(x.device)
        if key not in moved:
            moved[key] = (down.to(x.device), up.to(x.device))
        return moved[key]

    def linear(x: Tensor) -> Tensor:
        first, second = factors(x)
        return functional.linear(functional.linear(x, first.flatten(1)), second.flatten(1)) * scale

    def convolution(x: Tensor) -> Tensor:
        first, second = factors(x)
        inner = functional.conv2d(x, first, stride=conv.stride, padding=conv.padding, dilation=conv.dilation)
        return functional.conv2d(inner, second) * scale

    return linear if conv is None else convolution
