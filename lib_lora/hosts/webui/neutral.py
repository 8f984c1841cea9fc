"""What earlier pictures and other extensions leave on the model, set aside while we train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def neutral(sd: Any) -> Iterator[int]:
    """While open, the model computes as its checkpoint says; yields how many layers had been hooked by others.

    Set aside and put back: loaded hypernetworks, tiling, token merging, an alternative UNet, and instance forwards
    (hypertile leaves them on after a picture, other extensions too).
    """
    from modules import sd_hijack, sd_models, sd_unet, shared

    hypernetworks = list(shared.loaded_hypernetworks)
    tiling = sd_hijack.model_hijack.circular_enabled
    merging = getattr(sd, "applied_token_merged_ratio", 0)
    unet = sd_unet.current_unet_option
    forwards = [(module, vars(module)["forward"]) for module in sd.modules() if "forward" in vars(module)]
    try:
        for module, _ in forwards:
            del module.forward
        settle(sd)
        yield sum(not hasattr(module, "__webui_hypertile_params") for module, _ in forwards)
    finally:
        settle(sd)
        for module, forward in forwards:
            module.forward = forward
        if merging:
            sd_models.apply_token_merging(sd, merging)
        if unet is not None:
            sd_unet.apply_unet(unet.label)
        sd_hijack.model_hijack.apply_circular(tiling)
        shared.loaded_hypernetworks[:] = hypernetworks


def settle(sd: Any) -> None:
    """Undo what a picture may have switched on again."""
    from modules import sd_hijack, sd_models, sd_unet, shared

    shared.loaded_hypernetworks.clear()
    sd_hijack.model_hijack.apply_circular(False)
    sd_models.apply_token_merging(sd, 0)
    if sd_unet.current_unet_option is not None:
        sd_unet.apply_unet("None")
