"""The main job on real photographs: a LoRA trained on them lowers the loss on them, at noise it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from photos import make_photos

from lib_lora import plan, train
from lib_lora.core.settings import load
from lib_lora.demo import DemoSet
from lib_lora.hosts.diffusers import DiffusersHost
from lib_lora.model import Model
from lib_lora.training import feed, loop, loss, noise
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Stepped
from lib_lora.training.feed import Feed
from lib_lora.training.loop import Steps

SHARE = 0.04  # by which the loss has to fall; measured:
HELD_OUT = (50, 250, 450, 650, 850)  # timesteps


def held_out_loss(model: Model, pictures: Feed, network: object | None) -> float:
    """The mean loss over every photograph and five timesteps, with noise from a seed that training does not use."""
    random, losses = torch.Generator().manual_seed(987654321), []
    alphas = model.alphas_cumprod()
    with torch.no_grad(), network.attached() if network else nullcontext():
        for batch in pictures.epoch(999):
            for step in HELD_OUT:
                t = torch.full((len(batch),), step, device=model.device())
                latents = batch.latents.mean
                gauss = torch.randn(latents.shape, generator=random).to(latents)
                predicted = model.predict(noise.add(latents, gauss, alphas, t), t, pictures.cond(batch), batch.sizes)
                losses += loss.per_sample(predicted, noise.target(model.facts.prediction, latents, gauss, alphas, t)).tolist()
    return sum(losses) / len(losses)


def test_a_lora_learns_real_photographs(demo_set: DemoSet, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    config = load(
        TrainConfig,
        {
            "data": {"folder": str(make_photos(tmp_path / "photos")), "resolution": 128},
            "bucket": {"step": 32, "min": 64},
            "learning": {"epochs": 4, "unet_lr": 1e-3, "batch_size": 4},
            "scheduler": {"kind": "constant"},
            "network": {"rank": 8},
        },
    )
    prepared = plan.prepare(config)
    assert not prepared.problems
    assert len({one.bucket for one in prepared.placed}) > 1
    host, control = DiffusersHost(demo_set.checkpoint, tmp_path), Control()
    with host.borrow(plan.lease_of(config), lambda: True) as model:
        network = train.build(model.layers(), config, model)
        pictures = feed.make(model, prepared.placed, config)
        list(pictures.prepare(control))
        before = held_out_loss(model, pictures, None)
        assert held_out_loss(model, pictures, network) == pytest.approx(before, rel=1e-6), "a new LoRA changes nothing"
        steps = Steps(plan.steps_of(config, prepared.placed), config.learning.epochs)
        events: Iterator = loop.run(model, network, pictures, config, steps, control)
        seen = [event for event in events if isinstance(event, Stepped)]
        after = held_out_loss(model, pictures, network)
        assert held_out_loss(model, pictures, None) == before, "the model is as it was"
    assert len(seen) == steps.total
    assert after < before * (1 - SHARE), f"{before:.4f} → {after:.4f}"
