"""Promises of the lease: the model goes back as it came, whatever happened in between."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from webui_bench import (
    HEIGHT,
    TEXTS,
    WIDTH,
    Figures,
    NoHypernetwork,
    Opened,
    RandomLora,
    always,
    borrowed,
    differing,
    distance,
    generate,
    host_output,
    lora_file,
    our_output,
    pointers_used,
    promise,
    snapshot,
    steps,
)

from lib_lora.core.errors import BusyError, HostError
from lib_lora.hosts.base import Lease, Overrides, PictureRequest
from lib_lora.hosts.webui import WebUIHost, facts
from lib_lora.model import Prediction


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
                used = pointers_used(model)
                torch.manual_seed(run)  # as somebody's sampler would
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
def a_preview_is_a_picture_of_the_network(host: WebUIHost) -> Figures:
    from modules import paths_internal, shared

    request = PictureRequest(prompt=TEXTS[1], seed=5, steps=4, size=(WIDTH, HEIGHT))
    history = Path(paths_internal.data_path) / "params.txt"
    written = history.stat().st_mtime_ns if history.exists() else None
    before = snapshot()
    with borrowed(host) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part == "unet"])
        words = RandomLora([layer for layer in model.layers() if layer.part != "unet"])
        shared.state.interrupted = True  # somebody's click on Interrupt is not meant for us, and is not taken back
        inside, flags = snapshot(), dict(vars(shared.state))
        plain = np.asarray(host.picture(model, request))
        assert vars(shared.state) == flags
        shared.opts.data["sd_model_checkpoint"] = "another checkpoint, chosen meanwhile"
        with lora.attached():
            first, second = (np.asarray(host.picture(model, request)) for _ in range(2))
        with lora_file(host, words, "contract_preview"):
            tagged = replace(request, prompt=f"{request.prompt} <lora:contract_preview:1>")
            assert np.array_equal(plain, np.asarray(host.picture(model, tagged))), "another network was put into the weights"
        with words.attached():
            otherwise_read = np.asarray(host.picture(model, request))
        assert shared.opts.data["sd_model_checkpoint"] == "another checkpoint, chosen meanwhile"
        shared.opts.data["sd_model_checkpoint"] = before["options"]["sd_model_checkpoint"]
        assert np.array_equal(plain, np.asarray(host.picture(model, request)))
        wrong = differing(inside, snapshot())
        assert not wrong, f"the preview left {wrong}"
        list(steps(model, lora, 1, texts=False))
    assert np.array_equal(first, second)
    assert plain.shape == (HEIGHT, WIDTH, 3)
    assert distance(first, plain) > 0
    other = Prediction.EPSILON if host.facts().prediction is Prediction.V else Prediction.V
    with borrowed(host, overrides=Overrides(prediction=other)) as model:
        assert distance(np.asarray(host.picture(model, request)), plain) > 0, "it was not sampled as what is trained"
    assert distance(otherwise_read, plain) > 0, "the prompt was taken from a cache that knows nothing of the network"
    assert not differing(before, snapshot())
    assert written == (history.stat().st_mtime_ns if history.exists() else None)
    return {"effect": distance(first, plain), "std": float(plain.std())}


@promise
def a_preview_that_fails_is_an_error_in_words(host: WebUIHost) -> Figures:
    from modules import processing, sd_hijack

    request = PictureRequest(prompt=TEXTS[1], steps=1, size=(WIDTH, HEIGHT))
    before = snapshot()
    kept = processing.process_images

    def failing(job: Any) -> Any:
        kept(job)
        sd_hijack.model_hijack.apply_circular(True)  # as a picture with tiling would have left it
        raise RuntimeError("no memory left")

    with borrowed(host) as model:
        inside = snapshot()
        processing.process_images = failing
        try:
            host.picture(model, request)
        except HostError as error:
            assert "no memory left" in str(error)
        else:
            raise AssertionError("a picture although sampling failed")
        finally:
            processing.process_images = kept
        assert not differing(inside, snapshot())
    assert not differing(before, snapshot())
    return {}


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
    shared.loaded_hypernetworks.append(NoHypernetwork())
    try:
        disturbed = distance(host_output(), clean)
        before = snapshot()
        with borrowed(host) as model:
            error = distance(our_output(model), clean)
            notes = [str(note) for note in model.facts.notes]
            sd_hijack.model_hijack.apply_circular(True)
            next(model.unet.parameters()).requires_grad_(True)
            assert distance(our_output(model), clean) > 1e-3
            model.settle()
            assert distance(our_output(model), clean) == error
            assert not any(parameter.requires_grad for parameter in sd.parameters())
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
    from modules import sd_hijack, shared
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
    assert _all_left(), "the place that was given up is still held"
    assert not host.busy()
    queue_lock.acquire()
    threading.Timer(0.3, queue_lock.release).start()
    with host.borrow(Lease(), always):
        assert host.busy()
        assert (shared.state.job, shared.state.job_count) == ("LoRA Studio", 1), "the WebUI's own progress should tell who works"
        assert not shared.parallel_processing_allowed, "the progress thread could decode with the VAE"
        assert sd_hijack.current_optimizer.name == "sdp"
    assert _all_left()
    assert not host.busy()
    return {"asked": len(asked)}


def _all_left() -> bool:
    """Within seconds nobody of ours stands in line; one who left still has to be called before he goes."""
    ours = [thread for thread in threading.enumerate() if thread.name == "lora-studio-queue"]
    for thread in ours:
        thread.join(30)
    return not any(thread.is_alive() for thread in ours)


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
                host.picture(model, PictureRequest(prompt="x", steps=1, size=(WIDTH, HEIGHT)))
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
        with borrowed(host), torch.no_grad():
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
