"""Freezing the host's model, and proof that it goes back as it came."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say

SAMPLES = 32  # values of each tensor that the cheap probe looks at


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While open, nothing in `model` asks for gradients and everything is in evaluation mode; then the flags go back.

    Gradients that earlier work left behind are dropped: they only hold memory, and no one reads them.
    """
    grads = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        freeze(model)
        yield
    finally:
        for parameter, flag in grads:
            parameter.grad = None
            parameter.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode


def freeze(model: nn.Module) -> None:
    """No gradients asked, none kept, evaluation mode. Flags are set one by one: some hosts' `train()` does nothing."""
    for parameter in model.parameters():
        parameter.grad = None
        parameter.requires_grad_(False)
    for module in model.modules():
        module.training = False


def probe(model: nn.Module) -> dict[str, tuple[object, ...]]:
    """Names, types, shapes and some values of each tensor: cheap enough for each run (one copy from the device)."""
    tensors = dict(model.state_dict(keep_vars=True))
    samples = [_sample(tensor) for tensor in tensors.values()]
    return {name: (tensor.dtype, tuple(tensor.shape), values) for (name, tensor), values in zip(tensors.items(), _to_cpu(samples), strict=True)}


def fingerprint(model: nn.Module) -> str:
    """A short digest made of what `probe` sees."""
    digest = hashlib.sha256()
    for name, seen in sorted(probe(model).items()):
        digest.update(repr((name, *seen)).encode())
    return digest.hexdigest()[:16]


def full_digest(model: nn.Module) -> dict[str, tuple[object, ...]]:
    """The digest of every byte of each tensor: for proofs, not for each run."""
    found: dict[str, tuple[object, ...]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        found[name] = (tensor.dtype, tuple(tensor.shape), hashlib.sha256(content).hexdigest())
    return found


@contextmanager
def unchanged(model: nn.Module, look: Callable[[nn.Module], dict[str, tuple[object, ...]]] = probe) -> Iterator[None]:
    """Raise a HostError at the end where a tensor of the model is not what it was; an error on its way goes first."""
    before = look(model)
    yield
    after = look(model)
    # As text, because NaN is not equal to itself and some checkpoints carry a few.
    wrong = sorted(name for name in before.keys() | after.keys() if repr(before.get(name)) != repr(after.get(name)))
    if wrong:
        raise HostError(
            say(
                "{n} tensors of the model are not as they were before the training ({name} first). Load the checkpoint again.",
                n=len(wrong),
                name=wrong[0],
            )
        )


def _sample(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLES)][:SAMPLES].to(torch.float64 if flat.device.type == "cpu" else torch.float32)


def _to_cpu(samples: list[Tensor]) -> Iterator[tuple[float, ...]]:
    # One transfer for each device instead of one for each tensor.
    by_device: dict[torch.device, list[int]] = {}
    for index, sample in enumerate(samples):
        by_device.setdefault(sample.device, []).append(index)
    found: dict[int, tuple[float, ...]] = {}
    for indices in by_device.values():
        joined = torch.cat([samples[index] for index in indices]).cpu().tolist()
        start = 0
        for index in indices:
            found[index] = tuple(joined[start : start + samples[index].numel()])
            start += samples[index].numel()
    return (found[index] for index in range(len(samples)))
