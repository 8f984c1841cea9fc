"""Promises of the lent model: it computes what the WebUI computes, and can be learnt through."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor
from webui_bench import (
    HEIGHT,
    TEXTS,
    WIDTH,
    Figures,
    RandomLora,
    borrowed,
    distance,
    host_output,
    inputs,
    our_output,
    promise,
    saved_bytes,
    steps,
)

from lib_lora.core.errors import HostError
from lib_lora.hosts.base import Overrides
from lib_lora.hosts.webui import WebUIHost, facts
from lib_lora.model import Family, Prediction


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
def prediction_is_the_hosts(host: WebUIHost) -> Figures:
    theirs = host_output()
    with borrowed(host) as model:
        ours = our_output(model)
    error = distance(ours, theirs)
    assert error <= 1e-5 * float(theirs.abs().max()), error
    return {"error": error, "largest": float(theirs.abs().max())}


@promise
def captions_are_literal(host: WebUIHost) -> Figures:
    """A caption is encoded as generation encodes the same words, but brackets and BREAK are words too."""
    from modules import prompt_parser

    sd = facts.loaded()
    long = ", ".join(f"tag number {number}" for number in range(60))

    def theirs(text: str) -> Tensor:
        with torch.no_grad():
            cond = sd.get_learned_conditioning(prompt_parser.SdConditioning([text], width=WIDTH, height=HEIGHT))
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
    assert distance(long_ours, chunks) == 0, [distance(a, b) for a, b in zip(long_ours.split(77, 1), chunks.split(77, 1), strict=True)]
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
    pixels = torch.rand(2, 3, HEIGHT, WIDTH, generator=generator) * 2 - 1
    with borrowed(host) as model:
        posterior = model.encode_images(pixels)
        torch.manual_seed(9)
        noise = torch.randn(posterior.mean.shape)
        torch.manual_seed(9)
        with torch.no_grad():
            encoded = model.sd.encode_first_stage(pixels)
            theirs = model.sd.get_first_stage_encoding(encoded)
        error = distance(posterior.mean + posterior.std * noise, theirs)
        assert posterior.mean.shape == (2, 4, HEIGHT // 8, WIDTH // 8)
        assert error <= 1e-5 * float(theirs.abs().max())
        assert model.vae_fingerprint() == model.vae_fingerprint()
    return {"error": error, "mean_std": float(posterior.mean.std()), "posterior_std": float(posterior.std.mean())}


@promise
def a_vae_that_gives_nan_is_retried_in_float32(host: WebUIHost) -> Figures:
    pixels = torch.rand(1, 3, HEIGHT, WIDTH) * 2 - 1
    calls: list[torch.dtype] = []
    with borrowed(host) as model:
        right = model.encode_images(pixels)
        exact = model._moments

        def overflowing(values: Tensor, dtype: torch.dtype) -> Tensor:
            calls.append(dtype)
            return exact(values, dtype) * (1.0 if model._vae_in_float32 else float("nan"))

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
                with saved_bytes() as kept:
                    loss = model.predict(noisy, timesteps, cond, sizes).square().mean()
                found.append(list(torch.autograd.grad(loss, lora.parameters())))
            saved.append(kept[0])
        worst = max(distance(first, second) / max(float(first.abs().max()), 1e-12) for first, second in zip(*found, strict=True))
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
def a_network_learns(host: WebUIHost) -> Figures:
    with borrowed(host) as model:
        lora = RandomLora([layer for layer in model.layers() if layer.part == "unet"], strength=0.0)
        losses = list(steps(model, lora, 30, texts=False))
    share = losses[-1] / losses[0]
    assert share < 0.9, share
    return {"first": losses[0], "last": losses[-1], "share": share}
