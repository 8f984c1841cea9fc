"""LoRA against a dense reference, W + ΔW, in float64: what it adds, its gradients, its file and its way back."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from towers import tower

from lib_lora.core.errors import ConfigError
from lib_lora.model import ConvSpec, Layer
from lib_lora.networks.kinds.lora import LoraOptions
from lib_lora.networks.layers import ModuleLayer, openclip_layers
from lib_lora.networks.lora import Factors, Lora, make
from lib_lora.networks.registry import networks

UNET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer_of(module: nn.Module, key: str = f"{UNET}_to_q", part="unet", site="attention") -> Layer:
    if isinstance(module, nn.Linear):
        return ModuleLayer(key, part, site, module.in_features, module.out_features, None, module)
    spec = ConvSpec(module.kernel_size, module.stride, module.padding, module.dilation)
    return ModuleLayer(key, part, site, module.in_channels, module.out_channels, spec, module)


def trained(layers: list[Layer], dtype: torch.dtype = torch.float64, **more) -> Lora:
    """A network that has learnt something, in `dtype` so that it can be compared to many digits."""
    options = {"rank": 3, "alpha": 2.0, "conv_rank": 2, "conv_alpha": 1.0, **more}
    network = make(layers, **options, device=torch.device("cpu"), generator=generator())
    for part in ("unet", "te1", "te2"):
        for weight in network.parameters(part):
            weight.data = torch.randn(weight.shape, generator=generator(weight.numel()), dtype=dtype) / 3
    return network


MODULES = {
    "linear": (lambda: nn.Linear(6, 5), (2, 7, 6)),
    "linear without batch": (lambda: nn.Linear(6, 5, bias=False), (7, 6)),
    "pointwise": (lambda: nn.Conv2d(6, 5, 1), (2, 6, 4, 3)),
    "spatial": (lambda: nn.Conv2d(6, 5, 3, padding=1), (2, 6, 4, 3)),
    "downsampling": (lambda: nn.Conv2d(6, 6, 3, stride=2, padding=1), (2, 6, 7, 5)),
    "dilated": (lambda: nn.Conv2d(6, 5, (3, 1), padding=(2, 0), dilation=(2, 1)), (1, 6, 7, 5)),
}


def merged(module: nn.Module, x: Tensor, change: Tensor) -> Tensor:
    weight = module.weight + change
    if isinstance(module, nn.Linear):
        return functional.linear(x, weight, module.bias)
    return functional.conv2d(x, weight, module.bias, module.stride, module.padding, module.dilation)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", MODULES)
def test_it_computes_what_merged_weights_compute(kind: str, channels_last: bool) -> None:
    """Values, and the gradients of the input and of both factors."""
    build, shape = MODULES[kind]
    torch.manual_seed(1)
    module = build().double().requires_grad_(False)
    x = torch.randn(shape, dtype=torch.float64)
    if channels_last and x.ndim == 4:
        module, x = module.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    x.requires_grad_(True)
    network = trained([layer_of(module)])
    down, up = network.parameters("unet")
    with network.attached():
        out = module(x)
    found = torch.autograd.grad(out.square().sum(), (x, down, up))
    rank = down.shape[0]
    alpha = {3: 2.0, 2: 1.0}[rank]
    change = (up.flatten(1) @ down.flatten(1)).view(module.weight.shape) * (alpha / rank)
    expected_out = merged(module, x, change)
    expected = torch.autograd.grad(expected_out.square().sum(), (x, down, up))
    assert torch.allclose(out, expected_out, rtol=0, atol=1e-10)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)
    assert "forward" not in module.__dict__
    assert torch.allclose(network.delta(f"{UNET}_to_q"), change.float(), atol=1e-6)


@pytest.mark.parametrize("kind", MODULES)
def test_the_delta_alone_is_the_difference(kind: str) -> None:
    """Layers that know nothing of `onto` call the delta: both ways are one sum."""
    build, shape = MODULES[kind]
    module, x = build().double(), torch.randn(shape, dtype=torch.float64)
    network = trained([layer_of(module)])
    (factors,) = network._factors.values()
    base = module(x)
    assert torch.allclose(base + factors(x), factors.onto(x, base), rtol=0, atol=1e-12)


def test_it_computes_what_merged_weights_compute_in_fused_attention() -> None:
    model, x, mask = tower(batch_first=False)
    reference, _, _ = tower(batch_first=False)
    network = trained(openclip_layers(model, "lora_te2", "te2"))
    with torch.no_grad():
        for number, block in enumerate(reference.transformer.resblocks):
            key = f"lora_te2_text_model_encoder_layers_{number}"
            change = {name: network.delta(f"{key}_{name}") for name in ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj")}
            block.attn.in_proj_weight += torch.cat(list(change.values()))
            block.attn.out_proj.weight += network.delta(f"{key}_self_attn_out_proj")
            block.mlp.c_fc.weight += network.delta(f"{key}_mlp_fc1")
            block.mlp.c_proj.weight += network.delta(f"{key}_mlp_fc2")
    with network.attached():
        out = model(x, mask)
    assert torch.allclose(out, reference(x, mask), rtol=0, atol=1e-4)  # ΔW is given in float32
    assert not torch.allclose(out, model(x, mask), rtol=0, atol=1e-2)


def test_a_new_network_is_nothing_and_learns_by_its_up_factor_first() -> None:
    module = nn.Linear(6, 5)
    x = torch.randn(4, 6)
    network = networks.get("lora").build([layer_of(module)], LoraOptions(rank=2), torch.device("cpu"), generator())
    with network.attached():
        out = module(x)
        assert torch.equal(out, module(x))
        out.sum().backward()
    down, up = network.parameters("unet")
    assert torch.equal(out.detach(), module(x).detach())
    assert not down.grad.any()
    assert up.grad.any()


def test_down_is_drawn_as_kaiming_with_its_own_generator() -> None:
    """U(−1/√fan_in, 1/√fan_in), the same for the same seed, and the global generator is left alone."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    layers = [layer_of(nn.Conv2d(40, 5, 3), f"{UNET}_{n}", site="resnet") for n in range(3)]
    torch.set_rng_state(before)
    one = make(layers, 16, 8, 16, 8, torch.device("cpu"), generator(9)).parameters("unet")
    same = make(layers, 16, 8, 16, 8, torch.device("cpu"), generator(9)).parameters("unet")
    other = make(layers, 16, 8, 16, 8, torch.device("cpu"), generator(8)).parameters("unet")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])
    bound = (40 * 9) ** -0.5
    drawn = torch.cat([weight.detach().flatten() for weight in one[::2]])
    assert drawn.abs().max() <= bound
    assert abs(drawn.std().item() - bound / 3**0.5) < 0.02 * bound
    assert not any(weight.any() for weight in one[1::2])


