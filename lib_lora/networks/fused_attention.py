"""nn.MultiheadAttention with changes on its q, k, v and output projections, which torch computes without their modules."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib_lora.model import Delta
from lib_lora.networks.forwards import Undo, onto, restore

Slot = Literal["q", "k", "v", "out"]


class FusedAttention:
    """One attention and the changes that hang on it. The module's forward is ours only while there are any."""

    def __init__(self, module: nn.MultiheadAttention) -> None:
        self.module = module
        self._deltas: list[tuple[Slot, Delta]] = []
        self._own: object = None

    def attach(self, slot: Slot, delta: Delta) -> Undo:
        """Add `delta` of the projection's input to its output until the returned function is called."""
        if not self._deltas:
            self._own = self.module.__dict__.get("forward")
            self.module.forward = self.forward
        entry = (slot, delta)
        self._deltas.append(entry)

        def undo() -> None:
            held = len(self._deltas)
            self._deltas = [other for other in self._deltas if other is not entry]
            if held and not self._deltas:
                restore(self.module, self._own)

        return undo

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,  # noqa: ARG002 - torch asks for the mask beside this hint, and we use the mask
    ) -> tuple[Tensor, Tensor | None]:
        """nn.MultiheadAttention.forward for batched input, with the changes."""
        module = self.module
        if not module.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = (part.unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for part in self._projected(query, key, value))
        mask = _added_mask(attn_mask, key_padding_mask, q)
        dropout = module.dropout if module.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
            weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
            mixed = functional.dropout(weights, dropout) @ v
            weights = weights.mean(dim=1) if average_attn_weights else weights
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).flatten(2)
        out = self._changed("out", mixed, functional.linear(mixed, module.out_proj.weight, module.out_proj.bias))
        return (out if module.batch_first else out.transpose(0, 1)), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = self.module.in_proj_weight.chunk(3)
        biases = (None, None, None) if self.module.in_proj_bias is None else self.module.in_proj_bias.chunk(3)
        q, k, v = (functional.linear(x, weight, bias) for x, weight, bias in zip((query, key, value), weights, biases, strict=True))
        return self._changed("q", query, q), self._changed("k", key, k), self._changed("v", value, v)

    def _changed(self, slot: Slot, x: Tensor, out: Tensor) -> Tensor:
        for name, delta in self._deltas:
            if name == slot:
                out = onto(delta)(x, out)
        return out


def _added_mask(attn_mask: Tensor | None, key_padding_mask: Tensor | None, q: Tensor) -> Tensor | None:
    """Both of torch's masks (True, or what is added, hides) as one that is added to (batch, heads, queries, keys)."""
    batch, heads = q.shape[:2]
    total = None
    for mask, padding in ((attn_mask, False), (key_padding_mask, True)):
        if mask is None:
            continue
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(mask, float("-inf"))
        mask = mask.to(q.dtype)
        if padding:
            mask = mask[:, None, None, :]
        elif mask.ndim == 3:
            mask = mask.unflatten(0, (batch, heads))
        total = mask if total is None else total + mask
    return total
