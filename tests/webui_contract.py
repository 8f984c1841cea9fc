"""What the WebUI and our lease on it promise each other, as functions that run inside a WebUI process.

`test_webui_contract.py` runs them in the double (webui_double/), and in a real WebUI through webui_driver.py. So they
use nothing of pytest, take the loaded model as they find it, and return the figures that are worth printing.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from lib_lora.core.errors import BusyError, HostError
from lib_lora.hosts.base import Lease, Overrides, PictureRequest
from lib_lora.hosts.webui import WebUIHost, facts, frozen, networks
from lib_lora.hosts.webui.model import WebUIModel
from lib_lora.model import Family, Layer, Prediction, SizeCond

Figures = dict[str, Any]
SIZE = 64  # pixels of a side in every picture here
TEXTS = ["a photo of sks cat, sitting", "1girl, solo, blue hair"]
PROMISES: dict[str, Callable[[WebUIHost], Figures]] = {}


def promise(function: Callable[[WebUIHost], Figures]) -> Callable[[WebUIHost], Figures]:
    PROMISES[function.__name__] = function
    return function


class RandomLora:
    """Low-rank changes with random weights on every layer: what a training might have come to, without one."""

    def __init__(self, layers: Sequence[Layer], rank: int = 4, strength: float = 0.3, seed: int = 7) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.layers, self.rank = list(layers), rank
        self.down: dict[str, nn.Parameter] = {}
        self.up: dict[str, nn.Parameter] = {}
        for layer in self.layers:
            kernel = () if layer.conv is None else tuple(layer.conv.kernel)
            fan_in = layer.in_features * int(np.prod(kernel or (1,)))
            down = torch.randn(rank, layer.in_features, *kernel, generator=generator) / fan_in**0.5
            up = torch.randn(layer.out_features, rank, *(1 for _ in kernel), generator=generator) * strength / rank**0.5
            self.down[layer.key], self.up[layer.key] = nn.Parameter(down), nn.Parameter(up)

    def parameters(self) -> list[nn.Parameter]:
        return [*self.down.values(), *self.up.values()]

    @contextmanager
    def attached(self) -> Iterator[None]:
        with ExitStack() as stack:
            for layer in self.layers:
                stack.callback(layer.attach(self._delta(layer)))
            yield

    def save(self, path: Path, dtype: torch.dtype, family: Family) -> Path:
        tensors: dict[str, Tensor] = {}
        for layer in self.layers:
            tensors[f"{layer.key}.lora_down.weight"] = self.down[layer.key].detach().cpu().to(dtype)
            tensors[f"{layer.key}.lora_up.weight"] = self.up[layer.key].detach().cpu().to(dtype)
            tensors[f"{layer.key}.alpha"] = torch.tensor(float(self.rank))
        base = {"ss_base_model_version": "sdxl_base_v1-0"} if family is Family.SDXL else {"ss_v2": str(family is Family.SD2)}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, str(path), metadata=base)
        return path

    def change(self, key: str) -> Tensor:
        down, up = self.down[key].detach().double(), self.up[key].detach().double()
        return torch.einsum("or,ri...->oi...", up.flatten(1), down)

    def _delta(self, layer: Layer) -> Callable[[Tensor], Tensor]:
        down, up = self.down[layer.key], self.up[layer.key]
        if layer.conv is None:
            return lambda x: F.linear(F.linear(x, down), up)
        conv = layer.conv
        return lambda x: F.conv2d(F.conv2d(x, down, None, conv.stride, conv.padding, conv.dilation), up)


def inputs(seed: int = 3, batch: int = 2) -> tuple[Tensor, Tensor, list[SizeCond]]:
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(batch, 4, SIZE // 8, SIZE // 8, generator=generator)
    return noisy, torch.tensor([100, 700] * batch)[:batch], [SizeCond((SIZE, SIZE), (0, 0), (SIZE, SIZE))] * batch


def generate(prompt: str = TEXTS[1], seed: int = 1) -> np.ndarray:
    """A picture as a user makes it, for comparing bit for bit."""
    from modules import processing, shared
    from modules.call_queue import queue_lock

    job = processing.StableDiffusionProcessingTxt2Img(
        sd_model=shared.sd_model, prompt=prompt, negative_prompt="", seed=seed, steps=4, cfg_scale=7.0, width=SIZE, height=SIZE,
        sampler_name="Euler", do_not_save_samples=True, do_not_save_grid=True,
    )  # fmt: skip
    with queue_lock:
        try:
            return np.asarray(processing.process_images(job).images[0]).copy()
        finally:
            job.close()


def host_output(name: str | None = None) -> Tensor:
    """What the WebUI's own way gives for `inputs`: its prompt encoder and its `apply_model`, with a network or none."""
    import networks as builtin
    from modules import prompt_parser, shared

    sd = shared.sd_model
    builtin.load_networks([name] if name else [], [1.0], [1.0], [None])
    noisy, timesteps, _ = inputs()
    with torch.no_grad():
        cond = sd.get_learned_conditioning(prompt_parser.SdConditioning(list(TEXTS), width=SIZE, height=SIZE))
        return sd.apply_model(noisy, timesteps, cond).float()


