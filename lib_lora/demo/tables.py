"""Names and shapes of an LDM checkpoint's tensors, from a few widths: how SD1, SD2 and SDXL are put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]
LATENT = 4


@dataclass(frozen=True)
class UNetSize:
    """Widths of a UNet. `depths` are transformer blocks per level (0: none); `vector` is the width of SDXL's extra input."""

    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    depths: tuple[int, ...] = (1, 1, 1, 0)
    middle: int = 1
    blocks: int = 2
    context: int = 64
    linear: bool = False
    vector: int = 0


@dataclass(frozen=True)
class VAESize:
    """Widths of a VAE."""

    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2


@dataclass(frozen=True)
class TextSize:
    """Widths of a text encoder."""

    rows: int
    width: int = 64
    layers: int = 12
    positions: int = 77


def unet(size: UNetSize, base: str = "model.diffusion_model.") -> Named:
    """The UNet, in the order of its modules."""
    time, width = size.channels * 4, size.channels
    yield from _linear(f"{base}time_embed.0.", time, width)
    yield from _linear(f"{base}time_embed.2.", time, time)
    if size.vector:
        yield from _linear(f"{base}label_emb.0.0.", time, size.vector)
        yield from _linear(f"{base}label_emb.0.2.", time, time)
    yield from _conv(f"{base}input_blocks.0.0.", width, LATENT, 3)
    skips, index = [width], 1
    for level, multiplier in enumerate(size.multipliers):
        for _ in range(size.blocks):
            out = size.channels * multiplier
            yield from _unet_residual(f"{base}input_blocks.{index}.0.", width, out, time)
            yield from _transformer(f"{base}input_blocks.{index}.1.", out, size.depths[level], size)
            width = out
            skips.append(width)
            index += 1
        if level < len(size.multipliers) - 1:
            yield from _conv(f"{base}input_blocks.{index}.0.op.", width, width, 3)
            skips.append(width)
            index += 1
    yield from _unet_residual(f"{base}middle_block.0.", width, width, time)
    yield from _transformer(f"{base}middle_block.1.", width, size.middle, size)
    yield from _unet_residual(f"{base}middle_block.2.", width, width, time)
    yield from _unet_output(base, size, width, skips, time)
    yield from _norm(f"{base}out.0.", size.channels)
    yield from _conv(f"{base}out.2.", LATENT, size.channels, 3)


def _unet_output(base: str, size: UNetSize, width: int, skips: list[int], time: int) -> Named:
    index = 0
    for level in reversed(range(len(size.multipliers))):
        out = size.channels * size.multipliers[level]
        for block in range(size.blocks + 1):
            yield from _unet_residual(f"{base}output_blocks.{index}.0.", width + skips.pop(), out, time)
            yield from _transformer(f"{base}output_blocks.{index}.1.", out, size.depths[level], size)
            if level and block == size.blocks:
                yield from _conv(f"{base}output_blocks.{index}.{2 if size.depths[level] else 1}.conv.", out, out, 3)
            width = out
            index += 1


def vae(size: VAESize, base: str = "first_stage_model.") -> Named:
    """The VAE, encoder first."""
    yield from _vae_encoder(size, f"{base}encoder.")
    yield from _vae_decoder(size, f"{base}decoder.")
    yield from _conv(f"{base}quant_conv.", 2 * LATENT, 2 * LATENT, 1)
    yield from _conv(f"{base}post_quant_conv.", LATENT, LATENT, 1)


def clip(size: TextSize, base: str) -> Named:
    """A CLIP text encoder as transformers names it."""
    base = f"{base}text_model."
    yield f"{base}embeddings.token_embedding.weight", (size.rows, size.width)
    yield f"{base}embeddings.position_embedding.weight", (size.positions, size.width)
    for layer in range(size.layers):
        inner = f"{base}encoder.layers.{layer}."
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{inner}self_attn.{name}.", size.width, size.width)
        yield from _norm(f"{inner}layer_norm1.", size.width)
        yield from _linear(f"{inner}mlp.fc1.", 4 * size.width, size.width)
        yield from _linear(f"{inner}mlp.fc2.", size.width, 4 * size.width)
        yield from _norm(f"{inner}layer_norm2.", size.width)
    yield from _norm(f"{base}final_layer_norm.", size.width)


