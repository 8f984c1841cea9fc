"""A small checkpoint in SD1's topology with random weights: what the embedded default trains on."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.core.files import write_atomic, write_text
from lib_lora.demo import words
from lib_lora.demo.tables import TextSize, UNetSize, VAESize, clip, unet, vae

if TYPE_CHECKING:
    from torch import Tensor

NAME = "demo-sd1"
SEED = 20240817
CONTEXT = 64
TEXT = "cond_stage_model.transformer."
CLIP_HEADS = 4


def make(folder: Path, seed: int = SEED) -> Path:
    """Write `demo-sd1.safetensors`, its yaml and its `clip/` folder; returns the checkpoint. What is there is kept."""
    import torch

    from lib_lora.demo import weights

    path = folder / f"{NAME}.safetensors"
    rows = write_clip(folder / "clip", CONTEXT, 12)
    # The WebUI looks for the text encoder where its yaml says, from its own folder: so the path is absolute, and
    # written anew in case the folder was moved.
    write_text(path.with_suffix(".yaml"), yaml_text(folder / "clip"))
    if not path.is_file():
        table = chain(unet(UNetSize(context=CONTEXT)), vae(VAESize()), clip(TextSize(rows, CONTEXT), TEXT))
        write_tensors(path, weights.fill(table, seed, torch.float16))
    return path


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file, whole or not at all."""
    from safetensors.torch import save

    content = save(tensors, metadata={"format": "pt"})
    write_atomic(path, lambda file: file.write(content) and None)


def write_clip(folder: Path, width: int, layers: int) -> int:
    """A text encoder's folder as transformers reads it: config and tokenizer. Returns the number of tokens."""
    from lib_lora.hosts.diffusers.vocabulary import write_vocabulary

    rows = write_vocabulary(folder, words.merges())
    config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": rows,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": CLIP_HEADS,
        "projection_dim": width,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "torch_dtype": "float32",
    }
    write_text(folder / "config.json", json.dumps(config, indent=1))
    return rows


def yaml_text(clip_folder: Path) -> str:
    """The LDM config beside the checkpoint (JSON, which every yaml reader reads)."""
    return json.dumps({"model": {"target": "ldm.models.diffusion.ddpm.LatentDiffusion", "params": _params(clip_folder)}}, indent=1)


def _params(clip_folder: Path) -> dict[str, Any]:
    size, small = UNetSize(context=CONTEXT), VAESize()
    unet_params = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": size.channels,
        "attention_resolutions": [4, 2, 1],
        "num_res_blocks": size.blocks,
        "channel_mult": list(size.multipliers),
        "num_heads": 8,
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": size.context,
        "use_checkpoint": False,
        "legacy": False,
    }
    ddconfig = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": small.channels,
        "ch_mult": list(small.multipliers),
        "num_res_blocks": small.blocks,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    return {
        "linear_start": 0.00085,
        "linear_end": 0.012,
        "num_timesteps_cond": 1,
        "log_every_t": 200,
        "timesteps": 1000,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": 64,
        "channels": 4,
        "cond_stage_trainable": False,
        "conditioning_key": "crossattn",
        "monitor": "val/loss_simple_ema",
        "scale_factor": 0.18215,
        "use_ema": False,
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet_params},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {"embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": ddconfig, "lossconfig": {"target": "torch.nn.Identity"}},
        },
        "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder", "params": {"version": str(clip_folder.resolve())}},
    }
