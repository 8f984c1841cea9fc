"""A small real diffusion model in torch that keeps every promise of `lib_lora.model.Model`, and a plain LoRA for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib_lora.core.messages import Message
from lib_lora.hosts.blocks import checkpointed
from lib_lora.model import ConvSpec, Delta, Family, ModelFacts, Part, Posterior, Precision, Prediction, SizeCond, TextCond
from lib_lora.training.noise import rescale_zero_terminal

WIDTH, TEXT_WIDTH, TOKENS = 32, 32, 16


class Attention(nn.Module):
    def __init__(self, width: int, context: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.to_q(x), self.to_k(context), self.to_v(context)))
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class ResBlock(nn.Module):
    def __init__(self, width: int, emb: int, context: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.time = nn.Linear(emb, width)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1, self.attn2 = Attention(width, width), Attention(width, context)

    def forward(self, x: Tensor, emb: Tensor, context: Tensor) -> Tensor:
        x = x + self.conv(F.silu(self.norm(x))) + self.time(emb)[:, :, None, None]
        h = self.proj_in(x)
        tokens = h.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn1(self.norm1(tokens))
        tokens = tokens + self.attn2(self.norm2(tokens), context)
        return x + tokens.transpose(1, 2).unflatten(2, h.shape[2:])


class SmallUNet(nn.Module):
    def __init__(self, vector: int = 0) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, WIDTH, 3, padding=1)
        self.time_embed = nn.Linear(16, WIDTH)
        self.label_emb = nn.Linear(vector, WIDTH) if vector else None
        self.blocks = nn.ModuleList(ResBlock(WIDTH, WIDTH, TEXT_WIDTH) for _ in range(2))
        self.conv_out = nn.Conv2d(WIDTH, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, vector: Tensor | None = None) -> Tensor:
        rates = torch.exp(-math.log(1000) * torch.arange(8, device=x.device) / 8)
        angles = t.float()[:, None] * rates
        emb = self.time_embed(torch.cat([angles.sin(), angles.cos()], 1).to(x.dtype))
        if self.label_emb is not None and vector is not None:
            emb = emb + self.label_emb(vector.to(x.dtype))
        h = self.conv_in(x)
        for block in self.blocks:
            h = block(h, F.silu(emb), context)
        return self.conv_out(F.silu(h))


class SmallText(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, TEXT_WIDTH)
        self.norm = nn.LayerNorm(TEXT_WIDTH)
        self.attention = Attention(TEXT_WIDTH, TEXT_WIDTH)
        self.fc1, self.fc2 = nn.Linear(TEXT_WIDTH, 64), nn.Linear(64, TEXT_WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        x = x + self.attention(self.norm(x))
        return x + self.fc2(F.gelu(self.fc1(x)))


@dataclass
class FakeLayer:
    """A Layer over a module: delta is added by an instance forward."""

    key: str
    part: Part
    site: Literal["attention", "resnet"]
    module: nn.Module
    in_features: int
    out_features: int
    conv: ConvSpec | None = None

    def attach(self, delta: Delta) -> Callable[[], None]:
        base = self.module.forward
        self.module.forward = lambda x: base(x) + delta(x)

        def detach() -> None:
            self.module.__dict__.pop("forward", None)

        return detach


def layer_of(key: str, part: Part, module: nn.Module, site: Literal["attention", "resnet"] = "attention") -> FakeLayer:
    if isinstance(module, nn.Linear):
        return FakeLayer(key, part, site, module, module.in_features, module.out_features)
    spec = ConvSpec(tuple(module.kernel_size), tuple(module.stride), tuple(module.padding), tuple(module.dilation))
    return FakeLayer(key, part, site, module, module.in_channels, module.out_channels, spec)


class FakeModel:
    """The small model. `calls` notes what was asked of it; set `change` to make it say that it was swapped."""

    def __init__(
        self,
        family: Family = Family.SD1,
        prediction: Prediction = Prediction.EPSILON,
        zero_terminal: bool = False,
        seed: int = 0,
        device: str = "cpu",
        file: Path | None = None,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.unet = SmallUNet(1280 + 6 if family is Family.SDXL else 0)
            self.text = SmallText()
            self.pool = nn.Linear(TEXT_WIDTH, 1280)
            self.vae = nn.Conv2d(3, 4, 8, 8)
        for module in (self.unet, self.text, self.pool, self.vae):
            module.requires_grad_(False).eval().to(device)
        self.facts = ModelFacts("small", family, prediction, zero_terminal, 1, device, "float32", file)
        self.calls: list[Any] = []
        self.change: Message | None = None
        self._device = torch.device(device)

    def device(self) -> torch.device:
        return self._device

    def layers(self) -> Sequence[FakeLayer]:
        found = []
        for n, block in enumerate(self.unet.blocks):
            where = f"lora_unet_down_blocks_{n}_attentions_0"
            found.append(layer_of(f"{where}_proj_in", "unet", block.proj_in))
            for attention in ("attn1", "attn2"):
                for name in ("to_q", "to_k", "to_v", "to_out"):
                    key = f"{where}_transformer_blocks_0_{attention}_{name}" + ("_0" if name == "to_out" else "")
                    found.append(layer_of(key, "unet", getattr(getattr(block, attention), name)))
            found.append(layer_of(f"lora_unet_down_blocks_{n}_resnets_0_conv1", "unet", block.conv, "resnet"))
        prefix = "lora_te1" if self.facts.family is Family.SDXL else "lora_te"
        where = f"{prefix}_text_model_encoder_layers_0"
        for name, to in (("q_proj", "to_q"), ("k_proj", "to_k"), ("v_proj", "to_v"), ("out_proj", "to_out")):
            found.append(layer_of(f"{where}_self_attn_{name}", "te1", getattr(self.text.attention, to)))
        found += [layer_of(f"{where}_mlp_{name}", "te1", getattr(self.text, name)) for name in ("fc1", "fc2")]
        return found

    def alphas_cumprod(self) -> Tensor:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        alphas = (1 - betas).cumprod(0).float()
        return (rescale_zero_terminal(alphas) if self.facts.zero_terminal else alphas).to(self._device)

    def vae_fingerprint(self) -> str:
        return f"{self.vae.weight.double().sum().item():.12f}"

    def encode_images(self, pixels: Tensor) -> Posterior:
        self.calls.append(("encode_images", tuple(pixels.shape)))
        mean = self.vae(pixels)
        return Posterior(mean, torch.full_like(mean, 0.1))

    def encode_texts(self, texts: Sequence[str], grad: bool = False) -> TextCond:
        self.calls.append(("encode_texts", tuple(texts)))
        ids = torch.tensor([[*text.encode()[:TOKENS], *[0] * (TOKENS - len(text.encode()[:TOKENS]))] for text in texts], device=self._device)
        with torch.set_grad_enabled(grad):
            context = self.text(ids)
            pooled = self.pool(context.mean(1)) if self.facts.family is Family.SDXL else None
        return TextCond(context, pooled)

    def predict(self, noisy: Tensor, timesteps: Tensor, cond: TextCond, sizes: Sequence[SizeCond]) -> Tensor:
        vector = None
        if cond.pooled is not None:
            numbers = torch.tensor([[*size.original, *size.crop, *size.target] for size in sizes], device=self._device) / 1024
            vector = torch.cat([cond.pooled, numbers], 1)
        return self.unet(noisy, timesteps, cond.context, vector).float()

    def autocast(self, precision: Precision) -> Any:
        if precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, {"fp16": torch.float16, "bf16": torch.bfloat16}[precision])

    @contextmanager
    def checkpoint_blocks(self) -> Iterator[None]:
        self.calls.append("checkpoint_blocks")
        with checkpointed(self.unet):
            yield

    def place(self, *parts: Literal["unet", "te", "vae"]) -> None:
        self.calls.append(("place", *parts))

    def changed(self) -> Message | None:
        return self.change

    def settle(self) -> None:
        self.calls.append("settle")


class PlainLora:
    """ΔW = up @ down on every linear layer: the shortest network that keeps the Network protocol."""

    def __init__(self, layers: Sequence[FakeLayer], rank: int = 4, seed: int = 0) -> None:
        self._layers = [layer for layer in layers if layer.conv is None]
        draw = torch.Generator().manual_seed(seed)
        self.down = {layer.key: nn.Parameter(torch.randn(rank, layer.in_features, generator=draw) / layer.in_features**0.5) for layer in self._layers}
        self.up = {layer.key: nn.Parameter(torch.zeros(layer.out_features, rank)) for layer in self._layers}

    def keys(self) -> Sequence[str]:
        return [layer.key for layer in self._layers]

    def parameters(self, part: Part) -> list[nn.Parameter]:
        return [weights[layer.key] for layer in self._layers if layer.part == part for weights in (self.down, self.up)]

    @contextmanager
    def attached(self) -> Iterator[None]:
        detach = [layer.attach(self._delta_of(layer.key)) for layer in self._layers]
        try:
            yield
        finally:
            for undo in detach:
                undo()

    def tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for key in self.keys():
            found[f"{key}.alpha"] = torch.tensor(float(self.down[key].shape[0]))
            found[f"{key}.lora_down.weight"] = self.down[key].detach().clone()
            found[f"{key}.lora_up.weight"] = self.up[key].detach().clone()
        return found

    def delta(self, key: str) -> Tensor:
        return (self.up[key] @ self.down[key]).detach()

    def metadata(self) -> dict[str, str]:
        return {"ss_network_module": "networks.lora"}

    def _delta_of(self, key: str) -> Delta:
        return lambda x: F.linear(F.linear(x, self.down[key]), self.up[key])
