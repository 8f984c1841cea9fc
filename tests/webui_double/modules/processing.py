import itertools
import random
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from modules import paths_internal, sd_models, shared
from modules.prompt_parser import SdConditioning
from PIL import Image


class StableDiffusionProcessing:
    cached_c, cached_uc = [None, None], [None, None]

    def __init__(self, **values):
        self.disable_extra_networks = False
        self.cached_c, self.cached_uc = StableDiffusionProcessing.cached_c, StableDiffusionProcessing.cached_uc
        vars(self).update(values)

    def close(self):
        pass


class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    cached_hr_c, cached_hr_uc = [None, None], [None, None]


def cond(p, cache, prompt, networks):
    key = (prompt, networks, shared.opts.CLIP_stop_at_last_layers)
    if cache[0] != key:
        cache[:] = [key, shared.sd_model.get_learned_conditioning(SdConditioning([prompt], width=p.width, height=p.height))]
    return cache[1]


def process_images(p):
    """Euler on the loaded model, reseeding torch, counting in `state` and writing params.txt, as the WebUI does."""
    import networks

    sd, state = shared.sd_model, shared.state
    assert shared.opts.sd_model_checkpoint == sd.sd_checkpoint_info.title, "the WebUI would load another checkpoint now"
    prompt = re.sub(r"<lora:[^>]*>", "", p.prompt)
    found = re.findall(r"<lora:(\w+):([\d.]+)>", p.prompt)
    if not p.disable_extra_networks:
        strengths = [float(strength) for _, strength in found]
        networks.load_networks([name for name, _ in found], strengths, strengths, [None] * len(found))
    if not shared.cmd_opts.no_prompt_history:
        Path(paths_internal.data_path, "params.txt").write_text(p.prompt, encoding="utf-8")
    torch.manual_seed(p.seed)
    random.seed(p.seed)
    state.job_count = 1
    sd_models.apply_token_merging(sd, shared.opts.token_merging_ratio)
    with torch.no_grad():
        c, uc = cond(p, p.cached_c, prompt, tuple(found)), cond(p, p.cached_uc, p.negative_prompt, tuple(found))
        sd.alphas_cumprod = sd.alphas_cumprod_original.clone()
        alphas = sd.alphas_cumprod
        x = torch.randn(1, 4, p.height // 8, p.width // 8)
        steps = torch.linspace(999, 0, p.steps + 1).long()
        for t, following in itertools.pairwise(steps):
            state.sampling_step += 1
            a, b, times = alphas[t], alphas[following], t[None]
            out, base = sd.apply_model(x, times, c), sd.apply_model(x, times, uc)
            out = base + p.cfg_scale * (out - base)
            eps = a.sqrt() * out + (1 - a).sqrt() * x if sd.parameterization == "v" else out
            x = b.sqrt() * ((x - (1 - a).sqrt() * eps) / a.sqrt()).clamp(-4, 4) + (1 - b).sqrt() * eps
        image = sd.first_stage_model.decode(x / sd.scale_factor)[0].movedim(0, -1)
    state.job_no += 1
    pixels = ((image.tanh() + 1) * 127.5).numpy().astype(np.uint8)
    return SimpleNamespace(images=[] if state.interrupted else [Image.fromarray(pixels)])
