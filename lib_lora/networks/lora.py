"""LoRA in torch: y = base(x) + up(down(x)) · alpha/rank, added without rebuilding a weight."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.model import Layer, Part, Precision
from lib_lora.networks.keys import stored_as_convolution
from lib_lora.networks.precision import rounded


class Factors:
    """The two factors of one layer: down (rank, in, …kernel), up (out, rank, …1×1), float32 and outside of the model.

    As a delta of its layer it computes in the dtype the base output has, so it follows autocast and half-precision bases.
    """

    def __init__(self, layer: Layer, rank: int, alpha: float, device: torch.device, generator: torch.Generator) -> None:
        self.layer, self.rank, self.alpha = layer, rank, alpha
        kernel = () if layer.conv is None else layer.conv.kernel
        bound = 1 / math.sqrt(layer.in_features * math.prod(kernel))  # kaiming_uniform with a = √5
        down = torch.empty(rank, layer.in_features, *kernel, device=generator.device).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(device))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank, *(1 for _ in kernel), device=device))

    @property
    def scale(self) -> float:
        """What up @ down is multiplied with."""
        return self.alpha / self.rank

    def __call__(self, x: Tensor) -> Tensor:
        """up(down(x)) · scale."""
        up = self.up.to(x.dtype)
        middle = self._middle(x, self.down.to(x.dtype)) * self.scale
        return functional.linear(middle, up) if self.layer.conv is None else functional.conv2d(middle, up)

    def onto(self, x: Tensor, out: Tensor) -> Tensor:
        """`out` + the delta of `x` in one product: no full-size tensor is made for the delta alone."""
        middle, up = self._middle(x.to(out.dtype), self.down.to(out.dtype)), self.up.to(out.dtype)
        if self.layer.conv is None:
            flat = out.reshape(-1, out.shape[-1])
            total = torch.addmm(flat, middle.reshape(-1, self.rank), up.t(), alpha=self.scale)
            return total.view(out.shape).to(out.dtype)
        if not out.is_contiguous():  # channels last: its pixels cannot be flattened without a copy
            return out + functional.conv2d(middle * self.scale, up)
        spread = up.flatten(1).expand(out.shape[0], -1, -1)
        total = torch.baddbmm(out.flatten(2), spread, middle.flatten(2), alpha=self.scale)
        return total.view(out.shape).to(out.dtype)

    def weight(self, precision: Precision = "fp32") -> Tensor:
        """ΔW = up @ down · alpha/rank of the factors as a file of that precision holds them, float32."""
        down, up = (rounded(factor.detach().float(), precision) for factor in (self.down, self.up))
        alpha = float(rounded(torch.tensor(self.alpha), precision))
        return (up.flatten(1) @ down.flatten(1) * (alpha / self.rank)).view(up.shape[0], *down.shape[1:])

    def _middle(self, x: Tensor, down: Tensor) -> Tensor:
        conv = self.layer.conv
        return functional.linear(x, down) if conv is None else functional.conv2d(x, down, None, conv.stride, conv.padding, conv.dilation)


class Lora:
    """Factors on a model's layers: the `Network` of kind "lora"."""

    def __init__(self, factors: Sequence[Factors], metadata: Mapping[str, str]) -> None:
        self._factors = {factor.layer.key: factor for factor in factors}
        self._metadata = dict(metadata)

    def keys(self) -> Sequence[str]:
        """See `Network.keys`."""
        return tuple(self._factors)

    def parameters(self, part: Part) -> list[nn.Parameter]:
        """See `Network.parameters`."""
        return [weight for factor in self._factors.values() if factor.layer.part == part for weight in (factor.down, factor.up)]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """See `Network.attached`."""
        with ExitStack() as undo:
            for factor in self._factors.values():
                undo.callback(factor.layer.attach(factor))
            yield

    def tensors(self) -> dict[str, Tensor]:
        """See `Network.tensors`: lora_down, lora_up and alpha of each key."""
        held: dict[str, Tensor] = {}
        for key, factor in self._factors.items():
            down, up = (weight.detach().float().cpu().clone() for weight in (factor.down, factor.up))
            if factor.layer.conv is None and stored_as_convolution(key):
                down, up = down[:, :, None, None], up[:, :, None, None]
            held[f"{key}.lora_down.weight"] = down.contiguous()
            held[f"{key}.lora_up.weight"] = up.contiguous()
            held[f"{key}.alpha"] = torch.tensor(factor.alpha)
        return held

    def load_(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the factors of a file of this network's keys and ranks, its alpha included; nothing changes if one is wrong."""
        found = {key: self._read(key, factor, tensors) for key, factor in self._factors.items()}
        for key, (down, up, alpha) in found.items():
            factor = self._factors[key]
            factor.down.data.copy_(down)
            factor.up.data.copy_(up)
            factor.alpha = alpha

    def delta(self, key: str, precision: Precision = "fp32") -> Tensor:
        """See `Network.delta`."""
        return self._factors[key].weight(precision)

    def metadata(self) -> dict[str, str]:
        """See `Network.metadata`."""
        return dict(self._metadata)

    @staticmethod
    def _read(key: str, factor: Factors, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, float]:
        names = (f"{key}.lora_down.weight", f"{key}.lora_up.weight")
        if missing := [name for name in names if name not in tensors]:
            raise ConfigError(say("The file lacks {keys}; it is of another kind of network or of another model.", keys=missing))
        shaped = []
        for name, weight in zip(names, (factor.down, factor.up), strict=True):
            tensor = tensors[name]
            if tensor.numel() != weight.numel() or tensor.shape[:2] != weight.shape[:2]:
                held, wanted = list(tensor.shape), list(weight.shape)
                raise ConfigError(say("{key} is {held} in the file and {wanted} here: set the same ranks.", key=name, held=str(held), wanted=str(wanted)))
            shaped.append(tensor.reshape(weight.shape))
        alpha = tensors.get(f"{key}.alpha")
        return shaped[0], shaped[1], float(factor.rank if alpha is None else alpha)


def make(layers: Sequence[Layer], rank: int, alpha: float, conv_rank: int, conv_alpha: float, device: torch.device, generator: torch.Generator) -> Lora:
    """Factors on the transformers' layers; with `conv_rank` on the residual blocks' too, as sd-scripts chooses.

    There, kernels larger than 1×1 get the convolution rank, linear layers and 1×1 kernels the linear one.
    """
    factors: list[Factors] = []
    for layer in layers:
        spatial = layer.conv is not None and layer.conv.kernel != (1, 1)
        if spatial and conv_rank:
            factors.append(Factors(layer, conv_rank, conv_alpha, device, generator))
        elif not spatial and (layer.site == "attention" or conv_rank):
            factors.append(Factors(layer, rank, alpha, device, generator))
    return Lora(factors, _metadata(rank, alpha, conv_rank, conv_alpha))


def _metadata(rank: int, alpha: float, conv_rank: int, conv_alpha: float) -> dict[str, str]:
    known = {"ss_network_module": "networks.lora", "ss_network_dim": str(rank), "ss_network_alpha": str(alpha)}
    if conv_rank:
        known["ss_network_args"] = json.dumps({"conv_dim": str(conv_rank), "conv_alpha": str(conv_alpha)})
    return known