def our_output(model: WebUIModel) -> Tensor:
    noisy, timesteps, sizes = inputs()
    with torch.no_grad():
        return model.predict(noisy, timesteps, model.encode_texts(TEXTS), sizes)


def tidy() -> None:
    """After a promise that was broken: no network loaded, so that the next one is judged by itself."""
    import networks as builtin

    builtin.load_networks([])
    networks.clear(facts.loaded())


def snapshot() -> dict[str, Any]:
    """Everything that has to be the same afterwards."""
    import networks as builtin
    from modules import call_queue, sd_hijack, shared

    sd = facts.loaded()
    classes = {name: vars(owner)[what] for name, owner, what in _classes()}
    free = call_queue.queue_lock.acquire(blocking=False)
    if free:
        call_queue.queue_lock.release()
    return {
        "weights": {name: seen for name, seen in frozen.full_digest(sd).items()},
        "places": [(parameter.data_ptr(), parameter.device) for parameter in sd.parameters()],
        "asks": [parameter.requires_grad for parameter in sd.parameters()],
        "gradients": [name for name, parameter in sd.named_parameters() if parameter.grad is not None],
        "modes": [module.training for module in sd.modules()],
        "forwards": {name: vars(module)["forward"] for name, module in sd.named_modules() if "forward" in vars(module)},
        "hooks": [len(vars(module)["_forward_pre_hooks"]) + len(vars(module)["_forward_hooks"]) for module in sd.modules()],
        "padding": [module.padding_mode for module in sd.modules() if isinstance(module, nn.Conv2d)],
        "classes": classes,
        "optimizer": sd_hijack.current_optimizer,
        "options": dict(shared.opts.data),
        "flags": dict(vars(shared.cmd_opts)),
        "networks": [(net.name, net.te_multiplier, net.unet_multiplier) for net in builtin.loaded_networks],
        "applied": [getattr(module, "network_current_names", ()) for module in sd.modules()],
        "hypernetworks": list(shared.loaded_hypernetworks),
        "parallel": shared.parallel_processing_allowed,
        "job": shared.state.job,
        "parameterization": getattr(sd, "parameterization", None),
        "schedule": sd.alphas_cumprod,
        "random": (random.getstate(), torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes()),
        "free": free,
    }


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was. Objects are compared by identity where they have no value of their own."""
    same = {name: before[name] is after[name] if isinstance(before[name], Tensor) else before[name] == after[name] for name in before}
    return [name for name, equal in same.items() if not equal]


def always() -> bool:
    return True


def borrowed(host: WebUIHost, **lease: Any) -> Any:
    return host.borrow(Lease(**lease), always)


def distance(first: Any, second: Any) -> float:
    if isinstance(first, Tensor):
        return float((first.double() - second.double()).abs().max())
    return float(np.abs(first.astype(float) - second.astype(float)).max())


@contextmanager
def lora_file(host: WebUIHost, lora: RandomLora, name: str, dtype: torch.dtype = torch.float32) -> Iterator[Path]:
    """The file in the WebUI's folder while open."""
    path = lora.save(host.paths().loras / f"{name}.safetensors", dtype, host.facts().family)
    host.forget([path])
    try:
        yield path
    finally:
        path.unlink()
        host.forget([path])