def test_convolution_rank_reaches_what_sd_scripts_reaches() -> None:
    """Residual blocks are left alone without it; with it their 3×3 take it, their linear and 1×1 layers the linear rank."""
    layers = [
        layer_of(nn.Linear(6, 6), "attention", site="attention"),
        layer_of(nn.Conv2d(6, 6, 3), "conv1", site="resnet"),
        layer_of(nn.Conv2d(6, 8, 1), "conv_shortcut", site="resnet"),
        layer_of(nn.Linear(9, 6), "time_emb_proj", site="resnet"),
    ]
    assert list(trained(layers, conv_rank=0).keys()) == ["attention"]
    network = trained(layers, rank=4, alpha=2.0, conv_rank=2, conv_alpha=0.5)
    held = network.tensors()
    shapes = {key: (held[f"{key}.lora_down.weight"].shape[0], held[f"{key}.alpha"].item()) for key in tuple(network.keys())}
    assert shapes == {"attention": (4, 2.0), "conv1": (2, 0.5), "conv_shortcut": (4, 2.0), "time_emb_proj": (4, 2.0)}


def test_what_the_file_holds_comes_back() -> None:
    """tensors → load_ of a fresh network: the same function, also for the linear layers SD2 stores with kernels."""
    modules = {f"{UNET}_to_q": nn.Linear(6, 5), "lora_unet_mid_block_attentions_0_proj_in": nn.Linear(6, 6), "conv": nn.Conv2d(6, 4, 3)}
    layers = [layer_of(module, key) for key, module in modules.items()]
    network = trained(layers, torch.float32, alpha=7.0)
    held = network.tensors()
    assert held["lora_unet_mid_block_attentions_0_proj_in.lora_down.weight"].shape == (3, 6, 1, 1)
    assert held["lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"].shape == (6, 3, 1, 1)
    assert held[f"{UNET}_to_q.lora_down.weight"].shape == (3, 6)
    assert held[f"{UNET}_to_q.alpha"].shape == ()
    assert {tensor.dtype for tensor in held.values()} == {torch.float32}
    again = make(layers, 3, 1.0, 2, 1.0, torch.device("cpu"), generator(4))
    again.load_(held)
    assert all(torch.equal(network.delta(key), again.delta(key)) for key in modules)
    assert all(torch.equal(held[name], tensor) for name, tensor in again.tensors().items())


def test_a_file_that_does_not_fit_changes_nothing() -> None:
    layers = [layer_of(nn.Linear(6, 5), "a"), layer_of(nn.Linear(6, 5), "b")]
    network, other = trained(layers, torch.float32), trained(layers, torch.float32, rank=4)
    before = network.tensors()
    with pytest.raises(ConfigError, match="ranks"):
        network.load_(other.tensors())
    with pytest.raises(ConfigError, match=r"b\.lora_up\.weight"):
        network.load_({name: tensor + 1 for name, tensor in before.items() if name != "b.lora_up.weight"})
    assert all(torch.equal(before[name], tensor) for name, tensor in network.tensors().items())


