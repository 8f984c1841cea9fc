"""Lending, sampling and reading back, on small checkpoints of every family."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest
import torch
from checkpoints import WIDTH, network, sd1, sd2, sdxl
from safetensors.torch import load_file, save_file

from lib_lora.core.errors import BusyError, HostError
from lib_lora.hosts.base import Lease, Overrides, PictureRequest
from lib_lora.hosts.diffusers import DiffusersHost
from lib_lora.hosts.diffusers.model import DiffusersModel
from lib_lora.model import Prediction, SizeCond, TextCond

pytestmark = pytest.mark.skipif(util.find_spec("diffusers") is None, reason="diffusers belongs to the stand-alone environment")
FAMILIES: dict[str, Callable[[Path], Path]] = {"sd1": sd1, "sd2": sd2, "sdxl": sdxl}
SIZES = [SizeCond((64, 96), (0, 8), (64, 64))] * 2
PICTURE = PictureRequest("a red tree, night", seed=5, steps=3, cfg=3.0, size=(64, 96))


@pytest.fixture(scope="module", params=FAMILIES)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusersHost:
    folder = tmp_path_factory.mktemp(request.param)
    return DiffusersHost(FAMILIES[request.param](folder), folder / "out")


@pytest.fixture
def sd1_host(tmp_path: Path) -> DiffusersHost:
    return DiffusersHost(sd1(tmp_path), tmp_path / "out")


def batch(model: DiffusersModel) -> tuple[torch.Tensor, torch.Tensor, TextCond]:
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return noisy, torch.tensor([10, 900]), model.encode_texts(["a red tree", "a blue house, " * 40])


def digest(model: DiffusersModel) -> str:
    found = hashlib.sha256()
    for module in model.modules.all():
        for name, tensor in sorted(module.state_dict().items()):
            found.update(f"{name} {tensor.dtype} {tensor.device}".encode() + tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        for parameter in module.parameters():
            found.update(str(parameter.requires_grad).encode())
        for inner in module.modules():
            found.update(f"{inner.training} {'forward' in vars(inner)}".encode())
    return found.hexdigest()


def test_texts_of_any_length_are_encoded(host: DiffusersHost) -> None:
    with host.borrow(Lease()) as model:
        cond = model.encode_texts(["tree", "a blue house, " * 40])
        widths = {"sd1": WIDTH, "sd2": WIDTH, "sdxl": 2 * WIDTH}
        assert cond.context.shape[0] == 2
        assert cond.context.shape[1] % 77 == 0
        assert cond.context.shape[1] > 77
        assert cond.context.shape[2] == widths[model.facts.family.value]
        assert (cond.pooled is not None) == (model.facts.family.value == "sdxl")
        # A caption alone and the same caption beside a longer one begin alike: chunks do not see each other.
        alone = model.encode_texts(["tree"])
        assert torch.allclose(cond.context[0, :77], alone.context[0], atol=1e-5)
        if cond.pooled is not None:
            assert torch.allclose(cond.pooled[0], alone.pooled[0], atol=1e-5)


def test_a_lease_leaves_no_trace(host: DiffusersHost) -> None:
    """Ten leases with learning networks, one that raises among them: weights, flags and forwards are what they were."""
    with host.borrow(Lease()) as model:
        noisy, times, cond = batch(model)
        before, first = digest(model), model.predict(noisy, times, cond, SIZES)
    for turn in range(10):
        try:
            with host.borrow(Lease(trains_text=True)) as model:
                factor = torch.nn.Parameter(torch.ones(()))
                undo = [layer.attach(lambda x, factor=factor: factor * x.new_zeros(())) for layer in list(model.layers())[:40]]
                with model.checkpoint_blocks():
                    model.predict(noisy, times, cond, SIZES).square().mean().backward()
                assert factor.grad is not None
                assert all(parameter.grad is None for module in model.modules.all() for parameter in module.parameters())
                if turn == 5:
                    raise RuntimeError("with everything still attached")
                for take_off in undo:
                    take_off()
        except RuntimeError:
            assert turn == 5
    with host.borrow(Lease()) as model:
        assert digest(model) == before
        assert torch.equal(model.predict(noisy, times, cond, SIZES), first)


def test_checkpointing_gives_the_same_gradients(host: DiffusersHost) -> None:
    def gradient(model: DiffusersModel) -> torch.Tensor:
        scale = torch.nn.Parameter(torch.tensor(0.5))
        layer = next(layer for layer in model.layers() if layer.in_features == layer.out_features and layer.conv is None)
        undo = layer.attach(lambda x: x * scale)
        model.predict(noisy, times, cond, SIZES).square().mean().backward()
        undo()
        assert scale.grad is not None
        return scale.grad

    with host.borrow(Lease()) as model:
        noisy, times, cond = batch(model)
        plain = gradient(model)
        with model.checkpoint_blocks():
            again = gradient(model)
    assert plain != 0
    assert torch.allclose(plain, again, rtol=1e-4)


def test_a_picture_is_the_seeds_and_leaves_the_dice_alone(host: DiffusersHost) -> None:
    state = torch.get_rng_state()
    first = host.generate(PICTURE)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.size == (64, 96)
    assert host.generate(PICTURE).tobytes() == first.tobytes()
    other = PictureRequest(PICTURE.prompt, seed=6, steps=3, cfg=3.0, size=(64, 96))
    assert host.generate(other).tobytes() != first.tobytes()


def test_a_saved_network_is_read_back_layer_by_layer(host: DiffusersHost, tmp_path: Path) -> None:
    """diffusers' own loader takes the names of every family, convolutions and text encoders included."""
    with host.borrow(Lease()) as model:
        tensors, changes = network(model.layers())
        path = tmp_path / "x.safetensors"
        save_file(tensors, path)
        before = digest(model)
        state = torch.get_rng_state()
        found = dict(host.deltas(path, model))
        assert digest(model) == before
        assert torch.equal(torch.get_rng_state(), state)
    assert found.keys() == changes.keys()
    assert {layer.site for layer in model.layers()} == {"attention", "resnet"}
    for key, change in changes.items():
        assert found[key].shape == change.shape, key
        assert torch.allclose(found[key], change, rtol=1e-5, atol=1e-7), key


