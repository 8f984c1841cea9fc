"""What the promises of `webui_contract` are made with: a network of random weights, pictures, snapshots of everything."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from lib_lora.hosts.base import Lease
from lib_lora.hosts.webui import WebUIHost, facts, frozen, networks, program
from lib_lora.hosts.webui.model import WebUIModel
from lib_lora.model import Family, Layer, SizeCond

Figures = dict[str, Any]
WIDTH, HEIGHT = 128, 64  # of every picture here; unlike, so that no one takes one for the other
CROP = (8, 24)  # left, top
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
    noisy = torch.randn(batch, 4, HEIGHT // 8, WIDTH // 8, generator=generator)
    return noisy, torch.tensor([100, 700] * batch)[:batch], [SizeCond((WIDTH, HEIGHT), CROP, (WIDTH, HEIGHT))] * batch


def generate(prompt: str = TEXTS[1], seed: int = 1) -> np.ndarray:
    """A picture as a user makes it, for comparing bit for bit."""
    from modules import processing, shared
    from modules.call_queue import queue_lock

    job = processing.StableDiffusionProcessingTxt2Img(
        sd_model=shared.sd_model, prompt=prompt, negative_prompt="", seed=seed, steps=4, cfg_scale=7.0, width=WIDTH, height=HEIGHT,
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
        with program.options_pinned({"sdxl_crop_left": CROP[0], "sdxl_crop_top": CROP[1]}):
            cond = sd.get_learned_conditioning(prompt_parser.SdConditioning(list(TEXTS), width=WIDTH, height=HEIGHT))
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
        "weights": frozen.full_digest(sd),
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


class NoHypernetwork:
    def __init__(self) -> None:
        self.layers: dict[int, Any] = {}


def _classes() -> list[tuple[str, Any, str]]:
    from lib_lora.hosts.webui import attention

    return [(f"{getattr(owner, '__module__', owner.__name__)}.{getattr(owner, '__qualname__', '')}.{name}", owner, name) for owner, name in attention._places()]


def pointers_used(model: WebUIModel) -> set[int]:
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
def saved_bytes() -> Iterator[list[int]]:
    total, seen = [0], set()

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in seen and not isinstance(tensor, nn.Parameter):
            seen.add(tensor.data_ptr())
            total[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
