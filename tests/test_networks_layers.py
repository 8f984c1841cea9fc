"""Layers of real module trees: found under sd-scripts' names and sizes, changed and put back."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from towers import Tower, tower

from lib_lora.model import Family
from lib_lora.networks.layers import clip_layers, openclip_layers, unet_layers

DATA = Path(__file__).resolve().parent / "data"


def golden(family: str, prefix: str, conv: bool = False) -> dict[str, tuple[int, int, int]]:
    """key → (in, out, kernel) by what sd-scripts' modules measure."""
    found = {}
    for name in (f"networks_{family}.txt", *([f"networks_{family}_conv.txt"] if conv else [])):
        for line in (DATA / name).read_text(encoding="utf-8").splitlines()[1:]:
            key, down, up = line.split()
            shape = [int(side) for side in down.strip("[]").split(",")]
            if key.startswith(prefix + "_"):
                found[key] = (shape[1], int(up.strip("[]").split(",")[0]), shape[2] if len(shape) == 4 else 1)
    return found


def measured(layers) -> dict[str, tuple[int, int, int]]:
    return {layer.key: (layer.in_features, layer.out_features, layer.conv.kernel[0] if layer.conv else 1) for layer in layers}


LDM = {
    "sd1": {"channel_mult": [1, 2, 4, 4], "attention_resolutions": [4, 2, 1], "transformer_depth": 1, "context_dim": 768, "num_heads": 8},
    "sd2": {
        "channel_mult": [1, 2, 4, 4],
        "attention_resolutions": [4, 2, 1],
        "transformer_depth": 1,
        "context_dim": 1024,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
    },
}


