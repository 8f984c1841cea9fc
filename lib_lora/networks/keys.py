"""Module path → file key: the names of a network's layers, as sd-scripts writes them for each family."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from lib_lora.model import Family

UNET = "lora_unet"
# Names inside a residual block: LDM's → diffusers'.
RESNET: Mapping[str, str] = MappingProxyType(
    {
        "in_layers.0": "norm1",
        "in_layers.2": "conv1",
        "emb_layers.1": "time_emb_proj",
        "out_layers.0": "norm2",
        "out_layers.3": "conv2",
        "skip_connection": "conv_shortcut",
    }
)
# What lies outside of the blocks: LDM's → diffusers'.
OUTSIDE: Mapping[str, str] = MappingProxyType(
    {
        "input_blocks.0.0": "conv_in",
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "label_emb.0.0": "add_embedding.linear_1",
        "label_emb.0.2": "add_embedding.linear_2",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }
)
LDM_BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)|middle_block\.(\d)\.(.+)")
DIFFUSERS_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)|mid_block\.(resnets|attentions)\.(\d)\.(.+)")
CLIP_LAYER = re.compile(r"(?:^|\.)encoder\.layers\.(\d+)\.(self_attn\.(?:q|k|v|out)_proj|mlp\.fc[12])$")
OPENCLIP_LAYER = re.compile(r"(?:^|\.)transformer\.resblocks\.(\d+)\.(attn|mlp\.c_fc|mlp\.c_proj)$")
OPENCLIP: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "attn": ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "self_attn_out_proj"),
        "mlp.c_fc": ("mlp_fc1",),
        "mlp.c_proj": ("mlp_fc2",),
    }
)
STORED_AS_CONVOLUTION = re.compile(rf"{UNET}_(?:down_blocks_\d+|mid_block|up_blocks_\d+)_attentions_\d+_proj_(?:in|out)$")
# (number of levels, transformer depth per level on the way down, depth in the middle); levels with depth 0 have none.
TOPOLOGY: Mapping[Family, tuple[tuple[int, ...], int]] = MappingProxyType(
    {Family.SD1: ((1, 1, 1, 0), 1), Family.SD2: ((1, 1, 1, 0), 1), Family.SDXL: ((0, 2, 10), 10)}
)
# Text encoders: (key prefix, layers of which sd-scripts writes keys). SD2's 24th is never read: its output is the 23rd's.
TEXTS: Mapping[Family, tuple[tuple[str, int], ...]] = MappingProxyType(
    {Family.SD1: (("lora_te", 12),), Family.SD2: (("lora_te", 23),), Family.SDXL: (("lora_te1", 12), ("lora_te2", 32))}
)


def unet_key(path: str, family: Family) -> str:
    """The file key of a UNet module named as LDM/sgm or diffusers name it: LDM's names for SDXL, diffusers' otherwise."""
    named = ldm_path(path, family) if family is Family.SDXL else diffusers_path(path)
    return f"{UNET}_{named.replace('.', '_')}"


def site_of(path: str) -> str | None:
    """What a UNet module belongs to: "attention" (its transformers), "resnet" (the rest of the blocks) or None (outside)."""
    named = diffusers_path(path)
    if ".attentions." in named:
        return "attention"
    return "resnet" if re.search(r"\.(resnets|downsamplers|upsamplers)\.", named) else None


def diffusers_path(path: str) -> str:
    """An LDM/sgm UNet path → diffusers'; a path that is not LDM's comes back as it is."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    match = LDM_BLOCK.fullmatch(path)
    if match is None:
        return path
    way, block, slot, rest, middle, middle_rest = match.groups()
    if middle is not None:
        kind = "attentions.0" if middle == "1" else f"resnets.{int(middle) // 2}"
        return f"mid_block.{kind}.{RESNET.get(middle_rest, middle_rest)}"
    number, slot = int(block), int(slot)
    if way == "input_blocks":
        level, place = divmod(number - 1, 3)
        if place == 2:
            return f"down_blocks.{level}.downsamplers.0.conv"
        kind = "resnets" if slot == 0 else "attentions"
        return f"down_blocks.{level}.{kind}.{place}.{RESNET.get(rest, rest)}"
    level, place = divmod(number, 3)
    if slot > 0 and rest == "conv":
        return f"up_blocks.{level}.upsamplers.0.conv"
    kind = "resnets" if slot == 0 else "attentions"
    return f"up_blocks.{level}.{kind}.{place}.{RESNET.get(rest, rest)}"


def ldm_path(path: str, family: Family) -> str:
    """A diffusers UNet path → LDM's; a path that is not diffusers' comes back as it is."""
    for ldm, diffusers in OUTSIDE.items():
        if path == diffusers:
            return ldm
    match = DIFFUSERS_BLOCK.fullmatch(path)
    if match is None:
        return path
    way, level, kind, place, rest, middle_kind, middle, middle_rest = match.groups()
    if middle_kind is not None:
        slot = 1 if middle_kind == "attentions" else 2 * int(middle)
        return f"middle_block.{slot}.{_resnet_to_ldm(middle_rest)}"
    level, place = int(level), int(place)
    if kind == "downsamplers":
        return f"input_blocks.{3 * level + 3}.0.op"
    if kind == "upsamplers":
        depths = TOPOLOGY[family][0]
        return f"output_blocks.{3 * level + 2}.{2 if depths[-1 - level] else 1}.conv"
    slot = 0 if kind == "resnets" else 1
    blocks = f"input_blocks.{3 * level + place + 1}" if way == "down" else f"output_blocks.{3 * level + place}"
    return f"{blocks}.{slot}.{_resnet_to_ldm(rest)}"