def test_a_tag_acts_as_the_files_changes_do(host: DiffusersHost) -> None:
    """`<lora:x:0.5>` in a picture is the same as half of what diffusers reads from the file added to every weight."""
    with host.borrow(Lease()) as model:
        tensors, changes = network([layer for layer in model.layers() if layer.site == "attention" or "conv1" in layer.key], alpha=0.4)
    host.paths().loras.mkdir(exist_ok=True)
    save_file(tensors, host.paths().loras / "x.safetensors")
    plain = host.generate(PICTURE)
    tagged = host.generate(PictureRequest(PICTURE.prompt + "<lora:x:0.5>", seed=5, steps=3, cfg=3.0, size=(64, 96)))
    with host.borrow(Lease()) as model, torch.no_grad():
        changed = [(layer.module.weight, changes[layer.key]) for layer in model.layers() if layer.key in changes]
        kept = [weight.clone() for weight, _ in changed]
        for weight, change in changed:
            weight += 0.5 * change.view_as(weight)
        merged = host.picture(model, PICTURE)
        for (weight, _), old in zip(changed, kept, strict=True):
            weight.copy_(old)
    far, near = (_distance(tagged, picture) for picture in (plain, merged))
    assert far > 5
    assert near < 0.1
    assert host.generate(PICTURE).tobytes() == plain.tobytes()


