"""Promises around the built-in Lora: what is trained acts the same there, and new files are used."""

from __future__ import annotations

import time

import torch
from webui_bench import (
    TEXTS,
    Figures,
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

from lib_lora.hosts.webui import WebUIHost, facts, frozen, networks


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
