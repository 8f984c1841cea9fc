"""A text tower with the module names of open_clip and torch's own fused attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """A residual block of open_clip's text tower, with its names."""

    def __init__(self, width: int, heads: int, batch_first: bool = False) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=batch_first)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Tower(nn.Module):
    """open_clip's text tower as the WebUI holds it: `transformer.resblocks`."""

    def __init__(self, width: int, depth: int, heads: int, batch_first: bool = False) -> None:
        super().__init__()
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width, heads, batch_first) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.transformer.resblocks:
            x = block(x, mask)
        return x


def tower(batch_first: bool, depth: int = 2) -> tuple[Tower, Tensor, Tensor]:
    torch.manual_seed(3)
    mask = torch.full((5, 5), float("-inf"), dtype=torch.float64).triu(1)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    return Tower(8, depth, 2, batch_first).double(), (x if batch_first else x.transpose(0, 1)), mask
