"""Why a loaded model or the way the WebUI was started cannot be trained, each with what to change."""

from __future__ import annotations

from typing import Any

from lib_lora.core.messages import Message, say
from lib_lora.hosts.base import Lease
from lib_lora.hosts.webui import facts, networks


def find(sd: Any | None, lease: Lease) -> list[Message]:
    """Everything that stands against training this model so; empty when it can be done."""
    found = [*_program(), *_model(sd)]
    if sd is not None and not found:
        found += _memory(sd, lease)
    return found


def _program() -> list[Message]:
    from modules import devices, shared

    found: list[Message] = []
    if shared.cmd_opts.lowvram:
        found.append(
            say("--lowvram moves parts of the model away while it computes, which training cannot follow. Start the WebUI with --medvram or without either.")
        )
    if shared.cmd_opts.precision == "half":
        found.append(say("--precision half rounds too coarsely to train. Start the WebUI without it."))
    if devices.fp8:
        found.append(say("The model is stored in fp8, which is too coarse to train on. Set Settings > Optimizations > FP8 weight to Disable."))
    if networks.builtin() is None:
        found.append(say("The WebUI's own Lora extension is switched off. Switch it on under Extensions: it is what uses the trained file."))
    return found


def _model(sd: Any | None) -> list[Message]:
    if sd is None:
        return [say("No checkpoint is loaded. Choose one at the top of the page.")]
    if getattr(sd, "is_sd3", False):
        return [say("SD3 cannot be trained yet. Load a checkpoint of SD1, SD2 or SDXL.")]
    kind = _special(sd)
    if kind is not None:
        return [say("The loaded checkpoint is of a special kind ({kind}). Load an ordinary SD1, SD2 or SDXL checkpoint.", kind=kind)]
    if facts.family(sd) is None:
        return [say("The loaded checkpoint is of a family that is not known here. Load one of SD1, SD2 or SDXL.")]
    return []


def _special(sd: Any) -> Message | None:
    unet = sd.model.diffusion_model
    channels = getattr(unet, "in_channels", 4)
    if getattr(sd, "cond_stage_key", None) == "edit" or channels == 8:
        return say("instruct-pix2pix")
    if getattr(sd, "is_sdxl_inpaint", False) or channels == 9:
        return say("inpainting")
    if getattr(sd, "depth_model", None) is not None or channels == 5:
        return say("depth")
    if getattr(sd, "noise_augmentor", None) is not None:
        return say("unCLIP")
    conditioner = getattr(sd, "conditioner", None)
    if conditioner is not None and sum(hasattr(embedder, "wrapped") for embedder in conditioner.embedders) != 2:
        return say("SDXL refiner")
    if conditioner is None and not _clip(sd.cond_stage_model):
        return say("AltDiffusion")
    return None


def _clip(wrapper: Any) -> bool:
    wrapped = getattr(wrapper, "wrapped", wrapper)
    return hasattr(getattr(wrapped, "transformer", None), "text_model") or hasattr(getattr(wrapped, "model", None), "transformer")


def _memory(sd: Any, lease: Lease) -> list[Message]:
    if getattr(sd, "lowvram", False) and lease.trains_text:
        return [
            say(
                "With --medvram the text encoders leave the card while the UNet computes, so only the UNet can learn. "
                "Set the text encoder learning rate to 0, or start the WebUI without --medvram."
            )
        ]
    return []