def test_tensors_are_a_picture_of_the_moment() -> None:
    network = trained([layer_of(nn.Linear(6, 5), "a")], torch.float32)
    before = network.tensors()
    kept = before["a.lora_up.weight"].clone()
    with torch.no_grad():
        network.parameters("unet")[1].add_(1)
    assert torch.equal(before["a.lora_up.weight"], kept)


def test_parameters_belong_to_their_part_and_stay_out_of_the_model() -> None:
    modules = [nn.Linear(6, 5) for _ in range(3)]
    parts = ("unet", "te1", "te2")
    network = trained([layer_of(module, part, part) for module, part in zip(modules, parts, strict=True)], torch.float32)
    assert [len(network.parameters(part)) for part in parts] == [2, 2, 2]
    with network.attached():
        for module in modules:
            assert sorted(module.state_dict()) == ["bias", "weight"]
    everything = list(itertools.chain.from_iterable(network.parameters(part) for part in parts))
    assert len({id(weight) for weight in everything}) == 6
    assert all(weight.requires_grad and weight.dtype == torch.float32 for weight in everything)


@pytest.mark.parametrize("raised", [False, True])
def test_leaving_takes_everything_off(raised: bool) -> None:
    modules = [nn.Linear(6, 5), nn.Conv2d(6, 5, 3)]
    network = trained([layer_of(module, str(n)) for n, module in enumerate(modules)], torch.float32)
    try:
        with network.attached():
            assert all("forward" in module.__dict__ for module in modules)
            if raised:
                raise RuntimeError
    except RuntimeError:
        pass
    assert all("forward" not in module.__dict__ for module in modules)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_bases_get_their_own_dtype_and_float32_gradients(dtype: torch.dtype) -> None:
    if dtype == torch.float16 and not _has_half_products():
        pytest.skip("this torch multiplies no float16 on the CPU")
    module = nn.Linear(64, 32).to(dtype).requires_grad_(False)
    network = trained([layer_of(module)], torch.float32, rank=8)
    x = torch.randn(4, 64, dtype=dtype, requires_grad=True)
    with network.attached():
        out = module(x)
        out.float().square().sum().backward()
    exact = functional.linear(x.float(), module.weight.float() + network.delta(f"{UNET}_to_q"), module.bias.float())
    assert out.dtype == dtype
    assert (out.float() - exact).norm() / exact.norm() < 8 * torch.finfo(dtype).eps
    assert all(weight.grad.dtype == torch.float32 for weight in network.parameters("unet"))


def test_autocast_computes_in_its_dtype() -> None:
    modules = [nn.Linear(64, 32), nn.Conv2d(64, 32, 1)]
    network = trained([layer_of(module, str(n)) for n, module in enumerate(modules)], torch.float32, rank=8)
    for module, x in zip(modules, (torch.randn(4, 64), torch.randn(2, 64, 3, 3)), strict=True):
        with network.attached():
            with torch.autocast("cpu", torch.bfloat16):
                out = module(x)
            exact = module(x)
        assert out.dtype == torch.bfloat16
        assert (out.float() - exact).norm() / exact.norm() < 8 * torch.finfo(torch.bfloat16).eps


def test_no_gradient_flows_where_nobody_needs_it() -> None:
    """The context of cross-attention needs none: only the factors get theirs."""
    module = nn.Linear(6, 5).requires_grad_(False)
    network = trained([layer_of(module)], torch.float32)
    x = torch.randn(2, 6)
    with network.attached():
        module(x).sum().backward()
    assert x.grad is None
    assert module.weight.grad is None
    assert all(weight.grad is not None for weight in network.parameters("unet"))


def test_rounded_delta_is_what_a_file_of_that_precision_gives() -> None:
    network = trained([layer_of(nn.Linear(6, 5), "a")], torch.float32)
    held = {name: tensor.half().float() for name, tensor in network.tensors().items()}
    expected = held["a.lora_up.weight"] @ held["a.lora_down.weight"] * (2.0 / 3)
    assert torch.equal(network.delta("a", "fp16"), expected)
    assert not torch.equal(network.delta("a"), expected)


def test_metadata_says_ranks_as_sd_scripts_does() -> None:
    layers = [layer_of(nn.Linear(6, 5), "a")]
    assert trained(layers, conv_rank=0).metadata() == {"ss_network_module": "networks.lora", "ss_network_dim": "3", "ss_network_alpha": "2.0"}
    assert trained(layers).metadata()["ss_network_args"] == '{"conv_dim": "2", "conv_alpha": "1.0"}'


def _has_half_products() -> bool:
    try:
        torch.zeros(2, 2).half() @ torch.zeros(2, 2).half()
    except RuntimeError:
        return False
    return True


def test_factors_scale_is_alpha_over_rank() -> None:
    factors = Factors(layer_of(nn.Linear(6, 5)), 4, 1.0, torch.device("cpu"), generator())
    assert factors.scale == 0.25
