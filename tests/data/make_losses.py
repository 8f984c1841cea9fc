"""Makes losses.safetensors by executing sd-scripts' own functions on drawn tensors; needs a clone of it and diffusers.

    python tests/data/make_losses.py PATH/TO/sd-scripts/.git

The functions are taken out of the clone's commit by name and run as they are; nothing of theirs is kept here.
"""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import DDPMScheduler
from safetensors.torch import save_file

COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"
SEED, BATCH, OFFSET, GAMMA = 20240, 6, 0.1, 5.0


def functions(git: str, path: str, names: set[str], known: dict[str, Any]) -> SimpleNamespace:
    """Those functions of a file, executed with `known` as their globals."""
    source = subprocess.run(["git", f"--git-dir={git}", "show", f"{COMMIT}:{path}"], check=True, capture_output=True, text=True).stdout
    wanted = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in wanted:  # annotations name types of modules that need not be imported for this
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
    space = dict(known)
    exec(compile(ast.Module(body=wanted, type_ignores=[]), path, "exec"), space)
    return SimpleNamespace(**{name: space[name] for name in names})


def main(git: str) -> None:
    base: dict[str, Any] = {"torch": torch, "math": math, "logger": SimpleNamespace(info=lambda text: None)}
    custom = functions(
        git,
        "library/custom_train_functions.py",
        {"prepare_scheduler_for_custom_training", "apply_snr_weight", "apply_noise_offset", "fix_noise_scheduler_betas_for_zero_terminal_snr"},
        base,
    )
    util = functions(
        git,
        "library/train_util.py",
        {"get_timesteps", "get_noise_noisy_latents_and_timesteps", "conditional_loss"},
        base | {"custom_train_functions": custom},
    )
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, clip_sample=False)
    custom.prepare_scheduler_for_custom_training(scheduler, torch.device("cpu"))
    draw = torch.Generator().manual_seed(SEED)
    latents = torch.randn(BATCH, 4, 8, 8, generator=draw) * 0.9
    predicted = torch.randn(BATCH, 4, 8, 8, generator=draw)
    stored = {"alphas": scheduler.alphas_cumprod.clone(), "latents": latents, "predicted": predicted}

    for offset in (0.0, OFFSET):
        args = Namespace(
            noise_offset=offset,
            noise_offset_random_strength=False,
            adaptive_noise_scale=None,
            multires_noise_iterations=None,
            min_timestep=None,
            max_timestep=None,
            ip_noise_gamma=None,
        )
        torch.manual_seed(SEED + 1)
        noise, noisy, t = util.get_noise_noisy_latents_and_timesteps(args, scheduler, latents)
        torch.manual_seed(SEED + 1)
        name = f"offset{offset:g}"
        stored |= {f"{name}.noise": noise, f"{name}.noisy": noisy, f"{name}.t": t, f"{name}.plain": torch.randn_like(latents)}
        stored[f"{name}.draw"] = torch.randn(BATCH, 4, 1, 1)
        for kind in ("epsilon", "v"):
            target = scheduler.get_velocity(latents, noise, t) if kind == "v" else noise
            each = util.conditional_loss(predicted.float(), target.float(), "l2", "none", None).mean(dim=[1, 2, 3])
            weighed = custom.apply_snr_weight(each, t, scheduler, GAMMA, kind == "v")
            stored |= {f"{name}.{kind}.target": target.clone(), f"{name}.{kind}.loss": each.mean(), f"{name}.{kind}.each": each}
            stored |= {f"{name}.{kind}.min_snr.loss": weighed.mean(), f"{name}.{kind}.min_snr.each": weighed}

    steps = torch.tensor([0, 1, 100, 200, 500, 998, 999])
    stored["steps"] = steps
    for kind in ("epsilon", "v"):
        stored[f"weights.{kind}"] = custom.apply_snr_weight(torch.ones(len(steps)), steps, scheduler, GAMMA, kind == "v")
    custom.fix_noise_scheduler_betas_for_zero_terminal_snr(scheduler)
    stored["alphas.zero_terminal"] = scheduler.alphas_cumprod.clone()
    about = {"sd-scripts": COMMIT, "command": "python tests/data/make_losses.py PATH/TO/sd-scripts/.git", "torch": torch.__version__}
    save_file({key: value.contiguous() for key, value in stored.items()}, Path(__file__).with_name("losses.safetensors"), about)


if __name__ == "__main__":
    main(sys.argv[1])
