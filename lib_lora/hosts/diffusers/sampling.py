"""A picture from a prompt, by diffusers' Euler sampler; the same seed gives the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from lib_lora.hosts.diffusers import tags
from lib_lora.model import Prediction, SizeCond, TextCond

if TYPE_CHECKING:
    from diffusers import EulerDiscreteScheduler
    from torch import Tensor

    from lib_lora.hosts.base import PictureRequest
    from lib_lora.hosts.diffusers.model import DiffusersModel

LATENT_STEP = 8


def sample(model: DiffusersModel, request: PictureRequest, loras: Path) -> Image.Image:
    """Sample with whatever networks hang on the model, and those that the prompt names from the folder `loras`."""
    prompt, wanted = tags.parse(request.prompt)
    negative, more = tags.parse(request.negative)
    with torch.no_grad(), tags.applied(model.layers(), (*wanted, *more), loras):
        cond = _conditioning(model, prompt, negative, request.cfg)
        latents = _denoised(model, request, cond)
        pixels = model.decode(latents)
    return _image(pixels[0])


def _conditioning(model: DiffusersModel, prompt: str, negative: str, cfg: float) -> TextCond:
    """Negative and prompt in one batch, so that both have as many chunks; the prompt alone where nothing guides."""
    if cfg == 1:
        return model.encode_texts([prompt])
    cond = model.encode_texts([negative, prompt])
    if cond.pooled is not None and not negative.strip():
        # What SDXL was trained with as "no text", and what the WebUI does.
        cond.context[0] = 0
        cond.pooled[0] = 0
    return cond


def _denoised(model: DiffusersModel, request: PictureRequest, cond: TextCond) -> Tensor:
    width, height = (max(side // LATENT_STEP, 1) for side in request.size)
    scheduler = _scheduler(model)
    scheduler.set_timesteps(request.steps, device=model.device())
    generator = torch.Generator().manual_seed(request.seed)
    # On the CPU, so that a seed means the same picture on every device.
    noise = torch.randn((1, 4, height, width), generator=generator)
    latents = noise.to(model.device()) * scheduler.init_noise_sigma
    batch = cond.context.shape[0]
    whole = (width * LATENT_STEP, height * LATENT_STEP)
    sizes = [SizeCond(whole, (0, 0), whole)] * batch
    for step in scheduler.timesteps:
        noisy = scheduler.scale_model_input(latents, step)
        found = model.predict(noisy.expand(batch, -1, -1, -1), step.expand(batch), cond, sizes)
        if batch == 2:
            away, toward = found.chunk(2)
            found = away + request.cfg * (toward - away)
        latents = scheduler.step(found, step, latents, generator=generator, return_dict=False)[0]
    return latents


def _scheduler(model: DiffusersModel) -> EulerDiscreteScheduler:
    from diffusers import EulerDiscreteScheduler

    first, last = model.betas
    zero = model.facts.zero_terminal
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=first,
        beta_end=last,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction" if model.facts.prediction is Prediction.V else "epsilon",
        rescale_betas_zero_snr=zero,
        # With a schedule that ends in pure noise the first step has to be the last one of it.
        timestep_spacing="trailing" if zero else "linspace",
    )


def _image(pixels: Tensor) -> Image.Image:
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
