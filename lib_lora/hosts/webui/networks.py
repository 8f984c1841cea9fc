"""The WebUI's built-in Lora extension: taking its networks out of the weights, reading files with it, telling it of new ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def builtin() -> ModuleType | None:
    """The extension's module `networks`, None where it is off. Another extension's package of that name is not it."""
    module = sys.modules.get("networks")
    return module if hasattr(module, "network_apply_weights") and hasattr(module, "load_network") else None


def marked(sd: Any) -> list[Any]:
    """Layers whose weights hold networks right now."""
    return [layer for layer in sd.modules() if getattr(layer, "network_current_names", ())]


def clear(sd: Any) -> None:
    """Take every network out of the weights, exactly: the extension keeps the originals and copies them back."""
    nets = builtin()
    if nets is None:
        return
    if nets.loaded_networks:
        nets.load_networks([])
    _apply(nets, marked(sd))


@contextmanager
def cleared(sd: Any) -> Iterator[None]:
    """While open, the weights are the checkpoint's own; then the networks that were in them are put in again.

    Not where one of their files was replaced meanwhile: then the next picture loads what it needs from the new file.
    """
    nets = builtin()
    if nets is None:
        yield
        return
    before, layers = list(nets.loaded_networks), marked(sd)
    clear(sd)
    try:
        yield
    finally:
        clear(sd)
        if before and not any(_replaced(net) for net in before):
            nets.loaded_networks[:] = before
            _apply(nets, layers)


def deltas(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Read a file as the extension does for a prompt → (file key, ΔW at strength 1) for each layer it found.

    Its loader keeps plain LoRA factors in the device's precision; here in float32, so that what is compared is the
    file. Nothing of it stays loaded.
    """
    import network
    import torch

    nets = builtin()
    with _full_precision():
        net = nets.load_network(path.stem, network.NetworkOnDisk(path.stem, str(path)))
    net.te_multiplier = net.unet_multiplier = 1.0
    for module in net.modules.values():
        with torch.no_grad():
            update = module.calc_updown(_target(module))[0]
        yield module.network_key.partition(".")[0], update.detach().float().cpu()


def forget(paths: Sequence[Path], sd: Any | None) -> None:
    """List new files, drop what is cached of changed ones and have them applied again where they are applied now.

    The extension compares names and strengths only: a layer that holds the old content would keep it.
    """
    nets = builtin()
    if nets is None:
        return
    nets.list_available_networks()
    files = {path.resolve() for path in paths}
    names = {path.stem for path in paths}
    names |= {entry.alias for entry in nets.available_networks.values() if Path(entry.filename).resolve() in files}
    for name in [name for name, net in nets.networks_in_memory.items() if name in names or _of(net, files)]:
        nets.networks_in_memory.pop(name, None)
    for layer in marked(sd) if sd is not None else ():
        if any(entry[0] in names for entry in layer.network_current_names):
            layer.network_current_names = (("", 0.0, 0.0, None),)
    reset_conditions()


def reset_conditions() -> None:
    """Empty the caches of encoded prompts, which know neither a file's content nor what was trained."""
    from modules.processing import StableDiffusionProcessing, StableDiffusionProcessingTxt2Img

    for owner, name in (
        (StableDiffusionProcessing, "cached_c"),
        (StableDiffusionProcessing, "cached_uc"),
        (StableDiffusionProcessingTxt2Img, "cached_hr_c"),
        (StableDiffusionProcessingTxt2Img, "cached_hr_uc"),
    ):
        getattr(owner, name)[:] = [None, None]


def _apply(nets: ModuleType, layers: Iterable[Any]) -> None:
    import torch

    with torch.no_grad():  # the extension's restoring is not, and raises on weights that ask for gradients
        for layer in layers:
            nets.network_apply_weights(layer)


def _replaced(net: Any) -> bool:
    file = Path(net.network_on_disk.filename)
    return not file.is_file() or file.stat().st_mtime > net.mtime


def _of(net: Any, files: set[Path]) -> bool:
    return Path(net.network_on_disk.filename).resolve() in files


def _target(module: Any) -> Tensor:
    # On the CPU in float32: on a card the WebUI allows TF32, whose rounding is coarser than a file's.
    import torch

    layer = module.sd_module
    weight = layer.weight if hasattr(layer, "weight") else layer.out_proj.weight
    if getattr(module, "dora_scale", None) is not None:
        return weight.detach().to("cpu", torch.float32)
    return torch.empty(weight.shape)


@contextmanager
def _full_precision() -> Iterator[None]:
    import torch
    from modules import devices

    dtype = devices.dtype
    devices.dtype = torch.float32
    try:
        yield
    finally:
        devices.dtype = dtype
