"""Captions → conditioning, with the layer, norm and padding each family was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lib_lora.hosts.diffusers import tokens
from lib_lora.model import Family, TextCond

if TYPE_CHECKING:
    from torch import Tensor

    from lib_lora.hosts.diffusers.tokens import Tokens
    from lib_lora.hosts.diffusers.weights import Modules

OPENCLIP_PAD = 0


def encode(modules: Modules, family: Family, tokenizer: Tokens, texts: Sequence[str], clip_skip: int) -> TextCond:
    """Every chunk through the text encoder by itself, the results one behind the other: (B, 77·n, C) float32."""
    rows = tokenizer.rows(texts)
    device = modules.te1.get_input_embeddings().weight.device
    parts: list[Tensor] = []
    pooled: Tensor | None = None
    for chunks in zip(*rows, strict=True):
        plain = torch.tensor(chunks, device=device)
        if family is Family.SD1:
            parts.append(_clip(modules.te1, plain, clip_skip))
            continue
        padded = torch.tensor(tokens.padded_with(chunks, tokenizer.eos, OPENCLIP_PAD), device=device)
        if family is Family.SD2:
            parts.append(modules.te1(padded).last_hidden_state)
            continue
        assert modules.te2 is not None, "SDXL has two text encoders"
        second = modules.te2(padded, output_hidden_states=True)
        # Both before their last layer and without the final norm; the pooled vector is the first chunk's.
        first = modules.te1(plain, output_hidden_states=True).hidden_states[-2]
        parts.append(torch.cat([first, second.hidden_states[-2]], dim=-1))
        pooled = second.text_embeds if pooled is None else pooled
    return TextCond(torch.cat(parts, dim=1).float(), None if pooled is None else pooled.float())


def _clip(model: torch.nn.Module, ids: Tensor, clip_skip: int) -> Tensor:
    """The hidden state that many layers from the end (1 is the last), through the final norm."""
    if clip_skip <= 1:
        return model(ids).last_hidden_state
    hidden = model(ids, output_hidden_states=True).hidden_states[-clip_skip]
    return model.text_model.final_layer_norm(hidden)
