"""Tensor shapes of an LDM checkpoint → the configs of diffusers' and transformers' classes that hold the same tensors."""

from __future__ import annotations

from typing import Any

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.diffusers.checkpoint import UNET, VAE, Checkpoint, Shapes
from lib_lora.model import Family

SIZE_EMBEDDING = 256  # width of each of SDXL's six size numbers
OPENCLIP_LAST = 23  # SD2 reads the layer before the last: the 24th is never computed


def unet_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The config of a UNet2DConditionModel."""
    shapes = checkpoint.shapes
    levels = _unet_levels(shapes)
    channels = [level[0] for level in levels]
    depths = [level[1] for level in levels]
    heads, head_channels = checkpoint.heads
    context = next((shape[1] for key, shape in shapes.items() if key.startswith(UNET) and key.endswith("attn2.to_k.weight")), 0)
    proj_in = next((shape for key, shape in shapes.items() if key.startswith(UNET) and key.endswith("1.proj_in.weight")), (0, 0))
    sizes = shapes.get(f"{UNET}label_emb.0.0.weight")
    extra = {"addition_embed_type": "text_time", "addition_time_embed_dim": SIZE_EMBEDDING, "projection_class_embeddings_input_dim": sizes[1]} if sizes else {}
    return {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": channels,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "layers_per_block": levels[0][2],
        "transformer_layers_per_block": [max(depth, 1) for depth in depths[:-1]] + [max(_depth(shapes, f"{UNET}middle_block.1."), 1)],
        "cross_attention_dim": context,
        # diffusers' name is historical: it is the number of heads.
        "attention_head_dim": heads or [max(channel // head_channels, 1) for channel in channels],
        "use_linear_projection": len(proj_in) == 2,
        **extra,
    }


def vae_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The config of an AutoencoderKL."""
    shapes = checkpoint.shapes
    channels: list[int] = []
    while (key := f"{VAE}encoder.down.{len(channels)}.block.0.conv1.weight") in shapes:
        channels.append(shapes[key][0])
    blocks = _count(shapes, f"{VAE}encoder.down.0.block.", ".conv1.weight")
    if not channels or f"{VAE}quant_conv.weight" not in shapes:
        raise HostError(say("{file}: the VAE in this checkpoint is of a kind we do not know", file=checkpoint.path.name))
    return {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "layers_per_block": blocks,
        "latent_channels": shapes[f"{VAE}quant_conv.weight"][0] // 2,
        "scaling_factor": checkpoint.scale_factor,
    }


def clip_config(shapes: Shapes, prefix: str, heads: int | None) -> dict[str, Any]:
    """The config of a CLIPTextModel whose tensors lie under `prefix` ("cond_stage_model.transformer.")."""
    base = f"{prefix}text_model." if any(key.startswith(f"{prefix}text_model.") for key in shapes) else prefix
    rows, width = shapes[f"{base}embeddings.token_embedding.weight"]
    return {
        **_text_config(rows, width, shapes[f"{base}embeddings.position_embedding.weight"][0], heads),
        "intermediate_size": shapes[f"{base}encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": _count(shapes, f"{base}encoder.layers.", ".mlp.fc1.weight"),
        "hidden_act": "quick_gelu",
        "projection_dim": width,
    }


def openclip_config(checkpoint: Checkpoint, prefix: str) -> dict[str, Any]:
    """The config of a CLIPTextModel(WithProjection) for an OpenCLIP text tower under `prefix`."""
    shapes = checkpoint.shapes
    rows, width = shapes[f"{prefix}token_embedding.weight"]
    layers = _count(shapes, f"{prefix}transformer.resblocks.", ".mlp.c_fc.weight")
    if checkpoint.family is Family.SD2:
        layers = min(layers, OPENCLIP_LAST)
    projection = shapes.get(f"{prefix}text_projection", (width, width))
    return {
        **_text_config(rows, width, shapes[f"{prefix}positional_embedding"][0], None),
        "intermediate_size": shapes[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"][0],
        "num_hidden_layers": layers,
        "hidden_act": "gelu",
        "projection_dim": projection[1],
    }


def _text_config(rows: int, width: int, positions: int, heads: int | None) -> dict[str, Any]:
    # 64 channels a head in every CLIP these families use. The eos id 2 is what CLIP's own configs say: transformers
    # then pools at the highest id of a text, which is the end token.
    heads = heads or max(width // 64, 1)
    return {
        "vocab_size": rows,
        "hidden_size": width,
        "max_position_embeddings": positions,
        "num_attention_heads": heads,
        "eos_token_id": 2,
        "bos_token_id": 0,
        "pad_token_id": 1,
    }


def _unet_levels(shapes: Shapes) -> list[tuple[int, int, int]]:
    """(channels, transformer depth, residual blocks) of each level, top down."""
    levels: list[tuple[int, int, int]] = []
    blocks, channels, depth, index = 0, 0, 0, 1
    while True:
        base = f"{UNET}input_blocks.{index}."
        residual = shapes.get(f"{base}0.out_layers.3.weight")
        if residual:
            channels, depth, blocks = residual[0], _depth(shapes, f"{base}1."), blocks + 1
        else:  # a downsampling, or the end: a level is complete
            levels.append((channels, depth, blocks))
            blocks = 0
        if not residual and f"{base}0.op.weight" not in shapes:
            return levels
        index += 1


def _depth(shapes: Shapes, base: str) -> int:
    return _count(shapes, f"{base}transformer_blocks.", ".attn1.to_q.weight")


def _count(shapes: Shapes, prefix: str, suffix: str) -> int:
    """How many numbered members there are: prefix0suffix, prefix1suffix, …"""
    number = 0
    while f"{prefix}{number}{suffix}" in shapes:
        number += 1
    return number
