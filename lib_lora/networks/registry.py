"""The kinds of network there are, and what each of them can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from lib_lora.core.registry import Registry
from lib_lora.model import Layer, Part, Precision

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Network(Protocol):
    """Trainable low-rank (or other) changes of a model's layers. Its parameters are float32."""

    def keys(self) -> Sequence[str]:
        """The file keys of the layers it changes, in file order."""
        ...

    def parameters(self, part: Part) -> list[nn.Parameter]:
        """What learns on that part; empty when the part is not trained."""
        ...

    def attached(self) -> AbstractContextManager[None]:
        """While open, the model computes with this network; afterwards it is as before."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The file's tensors, float32 on the CPU: the network exactly as it acts when attached."""
        ...

    def load_(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what a file of the same keys and sizes holds; a ConfigError says what does not fit."""
        ...

    def delta(self, key: str, precision: Precision = "fp32") -> Tensor:
        """ΔW of one layer at strength 1 → (out, in) or (out, in, kh, kw), float32; as a file of that precision gives it back."""
        ...

    def metadata(self) -> dict[str, str]:
        """ss_network_module, ss_network_dim, ss_network_alpha, ss_network_args as sd-scripts writes them."""
        ...


Build = Callable[[Sequence[Layer], Any, "torch.device", "torch.Generator"], Network]
networks: Registry[Build] = Registry("network", "lib_lora.networks.kinds")
