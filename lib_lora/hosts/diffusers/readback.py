"""A saved network through diffusers' own LoRA loader → what each layer would be changed by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lib_lora.core.errors import HostError, MissingDependency
from lib_lora.core.messages import say
from lib_lora.model import Family
from lib_lora.networks import keys

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lib_lora.hosts.diffusers.model import DiffusersModel

ADAPTER = "readback"


def deltas(path: Path, model: DiffusersModel) -> Iterator[tuple[str, Tensor]]:
    """(file key, ΔW) of every layer that diffusers hands the network to, one at a time. The model is not touched."""
    taken = _taken(path, model)
    family = model.facts.family
    first = "lora_te1" if family is Family.SDXL else "lora_te"
    yield from ((keys.unet_key(name, family), delta) for name, delta in _changes(taken.unet))
    yield from ((str(keys.clip_key(name, first)), delta) for name, delta in _changes(taken.text_encoder))
    if taken.text_encoder_2 is not None:
        yield from ((str(keys.clip_key(name, "lora_te2")), delta) for name, delta in _changes(taken.text_encoder_2))


def _changes(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, layer in part.named_modules():
        if ADAPTER in getattr(layer, "lora_A", {}):
            yield name, _delta(layer)


def _taken(path: Path, model: DiffusersModel) -> Any:
    """Modules of the model's structure, without its weights, that have taken the network in."""
    if util.find_spec("peft") is None:
        raise MissingDependency(say("diffusers reads LoRAs through the package peft, which is not installed: pip install peft"))
    from diffusers.loaders import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin

    loader = StableDiffusionXLLoraLoaderMixin if model.facts.family is Family.SDXL else StableDiffusionLoraLoaderMixin

    class Taker(loader):  # type: ignore[misc, valid-type]
        """As much of a pipeline as its loader asks for."""

        hf_device_map = None

        def __init__(self) -> None:
            modules = model.modules
            self.unet = _hollow(lambda: type(modules.unet).from_config(modules.unet.config))
            self.text_encoder = _hollow(lambda: type(modules.te1)(modules.te1.config))
            self.text_encoder_2 = _hollow(lambda: type(modules.te2)(modules.te2.config)) if modules.te2 is not None else None
            self.components = {"unet": self.unet}

    taker = Taker()
    try:
        with torch.random.fork_rng(devices=[]):
            taker.load_lora_weights(_tensors(path, model.facts.family), adapter_name=ADAPTER, low_cpu_mem_usage=True)
    except (ValueError, KeyError, RuntimeError) as error:
        raise HostError(say("{file}: diffusers cannot read this LoRA: {error}", file=path.name, error=str(error))) from error
    return taker


def _tensors(path: Path, family: Family) -> dict[str, Tensor]:
    """The file's tensors, read as diffusers reads them, but for one thing.

    sd-scripts stores SD2's projections with 1×1 kernels, the WebUI takes them so, and diffusers, where they are linear
    layers, does not: it gets them as matrices.
    """
    from safetensors.torch import load_file

    tensors = load_file(path)
    if family is not Family.SD2:
        return tensors
    return {key: value.flatten(1) if _is_stored_kernel(key, value) else value for key, value in tensors.items()}


def _is_stored_kernel(key: str, value: Tensor) -> bool:
    return value.ndim == 4 and value.shape[2:] == (1, 1) and keys.stored_as_convolution(key.partition(".")[0])


def _hollow(build: Callable[[], nn.Module]) -> nn.Module:
    """A module whose weights are a single zero seen in every place: full shapes, no memory.

    Not on the meta device: the loader ends with moving its networks to the device of the weights.
    """
    with torch.device("meta"):
        module = build()
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            setattr(owner, name, torch.nn.Parameter(torch.zeros(()).expand(parameter.shape), requires_grad=False))
        for name, buffer in list(owner.named_buffers(recurse=False)):
            setattr(owner, name, torch.zeros((), dtype=buffer.dtype).expand(buffer.shape))
    return module


def _delta(layer: nn.Module) -> Tensor:
    """up · down · alpha/rank as peft scales it, float32."""
    up, down = (factor[ADAPTER].weight.detach().float().cpu() for factor in (layer.lora_B, layer.lora_A))
    product = up.flatten(1) @ down.flatten(1) * layer.scaling[ADAPTER]
    return product.view(up.shape[0], *down.shape[1:])
