"""The optimizers there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lib_lora.core.messages import Message
from lib_lora.core.registry import Registry

if TYPE_CHECKING:
    import torch

# groups ({"params", "lr", "name"}), options, device → the optimizer and what the user should know of the choice.
Build = Callable[[list[dict[str, Any]], Any, "torch.device"], "tuple[torch.optim.Optimizer, tuple[Message, ...]]"]
optimizers: Registry[Build] = Registry("optimizer", "lib_lora.training.optimizer_kinds")
