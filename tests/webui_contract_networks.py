"""Promises around the built-in Lora: what is trained acts the same there, and new files are used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from webui_bench import (
    HEIGHT,
    TEXTS,
    WIDTH,
    Figures,
    Opened,
    RandomLora,
    borrowed,
    differing,
    distance,
    generate,
    host_output,
    lora_file,
    our_output,
    promise,
    snapshot,
)

from lib_lora import demo
from lib_lora.core.settings import load
from lib_lora.hosts.webui import WebUIHost, facts, frozen, networks
from lib_lora.hosts.webui.model import WebUIModel
from lib_lora.jobs import Jobs
from lib_lora.training.config import TrainConfig


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


class Watching(WebUIHost):
    """Looks at the model when a saved file is read back: the network is on it then, as it was trained."""

    trained: Tensor | None = None

    def deltas(self, path: Path, model: WebUIModel) -> Iterator[tuple[str, Tensor]]:
        self.trained = our_output(model)
        return super().deltas(path, model)


@promise
def a_whole_job_ends_in_a_file_that_acts(host: WebUIHost) -> Figures:
    """Folder → job in its own thread → file, card, preview; UNet and text encoders; nothing left on the model."""
    watching, name = Watching(), "contract_job"
    drawn = demo.pictures(host.paths().state / "contract_pictures").job
    raw = {
        "data": {**drawn["data"], "resolution": [128, 128]},
        "bucket": {"min": 64, "max": 256, "step": 64},
        "caption": drawn["caption"],
        "network": {"kind": "lora", "rank": 8, "alpha": 8.0, "conv_rank": 4},
        "learning": {"epochs": 2, "batch_size": 2, "unet_lr": 5e-3, "text_encoder_lr": 5e-3},
        "save": {"name": name, "replace": True, "precision": "fp32"},
        "preview": {"every_epochs": 1, "steps": 2, "size": [WIDTH, HEIGHT]},
    }
    checkpoint = host.facts().file  # whose header is read when it is loaded, not by a run
    plain, picture, opened = host_output(), generate(), Opened()
    before = snapshot()
    jobs = Jobs(watching)
    job = jobs.start(load(TrainConfig, raw))
    while not jobs.status(job).ended:
        time.sleep(0.05)
    status = jobs.status(job)
    assert status.phase == "done", status
    wrong = differing(before, snapshot())
    assert not wrong, f"left {wrong}"
    assert opened.count(checkpoint) == 0
    path = host.paths().loras / f"{name}.safetensors"
    try:
        in_host = host_output(name)
        error, effect = distance(in_host, watching.trained), distance(watching.trained, plain)
        allowed = 2e-5 * float(plain.abs().max())
        with_it = generate(f"{TEXTS[1]} <lora:{name}:1>")
        assert error <= allowed, error
        assert effect >= 100 * allowed, effect
        assert distance(with_it, picture) > 0
        assert distance(generate(), picture) == 0
        assert path.with_suffix(".json").is_file()
        assert path.with_suffix(".png").is_file()
    finally:
        files = [file for file in path.parent.iterdir() if file.name.startswith(name)]
        for file in files:
            file.unlink()
        host.forget([path])
    return {"steps": status.step, "loss": status.loss, "error": error, "allowed": allowed, "effect": effect, "files": len(files)}