def openclip(size: TextSize, base: str) -> Named:
    """A text tower as open_clip names it, with q, k and v in one matrix."""
    yield f"{base}positional_embedding", (size.positions, size.width)
    yield f"{base}text_projection", (size.width, size.width)
    yield f"{base}logit_scale", ()
    yield f"{base}token_embedding.weight", (size.rows, size.width)
    for layer in range(size.layers):
        inner = f"{base}transformer.resblocks.{layer}."
        yield from _norm(f"{inner}ln_1.", size.width)
        yield f"{inner}attn.in_proj_weight", (3 * size.width, size.width)
        yield f"{inner}attn.in_proj_bias", (3 * size.width,)
        yield from _linear(f"{inner}attn.out_proj.", size.width, size.width)
        yield from _norm(f"{inner}ln_2.", size.width)
        yield from _linear(f"{inner}mlp.c_fc.", 4 * size.width, size.width)
        yield from _linear(f"{inner}mlp.c_proj.", size.width, 4 * size.width)
    yield from _norm(f"{base}ln_final.", size.width)


def _unet_residual(base: str, width: int, out: int, time: int) -> Named:
    yield from _norm(f"{base}in_layers.0.", width)
    yield from _conv(f"{base}in_layers.2.", out, width, 3)
    yield from _linear(f"{base}emb_layers.1.", out, time)
    yield from _norm(f"{base}out_layers.0.", out)
    yield from _conv(f"{base}out_layers.3.", out, out, 3)
    if width != out:
        yield from _conv(f"{base}skip_connection.", out, width, 1)


def _transformer(base: str, width: int, depth: int, size: UNetSize) -> Named:
    if not depth:
        return
    yield from _norm(f"{base}norm.", width)
    yield from _linear(f"{base}proj_in.", width, width) if size.linear else _conv(f"{base}proj_in.", width, width, 1)
    for block in range(depth):
        inner = f"{base}transformer_blocks.{block}."
        for attention, source in (("attn1", width), ("attn2", size.context)):
            for name, columns in (("to_q", width), ("to_k", source), ("to_v", source)):
                yield f"{inner}{attention}.{name}.weight", (width, columns)
            yield from _linear(f"{inner}{attention}.to_out.0.", width, width)
        yield from _linear(f"{inner}ff.net.0.proj.", 8 * width, width)
        yield from _linear(f"{inner}ff.net.2.", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            yield from _norm(f"{inner}{norm}.", width)
    yield from _linear(f"{base}proj_out.", width, width) if size.linear else _conv(f"{base}proj_out.", width, width, 1)


def _vae_encoder(size: VAESize, base: str) -> Named:
    width = size.channels
    yield from _conv(f"{base}conv_in.", width, 3, 3)
    for level, multiplier in enumerate(size.multipliers):
        for block in range(size.blocks):
            out = size.channels * multiplier
            yield from _vae_residual(f"{base}down.{level}.block.{block}.", width, out)
            width = out
        if level < len(size.multipliers) - 1:
            yield from _conv(f"{base}down.{level}.downsample.conv.", width, width, 3)
    yield from _vae_middle(base, width)
    yield from _norm(f"{base}norm_out.", width)
    yield from _conv(f"{base}conv_out.", 2 * LATENT, width, 3)


def _vae_decoder(size: VAESize, base: str) -> Named:
    width = size.channels * size.multipliers[-1]
    yield from _conv(f"{base}conv_in.", width, LATENT, 3)
    yield from _vae_middle(base, width)
    for level in reversed(range(len(size.multipliers))):
        out = size.channels * size.multipliers[level]
        for block in range(size.blocks + 1):
            yield from _vae_residual(f"{base}up.{level}.block.{block}.", width, out)
            width = out
        if level:
            yield from _conv(f"{base}up.{level}.upsample.conv.", width, width, 3)
    yield from _norm(f"{base}norm_out.", width)
    yield from _conv(f"{base}conv_out.", 3, width, 3)


def _vae_middle(base: str, width: int) -> Named:
    yield from _vae_residual(f"{base}mid.block_1.", width, width)
    yield from _norm(f"{base}mid.attn_1.norm.", width)
    for name in ("q", "k", "v", "proj_out"):
        yield from _conv(f"{base}mid.attn_1.{name}.", width, width, 1)
    yield from _vae_residual(f"{base}mid.block_2.", width, width)


def _vae_residual(base: str, width: int, out: int) -> Named:
    yield from _norm(f"{base}norm1.", width)
    yield from _conv(f"{base}conv1.", out, width, 3)
    yield from _norm(f"{base}norm2.", out)
    yield from _conv(f"{base}conv2.", out, out, 3)
    if width != out:
        yield from _conv(f"{base}nin_shortcut.", out, width, 1)


def _conv(base: str, out: int, width: int, kernel: int) -> Sequence[tuple[str, Shape]]:
    return [(f"{base}weight", (out, width, kernel, kernel)), (f"{base}bias", (out,))]


def _linear(base: str, out: int, width: int) -> Sequence[tuple[str, Shape]]:
    return [(f"{base}weight", (out, width)), (f"{base}bias", (out,))]


def _norm(base: str, width: int) -> Sequence[tuple[str, Shape]]:
    return [(f"{base}weight", (width,)), (f"{base}bias", (width,))]