@pytest.mark.parametrize("family", sorted(LDM))
def test_the_real_ldm_unet_has_the_layers_of_sd_scripts(family: str) -> None:
    openaimodel = pytest.importorskip("ldm.modules.diffusionmodules.openaimodel")
    shared = {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": 2, "use_spatial_transformer": True}
    with torch.device("meta"):
        unet = openaimodel.UNetModel(**shared, **LDM[family], legacy=False)
    layers = unet_layers(unet, Family(family))
    assert measured(layers) == golden(family, "lora_unet", conv=True)
    assert sum(layer.site == "attention" for layer in layers) == 192
    assert {layer.part for layer in layers} == {"unet"}


DIFFUSERS = {
    "sd1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "block_out_channels": [320, 640, 1280],
        "transformer_layers_per_block": [1, 2, 10],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


@pytest.mark.parametrize("family", sorted(DIFFUSERS))
def test_the_diffusers_unet_has_the_same_layers(family: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**DIFFUSERS[family])
    assert measured(unet_layers(unet, Family(family))) == golden(family, "lora_unet", conv=True)


@pytest.mark.parametrize(("family", "prefix", "layers"), [("sd1", "lora_te", 12), ("sdxl", "lora_te1", 12), ("sd2", "lora_te", 24)])
def test_clip_has_the_layers_of_sd_scripts(family: str, prefix: str, layers: int) -> None:
    transformers = pytest.importorskip("transformers")
    width = 1024 if family == "sd2" else 768
    config = transformers.CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64)
    with torch.device("meta"):
        text = transformers.CLIPTextModel(config)
    assert measured(clip_layers(text, prefix, "te1", skip_last=layers == 24)) == golden(family, prefix)


@pytest.mark.parametrize(("family", "prefix", "width", "depth"), [("sd2", "lora_te", 1024, 24), ("sdxl", "lora_te2", 1280, 32)])
def test_openclip_has_q_k_v_and_out_apart_and_sd2_ends_a_layer_early(family: str, prefix: str, width: int, depth: int) -> None:
    with torch.device("meta"):
        tower = Tower(width, depth, width // 64)
    assert measured(openclip_layers(tower, prefix, "te1")) == golden(family, prefix)


def test_a_real_openclip_tower_is_named_so() -> None:
    open_clip = pytest.importorskip("open_clip.transformer")
    with torch.device("meta"):
        text = open_clip.TextTransformer(width=128, heads=2, layers=3, output_dim=16)
    assert len(openclip_layers(text, "lora_te2", "te2")) == 18


class Changed:
    """A delta with `onto`, so that a test sees which way a layer took."""

    def __call__(self, x: Tensor) -> Tensor:
        raise AssertionError("onto is there")

    def onto(self, x: Tensor, out: Tensor) -> Tensor:
        return out + x.sum()


def linear_layer(module: nn.Module):
    unet = nn.Module()
    unet.input_blocks = nn.ModuleDict({"1": nn.ModuleDict({"1": nn.ModuleDict({"proj_in": module})})})
    (layer,) = unet_layers(unet, Family.SD1)
    assert layer.key == "lora_unet_down_blocks_0_attentions_0_proj_in"
    return layer


def test_a_detached_module_is_as_it_was() -> None:
    module, x = nn.Linear(3, 3), torch.randn(2, 3)
    layer, base = linear_layer(module), module(x)
    undo = layer.attach(lambda x: x * 2)
    assert torch.equal(module(x), base + x * 2)
    undo()
    undo()
    assert "forward" not in module.__dict__
    assert torch.equal(module(x), base)
    undo = layer.attach(Changed())
    assert torch.equal(module(x), base + x.sum())
    undo()
    assert "forward" not in module.__dict__


def test_a_forward_of_the_instance_is_called_and_comes_back() -> None:
    module, x = nn.Linear(3, 3), torch.randn(2, 3)

    def own(x: Tensor) -> Tensor:
        return nn.Linear.forward(module, x) * 7

    module.forward = own
    undo = linear_layer(module).attach(lambda x: x)
    assert torch.equal(module(x), own(x) + x)
    undo()
    assert module.__dict__["forward"] is own


def test_a_forward_that_a_host_put_on_the_class_computes_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = nn.Linear.forward, count()

    def patched(self: nn.Linear, x: Tensor) -> Tensor:
        next(calls)
        return original(self, x) + 100

    monkeypatch.setattr(nn.Linear, "forward", patched)
    module, x = nn.Linear(3, 3), torch.randn(2, 3)
    undo = linear_layer(module).attach(lambda x: x)
    assert torch.equal(module(x), original(module, x) + 100 + x)
    undo()
    assert next(calls) == 1


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_changes_leave_in_any_order(first_out: int) -> None:
    module, x = nn.Linear(3, 3), torch.randn(2, 3)
    layer, base = linear_layer(module), module(x)
    undos = [layer.attach(lambda x: x), layer.attach(lambda x: x * 10)]
    assert torch.allclose(module(x), base + 11 * x)
    undos[first_out]()
    assert torch.allclose(module(x), base + (10 * x if first_out == 0 else x))
    undos[1 - first_out]()
    assert torch.equal(module(x), base)


@pytest.mark.parametrize("batch_first", [False, True])
def test_fused_attention_equals_one_with_merged_weights(batch_first: bool) -> None:
    """With ΔW on q, k, v and out of every block: what torch computes after W += ΔW, values and gradients of the input."""
    model, x, mask = tower(batch_first)
    merged, _, _ = tower(batch_first)
    undos = []
    x.requires_grad_(True)
    for layer in openclip_layers(model, "lora_te2", "te2"):
        if "self_attn" not in layer.key:
            continue
        change = torch.randn(8, 8, dtype=torch.float64) / 4
        number, name = int(layer.key.split("_")[6]), layer.key.split("_")[-2]
        attention = merged.transformer.resblocks[number].attn
        rows = {"q": slice(0, 8), "k": slice(8, 16), "v": slice(16, 24)}.get(name)
        with torch.no_grad():
            (attention.out_proj.weight if rows is None else attention.in_proj_weight[rows]).add_(change)
        undos.append(layer.attach(lambda x, change=change: x @ change.T))
    out = model(x, mask)
    (grad,) = torch.autograd.grad(out.square().sum(), x)
    expected = merged(x, mask)
    (expected_grad,) = torch.autograd.grad(expected.square().sum(), x)
    assert torch.allclose(out, expected, rtol=0, atol=1e-10)
    assert torch.allclose(grad, expected_grad, rtol=0, atol=1e-10)
    for undo in undos:
        undo()
    assert all("forward" not in block.attn.__dict__ for block in model.transformer.resblocks)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("masks", ["none", "bool", "heads", "padding"])
def test_fused_attention_with_nothing_added_answers_as_torch(batch_first: bool, need_weights: bool, masks: str) -> None:
    model, x, mask = tower(batch_first)
    given = {
        "none": {},
        "bool": {"attn_mask": mask.isinf()},
        "heads": {"attn_mask": mask.repeat(4, 1, 1)},
        "padding": {"attn_mask": mask.isinf(), "key_padding_mask": torch.tensor([[False] * 5, [False] * 3 + [True] * 2])},
    }[masks]
    attention = model.transformer.resblocks[0].attn
    expected = attention(x, x + 1, x - 1, need_weights=need_weights, **given)
    undo = openclip_layers(model, "lora_te2", "te2")[1].attach(torch.zeros_like)
    found = attention(x, x + 1, x - 1, need_weights=need_weights, **given)
    undo()
    assert torch.allclose(found[0], expected[0], rtol=0, atol=1e-12)
    assert (found[1] is None) == (expected[1] is None)
    if need_weights:
        assert torch.allclose(found[1], expected[1], rtol=0, atol=1e-12)
    again = attention(x, x + 1, x - 1, need_weights=need_weights, **given)
    assert torch.equal(again[0], expected[0])