class Opened:
    """Counts how often a file is opened by this process, by the interpreter's audit events."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            self.paths.append(str(arguments[0]))

    def count(self, path: Path) -> int:
        return sum(Path(opened).name == path.name for opened in self.paths)


def steps(model: WebUIModel, lora: RandomLora, number: int, texts: bool) -> Iterator[float]:
    """A few plain optimizer steps on one target, as a training makes them."""
    optimizer = torch.optim.AdamW(lora.parameters(), lr=1e-3)
    noisy, timesteps, sizes = inputs()
    target = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(11))
    cond = model.encode_texts(TEXTS)
    with lora.attached():
        for _ in range(number):
            cond = model.encode_texts(TEXTS, grad=True) if texts else cond
            loss = F.mse_loss(model.predict(noisy, timesteps, cond, sizes), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield loss.item()


@promise
def facts_come_from_the_loaded_model(host: WebUIHost) -> Figures:
    sd, known = facts.loaded(), host.facts()
    in_file = facts.tensor_names(known.file)
    host_v = sd.parameterization == "v"
    assert known.family is (Family.SDXL if sd.is_sdxl else Family.SD2 if sd.is_sd2 else Family.SD1)
    assert (known.prediction is Prediction.V) == (host_v or "v_pred" in in_file)
    assert known.zero_terminal == ("ztsnr" in in_file)
    assert any("samples this file wrongly" in str(note) for note in known.notes) == ("v_pred" in in_file and not host_v)
    assert host.facts(Overrides(prediction=Prediction.EPSILON)).prediction is Prediction.EPSILON
    assert host.facts(Overrides(zero_terminal=True)).zero_terminal
    return {"family": known.family.value, "prediction": known.prediction.value, "zero_terminal": known.zero_terminal, "dtype": known.dtype, "host_v": host_v}


@promise
def ten_runs_leave_no_trace(host: WebUIHost) -> Figures:
    """Nine that end, one of them stopped early, and one that raises inside; text encoders in every other one."""
    picture, opened = generate(), Opened()
    before = snapshot()
    sd, file = facts.loaded(), host.facts().file
    pointers = {parameter.data_ptr() for parameter in sd.parameters()}
    losses: list[float] = []
    opened.paths.clear()
    for run in range(10):
        texts = run % 2 == 0
        try:
            with borrowed(host, trains_text=texts) as model:
                used = _pointers_used(model)
                lora = RandomLora([layer for layer in model.layers() if texts or layer.part == "unet"], strength=0.01, seed=run)
                for loss in steps(model, lora, 1 if run == 4 else 3, texts):
                    losses.append(loss)
                    if run == 7:
                        raise KeyError("something went wrong in the training")
                assert model.changed() is None
                assert used
                assert used <= pointers, "a layer computed with a weight that is not the model's own"
                assert all(parameter.grad is None for parameter in sd.parameters())
        except KeyError:
            assert run == 7
        wrong = differing(before, snapshot())
        assert not wrong, f"run {run} left {wrong}"
    times_opened = opened.count(file)
    assert times_opened == 0, f"the checkpoint file was opened {times_opened} times"
    assert distance(picture, generate()) == 0
    digest = hashlib.sha256(json.dumps(sorted(seen[2] for seen in before["weights"].values())).encode()).hexdigest()
    return {
        "runs": 10,
        "tensors": len(before["weights"]),
        "state_dict_sha256": digest[:16],
        "file_opened": times_opened,
        "weights_used": len(used),
        "losses": len(losses),
    }


@promise
def networks_in_the_weights_step_aside(host: WebUIHost) -> Figures:
    """A LoRA that a picture left in the weights is out while we train, and in again afterwards, bit for bit."""
    import networks as builtin

    clean = frozen.full_digest(facts.loaded())
    with borrowed(host, trains_text=True) as model:
        lora = RandomLora(model.layers())
    with lora_file(host, lora, "contract_applied"):
        prompt = f"{TEXTS[1]} <lora:contract_applied:0.7>"
        with_it = generate(prompt)
        before = snapshot()
        applied = sum(clean[name] != seen for name, seen in before["weights"].items())
        assert applied, "the WebUI did not merge the network; this proves nothing"
        with borrowed(host) as model:
            assert frozen.full_digest(model.sd) == clean
            assert not networks.marked(model.sd)
        wrong = differing(before, snapshot())
        assert not wrong, f"not as before: {wrong}"
        assert distance(with_it, generate(prompt)) == 0
        without = generate()
        assert frozen.full_digest(facts.loaded()) == clean
        builtin.load_networks([])
    return {"tensors_with_network": applied, "picture_effect": distance(with_it, without)}


@promise
def prediction_is_the_hosts(host: WebUIHost) -> Figures:
    theirs = host_output()
    with borrowed(host) as model:
        ours = our_output(model)
    error = distance(ours, theirs)
    assert error <= 1e-5 * float(theirs.abs().max()), error
    return {"error": error, "largest": float(theirs.abs().max())}


@promise
def the_file_does_in_the_host_what_it_did_in_training(host: WebUIHost) -> Figures:
    """`<lora:x:1>` gives the training-time output, and moves it far more than the error."""
    figures: Figures = {}
    plain = host_output()
    for text in (False, True):
        with borrowed(host, trains_text=text) as model:
            lora = RandomLora([layer for layer in model.layers() if text or layer.part == "unet"])
            with lora.attached():
                trained = our_output(model)
        for name, dtype, tolerance in (("fp32", torch.float32, 2e-5), ("fp16", torch.float16, 2e-3)):
            with lora_file(host, lora, f"contract_{name}_{int(text)}", dtype) as path:
                in_host = host_output(path.stem)
            effect, error = distance(trained, plain), distance(in_host, trained)
            allowed = tolerance * float(trained.abs().max())
            figures[f"{'unet+te' if text else 'unet'}_{name}"] = {
                "error": error,
                "allowed": allowed,
                "effect": effect,
                "effect/error": effect / max(error, 1e-12),
            }
            assert error <= allowed, f"{name}: off by {error}"
            assert effect >= 100 * allowed, f"{name}: moves the output by {effect} only"
    assert distance(host_output(), plain) == 0
    return figures


@promise
def deltas_are_what_was_saved(host: WebUIHost) -> Figures:
    worst = 0.0
    with borrowed(host, trains_text=True) as model:
        lora = RandomLora(model.layers())
        path = lora.save(host.paths().state / "contract_deltas.safetensors", torch.float32, model.facts.family)
        try:
            found = dict(host.deltas(path, model))
        finally:
            path.unlink()
        for key, change in found.items():
            wanted = lora.change(key)
            worst = max(worst, distance(change.reshape(wanted.shape), wanted) / float(wanted.abs().max()))
        assert found.keys() == lora.down.keys(), sorted(found.keys() ^ lora.down.keys())[:5]
        assert worst < 1e-5
    return {"layers": len(found), "worst_relative_error": worst}


@promise
def a_replaced_file_is_used_at_once(host: WebUIHost) -> Figures:
    """Without `forget` the WebUI keeps the old content in the weights when name and strength are the same."""
    with borrowed(host, trains_text=True) as model:
        first, second = RandomLora(model.layers(), seed=1), RandomLora(model.layers(), seed=2)
    prompt = f"{TEXTS[1]} <lora:contract_same:1>"
    with lora_file(host, first, "contract_same") as path:
        old = generate(prompt)
        time.sleep(0.02)
        second.save(path, torch.float32, host.facts().family)
        host.forget([path])
        new = generate(prompt)
    with lora_file(host, second, "contract_other"):
        wanted = generate(f"{TEXTS[1]} <lora:contract_other:1>")
    assert distance(new, old) > 0
    assert distance(new, wanted) == 0
    return {"changed": distance(new, old), "off_by": distance(new, wanted)}


@promise
def a_replaced_file_during_a_lease_is_not_put_back_old(host: WebUIHost) -> Figures:
    with borrowed(host) as model:
        first, second = (RandomLora([layer for layer in model.layers() if layer.part == "unet"], seed=seed) for seed in (1, 2))
    prompt = f"{TEXTS[1]} <lora:contract_lease:1>"
    with lora_file(host, first, "contract_lease") as path:
        old = generate(prompt)
        with borrowed(host) as model:
            time.sleep(0.02)
            second.save(path, torch.float32, model.facts.family)
            host.forget([path])
        new = generate(prompt)
        plain = generate()
    with lora_file(host, second, "contract_lease2"):
        wanted = generate(f"{TEXTS[1]} <lora:contract_lease2:1>")
    assert distance(new, old) > 0
    assert distance(new, wanted) == 0
    return {"changed": distance(new, old), "off_by": distance(new, wanted), "against_none": distance(new, plain)}


@promise
def captions_are_literal(host: WebUIHost) -> Figures:
    """A caption is encoded as generation encodes the same words, but brackets and BREAK are words too."""
    from modules import prompt_parser

    sd = facts.loaded()
    long = ", ".join(f"tag number {number}" for number in range(60))

    def theirs(text: str) -> Tensor:
        with torch.no_grad():
            cond = sd.get_learned_conditioning(prompt_parser.SdConditioning([text], width=SIZE, height=SIZE))
        return cond["crossattn"] if isinstance(cond, dict) else cond

    plain, chunks = theirs(TEXTS[0]), theirs(long)
    escaped, weighed = theirs(r"saber \(fate\), [blue]".replace("[", r"\[").replace("]", r"\]")), theirs("saber (fate), [blue]")
    with borrowed(host) as model:
        ours = model.encode_texts([TEXTS[0]]).context
        long_ours = model.encode_texts([long]).context
        literal = model.encode_texts(["saber (fate), [blue]"]).context
        both = model.encode_texts([TEXTS[0], long]).context
    assert distance(ours, plain) == 0
    assert long_ours.shape == chunks.shape
    assert chunks.shape[1] > 77
    assert distance(long_ours, chunks) == 0, [distance(a, b) for a, b in zip(long_ours.split(77, 1), chunks.split(77, 1))]
    assert distance(literal, escaped) == 0
    assert distance(weighed, escaped) > 0
    assert both.shape[:2] == (2, chunks.shape[1])
    return {"tokens": long_ours.shape[1], "literal": distance(literal, escaped), "weighed": distance(weighed, escaped)}


@promise
def clip_skip_is_pinned(host: WebUIHost) -> Figures:
    from modules import shared

    known = host.facts(Overrides(clip_skip=3))
    with borrowed(host) as model:
        as_host = model.encode_texts(TEXTS[:1]).context
    with borrowed(host, overrides=Overrides(clip_skip=3)) as model:
        before = dict(shared.opts.data)
        ours = model.encode_texts(TEXTS[:1]).context
        assert shared.opts.data == before, "the setting itself was touched: it could be saved so"
    moved = distance(ours, as_host)
    counts = facts.skip_counts(known.family, shared.opts)
    assert (moved > 0) == counts
    assert counts == (not any("no effect" in str(note) for note in known.notes))
    return {"counts": counts, "clip_skip": known.clip_skip, "moved": moved}


@promise
def latents_are_the_hosts(host: WebUIHost) -> Figures:
    generator = torch.Generator().manual_seed(5)
    pixels = torch.rand(2, 3, SIZE, 96, generator=generator) * 2 - 1
    with borrowed(host) as model:
        posterior = model.encode_images(pixels)
        torch.manual_seed(9)
        noise = torch.randn(posterior.mean.shape)
        torch.manual_seed(9)
        with torch.no_grad():
            encoded = model.sd.encode_first_stage(pixels)
            theirs = model.sd.get_first_stage_encoding(encoded)
        error = distance(posterior.mean + posterior.std * noise, theirs)
        assert posterior.mean.shape == (2, 4, SIZE // 8, 12)
        assert error <= 1e-5 * float(theirs.abs().max())
        assert model.vae_fingerprint() == model.vae_fingerprint()
    return {"error": error, "mean_std": float(posterior.mean.std()), "posterior_std": float(posterior.std.mean())}


@promise
def a_vae_that_gives_nan_is_retried_in_float32(host: WebUIHost) -> Figures:
    pixels = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    calls: list[torch.dtype] = []
    with borrowed(host) as model:
        right = model.encode_images(pixels)
        exact = model._moments

        def overflowing(values: Tensor, dtype: torch.dtype) -> Tensor:
            calls.append(dtype)
            return exact(values, dtype) * (float("nan") if len(calls) == 1 else 1.0)

        model._moments = overflowing
        again = model.encode_images(pixels)
        model.encode_images(pixels)
        assert distance(again.mean, right.mean) == 0
        assert len(calls) == 3, "once float32 was needed, it is used at once"
        model._moments = lambda values, dtype: exact(values, dtype) * float("nan")
        try:
            model.encode_images(pixels)
        except HostError as error:
            assert "VAE" in str(error)
        else:
            raise AssertionError("NaN in float32 has to be an error")
    return {"calls": len(calls)}


@promise
def the_schedule_is_float32_and_our_own(host: WebUIHost) -> Figures:
    with borrowed(host, overrides=Overrides(zero_terminal=False)) as model:
        plain = model.alphas_cumprod()
    with borrowed(host, overrides=Overrides(zero_terminal=True)) as model:
        zero = model.alphas_cumprod()
        assert zero.data_ptr() != model.sd.alphas_cumprod.data_ptr()
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    assert plain.shape == (1000,)
    assert plain.dtype is torch.float32
    assert distance(plain, (1 - betas).cumprod(0)) < 1e-6
    assert zero[-1] == 0
    assert float(zero[0]) == float(plain[0])
    assert bool((zero[1:] < zero[:-1]).all())
    return {"first": float(plain[0]), "last": float(plain[-1]), "last_zero_terminal": float(zero[-1])}


@promise
def checkpointed_blocks_give_the_same_gradients(host: WebUIHost) -> Figures:
    noisy, timesteps, sizes = inputs()
    with borrowed(host) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part == "unet"])
        cond = model.encode_texts(TEXTS)
        found: list[list[Tensor]] = []
        saved: list[int] = []
        for checkpointed in (False, True):
            with lora.attached(), model.checkpoint_blocks() if checkpointed else ExitStack():
                with _saved_bytes() as kept:
                    loss = model.predict(noisy, timesteps, cond, sizes).square().mean()
                found.append(list(torch.autograd.grad(loss, lora.parameters())))
            saved.append(kept[0])
        worst = max(distance(first, second) / max(float(first.abs().max()), 1e-12) for first, second in zip(*found))
        assert all(bool(grad.abs().max() > 0) for grad in found[0]), "a layer gets no gradient"
        assert worst < 1e-4
        assert saved[1] < 0.5 * saved[0]
        assert not [name for name, module in model.sd.named_modules() if "forward" in vars(module)]
    return {"worst_relative_difference": worst, "saved_bytes": saved[0], "saved_bytes_checkpointed": saved[1]}


@promise
def text_encoders_get_gradients(host: WebUIHost) -> Figures:
    noisy, timesteps, sizes = inputs()
    with borrowed(host, trains_text=True) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part != "unet"])
        with lora.attached():
            cond = model.encode_texts(TEXTS, grad=True)
            model.predict(noisy, timesteps, cond, sizes).square().mean().backward()
        parts = sorted({layer.part for layer in lora.layers})
        silent = [key for key, up in lora.up.items() if up.grad is None or not bool(up.grad.abs().max() > 0)]
        assert parts == (["te1", "te2"] if model.facts.family is Family.SDXL else ["te1"])
        # Layers behind the one that is read give nothing to the UNet, in generation either.
        assert len(silent) <= 12, silent
        assert not model.encode_texts(TEXTS).context.requires_grad
    return {"parts": parts, "layers": len(lora.layers), "behind_the_layer_read": len(silent)}


@promise
def a_preview_is_a_picture_of_the_network(host: WebUIHost) -> Figures:
    from modules import paths_internal, shared

    request = PictureRequest(prompt=TEXTS[1], seed=5, steps=4, size=(SIZE, SIZE))
    history = Path(paths_internal.data_path) / "params.txt"
    written = history.stat().st_mtime_ns if history.exists() else None
    before = snapshot()
    with borrowed(host) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part == "unet"])
        inside = snapshot()
        plain = np.asarray(host.picture(model, request))
        shared.opts.data["sd_model_checkpoint"] = "another checkpoint, chosen meanwhile"
        with lora.attached():
            first, second = (np.asarray(host.picture(model, request)) for _ in range(2))
        assert shared.opts.data["sd_model_checkpoint"] == "another checkpoint, chosen meanwhile"
        shared.opts.data["sd_model_checkpoint"] = before["options"]["sd_model_checkpoint"]
        assert np.array_equal(plain, np.asarray(host.picture(model, request)))
        wrong = differing(inside, snapshot())
        assert not wrong, f"the preview left {wrong}"
        list(steps(model, lora, 1, texts=False))
    assert np.array_equal(first, second)
    assert plain.shape == (SIZE, SIZE, 3)
    assert distance(first, plain) > 0
    assert not differing(before, snapshot())
    assert written == (history.stat().st_mtime_ns if history.exists() else None)
    return {"effect": distance(first, plain), "std": float(plain.std())}


@promise
def leftovers_are_set_aside_and_put_back(host: WebUIHost) -> Figures:
    from modules import sd_hijack, sd_models, shared

    sd = facts.loaded()
    clean = host_output()
    layer = next(module for module in sd.model.diffusion_model.modules() if isinstance(module, nn.Linear))
    hooked = layer.forward
    layer.forward = lambda *inputs: hooked(*inputs) + 1.0
    sd_hijack.model_hijack.apply_circular(True)
    sd_models.apply_token_merging(sd, 0.5)
    shared.loaded_hypernetworks.append(_NoHypernetwork())
    try:
        disturbed = distance(host_output(), clean)
        before = snapshot()
        with borrowed(host) as model:
            error = distance(our_output(model), clean)
            notes = [str(note) for note in model.facts.notes]
        assert disturbed > 1e-3
        assert error <= 1e-5 * float(clean.abs().max())
        assert any("1 layers" in note for note in notes), notes
        wrong = differing(before, snapshot())
        assert not wrong, f"not as before: {wrong}"
        assert sd.applied_token_merged_ratio == 0.5
    finally:
        del layer.forward
        sd_hijack.model_hijack.apply_circular(False)
        sd_models.apply_token_merging(sd, 0)
        shared.loaded_hypernetworks.clear()
    assert distance(host_output(), clean) == 0
    return {"disturbed": disturbed, "error_in_lease": error}


@promise
def we_wait_in_line_and_can_leave_it(host: WebUIHost) -> Figures:
    from modules.call_queue import queue_lock

    asked: list[float] = []

    def patience() -> bool:
        asked.append(time.monotonic())
        return len(asked) < 3

    queue_lock.acquire()
    try:
        assert host.busy()
        try:
            with host.borrow(Lease(), patience):
                raise AssertionError("lent although somebody else had the queue")
        except BusyError:
            pass
    finally:
        queue_lock.release()
    deadline = time.monotonic() + 5
    while host.busy() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not host.busy(), "the place that was given up still holds the queue"
    queue_lock.acquire()
    threading.Timer(0.3, queue_lock.release).start()
    with host.borrow(Lease(), always):
        assert host.busy()
    assert not host.busy()
    return {"asked": len(asked)}


@promise
def what_cannot_be_trained_is_refused_with_a_remedy(host: WebUIHost) -> Figures:
    from modules import devices, shared

    sd = facts.loaded()
    assert host.refusals(Lease(trains_text=True)) == []
    cases = [
        (shared.cmd_opts, {"lowvram": True}, "--medvram"),
        (shared.cmd_opts, {"precision": "half"}, "--precision half"),
        (devices, {"fp8": True}, "fp8"),
        (sd, {"is_sd3": True}, "SD3"),
        (sd.model.diffusion_model, {"in_channels": 9}, "inpainting"),
        (sd.model.diffusion_model, {"in_channels": 8}, "pix2pix"),
        (sd, {"lowvram": True}, "medvram"),
    ]
    before = snapshot()
    for owner, values, word in cases:
        kept = {name: vars(owner).get(name) for name in values}
        for name, value in values.items():
            setattr(owner, name, value)
        try:
            messages = [str(message) for message in host.refusals(Lease(trains_text=True))]
            assert any(word in message for message in messages), (word, messages)
            try:
                with host.borrow(Lease(trains_text=True), always):
                    raise AssertionError(f"lent all the same: {word}")
            except HostError as error:
                assert word in str(error)
        finally:
            for name, value in kept.items():
                setattr(owner, name, value) if value is not None else delattr(owner, name)
    assert not differing(before, snapshot())
    return {"cases": len(cases)}


@promise
def a_model_that_goes_away_is_noticed(host: WebUIHost) -> Figures:
    from modules import sd_models

    with borrowed(host) as model:
        assert model.changed() is None
        kept = sd_models.model_data.sd_model
        sd_models.model_data.sd_model = None
        try:
            assert model.changed() is not None
            try:
                host.picture(model, PictureRequest(prompt="x", steps=1, size=(SIZE, SIZE)))
            except HostError as error:
                assert "unloaded" in str(error)
            else:
                raise AssertionError("a picture of a model that is gone")
        finally:
            sd_models.model_data.sd_model = kept
        assert model.changed() is None
        started = time.perf_counter()
        for _ in range(100):
            model.changed()
        cost = (time.perf_counter() - started) / 100
    return {"seconds_per_question": cost}


@promise
def a_model_that_was_written_to_is_reported(host: WebUIHost) -> Figures:
    sd = facts.loaded()
    weight = next(sd.model.diffusion_model.parameters())
    try:
        with borrowed(host):
            with torch.no_grad():
                weight.reshape(-1)[0].add_(1.0)
    except HostError as error:
        assert "not as they were" in str(error)
    else:
        raise AssertionError("not noticed")
    finally:
        with torch.no_grad():
            weight.reshape(-1)[0].sub_(1.0)
    assert not host.busy()
    return {}


@promise
def a_network_learns(host: WebUIHost) -> Figures:
    with borrowed(host) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part == "unet"], strength=0.0)
        losses = list(steps(model, lora, 30, texts=False))
    share = losses[-1] / losses[0]
    assert share < 0.9, share
    return {"first": losses[0], "last": losses[-1], "share": share}


class _NoHypernetwork:
    layers: dict[int, Any] = {}


def _classes() -> list[tuple[str, Any, str]]:
    from lib_lora.hosts.webui import attention

    return [(f"{getattr(owner, '__module__', owner.__name__)}.{getattr(owner, '__qualname__', '')}.{name}", owner, name) for owner, name in attention._places()]


def _pointers_used(model: WebUIModel) -> set[int]:
    """Filled while the model computes: where the weights lie that its layers use."""
    used: set[int] = set()
    for module in model.unet.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_pre_hook(_Once(used))
    return used


class _Once:
    # Removes itself, so that the model is not left with hooks.
    def __init__(self, used: set[int]) -> None:
        self.used = used

    def __call__(self, module: nn.Module, _: Any) -> None:
        self.used.add(module.weight.data_ptr())
        hooks = vars(module)["_forward_pre_hooks"]
        for key in [key for key, hook in hooks.items() if hook is self or isinstance(hook, _Once)]:
            del hooks[key]


@contextmanager
def _saved_bytes() -> Iterator[list[int]]:
    total, seen = [0], set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in seen and not isinstance(tensor, nn.Parameter):
            seen.add(tensor.data_ptr())
            total[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