def _distance(one: object, other: object) -> float:
    import numpy as np

    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def test_text_learns_through_the_encoders(host: DiffusersHost) -> None:
    with host.borrow(Lease(trains_text=True)) as model:
        scales: dict[str, torch.nn.Parameter] = {}
        for layer in model.layers():
            if layer.part != "unet" and "_layers_1_mlp_fc2" in layer.key:
                scales[layer.part] = torch.nn.Parameter(torch.tensor(0.1))
                layer.attach(lambda x, layer=layer: scales[layer.part] * x[..., : layer.out_features])
        cond = model.encode_texts(["a red tree"], grad=True)
        (cond.context.square().sum() + (cond.pooled.square().sum() if cond.pooled is not None else 0)).backward()
        assert scales
        assert all(scale.grad is not None and scale.grad != 0 for scale in scales.values())
        assert not model.encode_texts(["a red tree"]).context.requires_grad


def test_sdxl_sees_the_sizes_in_the_right_places(tmp_path: Path) -> None:
    host = DiffusersHost(sdxl(tmp_path), tmp_path)
    with host.borrow(Lease()) as model, torch.no_grad():
        seen: list[torch.Tensor] = []
        model.modules.unet.add_time_proj.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
        noisy, times, cond = batch(model)
        model.predict(noisy, times, cond, [SizeCond((1, 2), (3, 4), (5, 6)), SizeCond((7, 8), (9, 10), (11, 12))])
    assert seen[0].tolist() == [2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]


def test_clip_skip_reads_an_earlier_layer_through_the_norm(sd1_host: DiffusersHost) -> None:
    with sd1_host.borrow(Lease()) as model:
        plain = model.encode_texts(["a red tree"]).context
    with sd1_host.borrow(Lease(overrides=Overrides(clip_skip=2))) as model, torch.no_grad():
        assert model.facts.clip_skip == 2
        skipped = model.encode_texts(["a red tree"]).context
        ids = torch.tensor(model.tokenizer.chunks("a red tree"))
        text = model.modules.te1.text_model
        text.encoder.layers[-1].register_forward_hook(lambda _, inputs, output: (inputs[0], *output[1:]))
        assert torch.allclose(skipped, text(ids).last_hidden_state, atol=1e-6)
        assert sd1_host.facts().clip_skip == 1
    assert not torch.allclose(plain, skipped, atol=1e-3)
    assert sd1_host.facts().clip_skip == 1


def test_the_schedule_is_the_published_one(sd1_host: DiffusersHost) -> None:
    """Stable Diffusion's alphas_cumprod at 0, 100, 500 and 999; with zero terminal SNR the last is 0 and the first stays."""
    with sd1_host.borrow(Lease()) as model:
        alphas = model.alphas_cumprod()
        assert alphas.dtype == torch.float32
        assert torch.allclose(alphas[[0, 100, 500, 999]], torch.tensor([0.99915, 8.45389 / 9.45389, 0.38185 / 1.38185, 0.0046601]), rtol=2e-5)
    with sd1_host.borrow(Lease(overrides=Overrides(zero_terminal=True, prediction=Prediction.V))) as model:
        rescaled = model.alphas_cumprod()
        assert rescaled[-1] == 0
        assert torch.allclose(rescaled[[0, 998]], torch.tensor([0.99915, 1.968e-7]), rtol=1e-3)


def test_marks_in_the_file_reach_the_lease_and_the_sampler(tmp_path: Path) -> None:
    plain = DiffusersHost(sdxl(tmp_path), tmp_path)
    as_noise = plain.generate(PICTURE)
    host = DiffusersHost(sdxl(tmp_path, marks=("v_pred", "ztsnr")), tmp_path)
    with host.borrow(Lease()) as model:
        assert model.facts.prediction is Prediction.V
        assert model.alphas_cumprod()[-1] == 0
        assert model.facts.sha256 == hashlib.sha256(host.facts().file.read_bytes()).hexdigest()
    assert host.generate(PICTURE).tobytes() != as_noise.tobytes()


