"""A preview: one picture through the WebUI's own sampler, with what is being trained still on the model."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.base import PictureRequest
from lib_lora.hosts.webui import program
from lib_lora.hosts.webui.model import WebUIModel
from lib_lora.model import Prediction

if TYPE_CHECKING:
    from PIL import Image

SAMPLER = "DPM++ 2M"


def sample(model: WebUIModel, request: PictureRequest) -> Image.Image:
    """One picture in memory; no file is written, no setting kept. The caller holds the queue.

    The sampler gets the prediction that is trained, even where the WebUI itself would take another for this file.
    """
    import torch
    from modules import processing, shared

    gone = model.changed()
    if gone is not None:
        raise HostError(gone)
    sd = model.sd
    with ExitStack() as stack:
        stack.callback(model.place, *model.placed)
        model.place("unet", "te", "vae")
        stack.callback(model.settle)
        stack.enter_context(program.randomness_kept())
        stack.enter_context(program.state_kept())
        stack.enter_context(program.options_pinned(_options(model)))
        stack.enter_context(program.attributes_kept(shared.cmd_opts, no_prompt_history=True))
        stack.enter_context(program.attributes_kept(sd, parameterization="v" if model.facts.prediction is Prediction.V else "eps"))
        stack.enter_context(program.value_kept(sd, "alphas_cumprod"))
        stack.enter_context(torch.no_grad())
        try:
            processed = processing.process_images(_job(sd, request))
        except Exception as error:  # the sampler runs code of many authors
            raise HostError(say("The preview could not be sampled: {reason}", reason=str(error) or type(error).__name__)) from error
    if not processed.images:
        raise HostError(say("The preview was interrupted."))
    gone = model.changed()
    if gone is not None:
        raise HostError(gone)
    return processed.images[0]


def _job(sd: Any, request: PictureRequest) -> Any:
    from modules import processing

    job = processing.StableDiffusionProcessingTxt2Img(
        sd_model=sd,
        prompt=request.prompt,
        negative_prompt=request.negative,
        seed=request.seed,
        steps=request.steps,
        cfg_scale=request.cfg,
        width=request.size[0],
        height=request.size[1],
        sampler_name=SAMPLER,
        do_not_save_samples=True,
        do_not_save_grid=True,
        restore_faces=False,
        tiling=False,
    )
    # The prompt's own networks would be written into the weights, and its encodings are of the network as it is now.
    job.disable_extra_networks = True
    job.cached_c, job.cached_uc = [None, None], [None, None]
    job.cached_hr_c, job.cached_hr_uc = [None, None], [None, None]
    return job


def _options(model: WebUIModel) -> dict[str, Any]:
    # The checkpoint and what would load it again, should the user have set something else meanwhile; and what would
    # make the picture another one than the network's.
    from modules import devices, shared

    pinned: dict[str, Any] = {
        "sd_model_checkpoint": model.sd.sd_checkpoint_info.title,
        "sd_unet": "None",
        "live_previews_enable": False,
        "token_merging_ratio": 0.0,
        "CLIP_stop_at_last_layers": model.facts.clip_skip,
        "sd_noise_schedule": "Zero Terminal SNR" if model.facts.zero_terminal else "Default",
    }
    if not devices.fp8:
        pinned["fp8_storage"] = "Disable"
    # By attribute: `data` holds only what the user has saved, the rest are defaults kept elsewhere.
    return {name: value for name, value in pinned.items() if hasattr(shared.opts, name)}
