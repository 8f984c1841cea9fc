"""The layers of a model that networks hang on: found by their names, changed by a forward of their own instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from lib_lora.model import ConvSpec, Delta, Family, Layer, Part
from lib_lora.networks import keys
from lib_lora.networks.forwards import Undo, override
from lib_lora.networks.fused_attention import FusedAttention, Slot


@dataclass(frozen=True)
class ModuleLayer:
    """A linear layer or convolution with a module of its own."""

    key: str
    part: Part
    site: Literal["attention", "resnet"]
    in_features: int
    out_features: int
    conv: ConvSpec | None
    module: nn.Module

    def attach(self, delta: Delta) -> Undo:
        """See `Layer.attach`. The forward before (the class's, which hosts patch, or the instance's) still computes the base."""
        return override(self.module, delta)


@dataclass(frozen=True)
class FusedLayer:
    """q, k, v or the output of an nn.MultiheadAttention, whose projections have no modules that are called."""

    key: str
    part: Part
    in_features: int
    out_features: int
    attention: FusedAttention
    slot: Slot
    site: Literal["attention", "resnet"] = "attention"
    conv: ConvSpec | None = None

    def attach(self, delta: Delta) -> Undo:
        """See `Layer.attach`: with any slot taken, the attention is computed here instead of inside torch."""
        return self.attention.attach(self.slot, delta)


def unet_layers(unet: nn.Module, family: Family) -> list[Layer]:
    """The layers of a UNet whose modules are named as LDM/sgm or as diffusers name them.

    Told by weights, not by classes: hosts have linear layers and convolutions of their own.
    """
    found: list[Layer] = []
    for path, module in unet.named_modules():
        site = keys.site_of(path)
        if site is not None and _rank(module) in (2, 4):
            found.append(_module_layer(keys.unet_key(path, family), "unet", site, module))
    return found


def clip_layers(text_model: nn.Module, prefix: str, part: Part, skip_last: bool = False) -> list[Layer]:
    """The layers of Hugging Face's CLIPTextModel; `skip_last` where what is read is the output of the last but one."""
    named = [(path, module) for path, module in text_model.named_modules() if keys.clip_key(path, prefix) is not None]
    return [_module_layer(str(keys.clip_key(path, prefix)), part, "attention", module) for path, module in _used(named, skip_last)]


def openclip_layers(model: nn.Module, prefix: str, part: Part, skip_last: bool | None = None) -> list[Layer]:
    """The layers of open_clip's text tower: q, k, v and out of each attention apart, then the MLP.

    SD2 (`lora_te`) reads the last but one layer's output and nothing of the last, of which sd-scripts writes no keys;
    SDXL's second encoder needs its last layer for the pooled text.
    """
    skip = prefix == "lora_te" if skip_last is None else skip_last
    named = [(path, module) for path, module in model.named_modules() if keys.openclip_keys(path, prefix)]
    found: list[Layer] = []
    for path, module in _used(named, skip):
        names = keys.openclip_keys(path, prefix)
        found += _fused_layers(names, part, module) if len(names) > 1 else [_module_layer(names[0], part, "attention", module)]
    return found


def _fused_layers(names: tuple[str, ...], part: Part, module: nn.Module) -> Iterator[FusedLayer]:
    attention, width = FusedAttention(module), module.embed_dim
    slots: tuple[Slot, ...] = ("q", "k", "v", "out")
    return (FusedLayer(key, part, width, width, attention, slot) for key, slot in zip(names, slots, strict=True))


def _used(named: list[tuple[str, nn.Module]], skip_last: bool) -> list[tuple[str, nn.Module]]:
    last = max((keys.clip_layer_of(path) or 0 for path, _ in named), default=0)
    return [(path, module) for path, module in named if not skip_last or keys.clip_layer_of(path) != last]


def _rank(module: nn.Module) -> int:
    weight = getattr(module, "weight", None)
    return weight.ndim if isinstance(weight, Tensor) else 0


def _module_layer(key: str, part: Part, site: Any, module: nn.Module) -> ModuleLayer:
    out, in_, *kernel = module.weight.shape
    if not kernel:
        return ModuleLayer(key, part, site, in_, out, None, module)
    spec = ConvSpec(_pair(kernel), _pair(module.stride), _pair(module.padding), _pair(module.dilation))
    return ModuleLayer(key, part, site, in_, out, spec, module)


def _pair(values: Any) -> tuple[int, int]:
    height, width = (int(value) for value in values)
    return height, width