@pytest.mark.parametrize(("shift", "prediction"), [(0.0, Prediction.EPSILON), (-4.0, Prediction.V)])
def test_sd2_without_a_yaml_is_probed(tmp_path: Path, shift: float, prediction: Prediction) -> None:
    """The WebUI's test: the mean of what the UNet adds at the last step tells v from ε."""
    path = sd2(tmp_path, None)
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.weight"] *= 0
    tensors["model.diffusion_model.out.2.bias"] += shift
    save_file(tensors, path)
    host = DiffusersHost(path, tmp_path)
    assert any("yaml" in note.text() for note in host.facts().notes)
    with host.borrow(Lease()) as model:
        assert model.facts.prediction is prediction
    assert host.facts().prediction is prediction
    assert host.facts(Overrides(prediction=Prediction.EPSILON)).prediction is Prediction.EPSILON


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_tensor_that_does_not_fit_is_named(tmp_path: Path, change: str) -> None:
    path = sd1(tmp_path)
    tensors = load_file(path)
    name = "model.diffusion_model.middle_block.1.proj_out.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["model.diffusion_model.middle_block.0.out_layers.3.strange"] = torch.zeros(1)
    else:
        tensors[name] = tensors[name][:, :8].contiguous()
    save_file(tensors, path)
    host = DiffusersHost(path, tmp_path)
    with pytest.raises(HostError, match=r"mid_block.*(proj_out|strange)"), host.borrow(Lease()):
        pass
    assert not host.busy()


def test_half_precision_goes_back_bit_for_bit(sd1_host: DiffusersHost) -> None:
    """What happens on a card: weights in half precision, a run in float32, and the same half precision afterwards."""
    with sd1_host.borrow(Lease()) as model:
        for module in (model.modules.unet, model.modules.te1):
            module.to(torch.bfloat16)
        before = digest(model)
    with sd1_host.borrow(Lease()) as model:
        noisy, times, cond = batch(model)
        assert model.predict(noisy, times, cond, SIZES).dtype == torch.float32
        with model.autocast("bf16"):
            assert model.predict(noisy, times, cond, SIZES).isfinite().all()
        with model.autocast("fp32"):
            assert next(model.modules.unet.parameters()).dtype == torch.float32
            model.predict(noisy, times, cond, SIZES)
    with sd1_host.borrow(Lease()) as model:
        assert digest(model) == before


def test_one_at_a_time(sd1_host: DiffusersHost) -> None:
    asked: list[float] = []

    def patient() -> bool:
        asked.append(time.monotonic())
        return len(asked) < 2

    with sd1_host.borrow(Lease()):
        assert sd1_host.busy()
        with pytest.raises(BusyError, match="training"):
            sd1_host.generate(PICTURE)
        with pytest.raises(BusyError), sd1_host.borrow(Lease(), patient):
            pass
        assert len(asked) == 2
    assert not sd1_host.busy()


def test_a_lease_waits_for_its_turn(sd1_host: DiffusersHost) -> None:
    order: list[str] = []
    lent, go = threading.Event(), threading.Event()

    def other() -> None:
        with sd1_host.borrow(Lease()):
            order.append("first")
            lent.set()
            go.wait(30)
            order.append("first ends")

    thread = threading.Thread(target=other)
    thread.start()
    lent.wait(30)
    with sd1_host.borrow(Lease(), lambda: go.set() or True):
        order.append("second")
    thread.join(30)
    assert order == ["first", "first ends", "second"]


def test_the_vae_names_what_it_cannot_encode(sd1_host: DiffusersHost) -> None:
    with sd1_host.borrow(Lease()) as model, pytest.raises(HostError, match="VAE"):
        model.encode_images(torch.full((1, 3, 64, 64), float("nan")))


def test_the_vaes_fingerprint_is_its_weights(tmp_path: Path) -> None:
    path = sd1(tmp_path)
    with DiffusersHost(path, tmp_path).borrow(Lease()) as model:
        first = model.vae_fingerprint()
    with DiffusersHost(path, tmp_path).borrow(Lease()) as model:
        assert model.vae_fingerprint() == first
    tensors = load_file(path)
    tensors["first_stage_model.decoder.conv_in.bias"][0] += 1
    save_file(tensors, path)
    with DiffusersHost(path, tmp_path).borrow(Lease()) as model:
        assert model.vae_fingerprint() != first