def clip_key(path: str, prefix: str) -> str | None:
    """The file key of a layer of Hugging Face's CLIPTextModel, None for what no network hangs on."""
    match = CLIP_LAYER.search(path)
    if match is None:
        return None
    return f"{prefix}_text_model_encoder_layers_{match[1]}_{match[2].replace('.', '_')}"


def clip_layer_of(path: str) -> int | None:
    """The number of the transformer layer a path of CLIPTextModel or of open_clip's text tower lies in."""
    match = CLIP_LAYER.search(path) or OPENCLIP_LAYER.search(path)
    return None if match is None else int(match[1])


def openclip_keys(path: str, prefix: str) -> tuple[str, ...]:
    """The file keys of a module of open_clip's text tower: four (q, k, v, out) for its attention, one for a linear layer."""
    match = OPENCLIP_LAYER.search(path)
    if match is None:
        return ()
    return tuple(f"{prefix}_text_model_encoder_layers_{match[1]}_{name}" for name in OPENCLIP[match[2]])


def stored_as_convolution(key: str) -> bool:
    """Whether sd-scripts writes this layer's factors with 1×1 kernels even where the model has a linear layer (SD2)."""
    return STORED_AS_CONVOLUTION.fullmatch(key) is not None


def part_of(key: str) -> str | None:
    """ "unet", "te1" or "te2" by a key's prefix; None for another."""
    for prefix, part in (("lora_unet_", "unet"), ("lora_te_", "te1"), ("lora_te1_", "te1"), ("lora_te2_", "te2")):
        if key.startswith(prefix):
            return part
    return None


def attention_keys(family: Family) -> Iterator[str]:
    """Every UNet key a plain LoRA has."""
    return (unet_key(path, family) for path in attention_paths(family))


def resnet_keys(family: Family) -> Iterator[str]:
    """Every UNet key that a convolution rank adds."""
    return (unet_key(path, family) for path in resnet_paths(family))


def attention_paths(family: Family) -> Iterator[str]:
    """diffusers' paths of the layers in the UNet's transformers."""
    for path, depth in _transformers(family):
        yield from (f"{path}.proj_in", f"{path}.proj_out")
        for block in range(depth):
            inner = [f"{attention}.{name}" for attention in ("attn1", "attn2") for name in ("to_q", "to_k", "to_v", "to_out.0")]
            yield from (f"{path}.transformer_blocks.{block}.{name}" for name in (*inner, "ff.net.0.proj", "ff.net.2"))


def resnet_paths(family: Family) -> Iterator[str]:
    """diffusers' paths of the layers in the UNet's residual blocks and between its levels."""
    for path, shortcut in _resnets(family):
        yield from (f"{path}.{leaf}" for leaf in ("conv1", "conv2", "time_emb_proj", *(["conv_shortcut"] if shortcut else [])))
    for level in range(len(TOPOLOGY[family][0]) - 1):
        yield from (f"down_blocks.{level}.downsamplers.0.conv", f"up_blocks.{level}.upsamplers.0.conv")


def other_paths(family: Family) -> Iterator[str]:
    """diffusers' paths of what other trainers reach too: norms, and what lies outside of the blocks."""
    yield from (path for path in OUTSIDE.values() if family is Family.SDXL or not path.startswith("add_embedding"))
    for path, depth in _transformers(family):
        yield f"{path}.norm"
        yield from (f"{path}.transformer_blocks.{block}.norm{n}" for block in range(depth) for n in (1, 2, 3))
    for path, _ in _resnets(family):
        yield from (f"{path}.{norm}" for norm in ("norm1", "norm2"))


def text_keys(family: Family, extra_layers: int = 0) -> Iterator[str]:
    """Every key of the family's text encoders; `extra_layers` counts layers beyond those sd-scripts writes."""
    leaves = ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "self_attn_out_proj", "mlp_fc1", "mlp_fc2")
    for prefix, layers in TEXTS[family]:
        for layer in range(layers + extra_layers):
            yield from (f"{prefix}_text_model_encoder_layers_{layer}_{leaf}" for leaf in leaves)


def _resnet_to_ldm(rest: str) -> str:
    return next((ldm for ldm, diffusers in RESNET.items() if diffusers == rest), rest)


def _transformers(family: Family) -> Iterator[tuple[str, int]]:
    depths, middle = TOPOLOGY[family]
    for level, depth in enumerate(depths):
        yield from ((f"down_blocks.{level}.attentions.{place}", depth) for place in range(2) if depth)
    yield "mid_block.attentions.0", middle
    for level, depth in enumerate(reversed(depths)):
        yield from ((f"up_blocks.{level}.attentions.{place}", depth) for place in range(3) if depth)


def _resnets(family: Family) -> Iterator[tuple[str, bool]]:
    """(path, has a shortcut convolution): where the width changes, and always on the way up."""
    levels = len(TOPOLOGY[family][0])
    # The last level is as wide as the one before it in SD1 and SD2 (1, 2, 4, 4), wider in SDXL (1, 2, 4).
    widths = (1, 2, 4, 4)[:levels]
    for level in range(levels):
        for place in range(2):
            yield f"down_blocks.{level}.resnets.{place}", place == 0 and level > 0 and widths[level] != widths[level - 1]
    yield from ((f"mid_block.resnets.{place}", False) for place in range(2))
    yield from ((f"up_blocks.{level}.resnets.{place}", True) for level in range(levels) for place in range(3))
