"""The loop on a small real model: what is learnt, what is said, and how a run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from fakes import FakeModel, PlainLora

from lib_lora.bench.memory import live_tensors
from lib_lora.core.errors import ConfigError, HostError
from lib_lora.core.messages import say
from lib_lora.core.settings import load
from lib_lora.model import Family, Posterior, Prediction, SizeCond, TextCond
from lib_lora.training import learner as learner_module
from lib_lora.training import loss, noise
from lib_lora.training.batches import Batch
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Phased, Planned, PreviewDue, SaveDue, Stepped, Warned
from lib_lora.training.learner import Learner
from lib_lora.training.loop import PATIENCE, Steps, run
from lib_lora.training.randomness import generator

ADAMW = "torch.optim.adamw.AdamW(betas=(0.9, 0.999),weight_decay=0.01)"


def config_of(**sections: dict[str, Any]) -> TrainConfig:
    base: dict[str, Any] = {"learning": {"epochs": 2, "unet_lr": 1e-2}, "scheduler": {"kind": "constant"}, "save": {"every_epochs": 0}}
    return load(TrainConfig, {name: base.get(name, {}) | sections.get(name, {}) for name in {*base, *sections}})


class Pictures:
    """A source with ready latents: `sizes` are its batches' sizes, the same in every epoch."""

    def __init__(self, model: FakeModel, sizes: tuple[int, ...] = (2, 2, 1), live: bool = False) -> None:
        self.model, self.sizes, self.live = model, sizes, live

    def epoch(self, epoch: int) -> Iterator[Batch]:
        for n, size in enumerate(self.sizes):
            yield batch_of(size, seed=n)

    def cond(self, batch: Batch) -> TextCond:
        return self.model.encode_texts(batch.texts, grad=self.live)


def batch_of(size: int, seed: int = 0) -> Batch:
    draw = generator(seed, "batch")
    posterior = Posterior(torch.randn(size, 4, 8, 8, generator=draw), torch.full((size, 4, 8, 8), 0.1))
    sizes = tuple(SizeCond((64, 64), (0, 0), (64, 64)) for _ in range(size))
    return Batch(posterior, tuple(f"picture {n}" for n in range(size)), sizes, torch.ones(size))


def play(model: FakeModel, network: PlainLora, config: TrainConfig, sizes: tuple[int, ...] = (2, 2, 1), control: Control | None = None) -> list[Any]:
    live = config.learning.text_encoder_lr > 0
    per_epoch = -(-len(sizes) // config.learning.accumulation)
    steps = Steps(per_epoch, config.learning.epochs)
    return list(run(model, network, Pictures(model, sizes, live), config, steps, control or Control()))


def held_out(model: FakeModel, network: PlainLora) -> float:
    """The loss at noise no training step has drawn."""
    batch, draw, alphas = batch_of(2), generator(987, "held out"), model.alphas_cumprod()
    total = 0.0
    with torch.no_grad(), network.attached():
        for t in range(50, 1000, 100):
            steps = torch.full((2,), t)
            gauss = noise.like(batch.latents.mean, draw)
            predicted = model.predict(noise.add(batch.latents.mean, gauss, alphas, steps), steps, model.encode_texts(batch.texts), batch.sizes)
            total += loss.per_sample(predicted, noise.target(model.facts.prediction, batch.latents.mean, gauss, alphas, steps)).mean().item()
    return total


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("prediction", list(Prediction))
def test_training_lowers_the_loss_at_noise_it_has_not_seen(family: Family, prediction: Prediction) -> None:
    model = FakeModel(family, prediction)
    network = PlainLora(model.layers())
    before = held_out(model, network)
    config = config_of(learning={"epochs": 30, "text_encoder_lr": 1e-3}, noise={"offset": 0.05}, loss={"min_snr_gamma": 5.0})
    events = play(model, network, config)
    assert held_out(model, network) < 0.9 * before
    assert isinstance(events[-1], Ended)
    assert events[-1].phase == "done"


def test_events_come_in_order_and_saves_and_previews_when_they_are_due() -> None:
    model = FakeModel()
    config = config_of(learning={"epochs": 5}, save={"every_epochs": 2}, preview={"every_epochs": 2})
    events = play(model, PlainLora(model.layers()), config, sizes=(1, 1))
    assert events[:2] == [Planned(10, 2, 5, ADAMW), Phased("training", None, 0, 10)]
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [(step.step, step.epoch) for step in steps] == [(n + 1, n // 2 + 1) for n in range(10)]
    rest = [event for event in events[2:] if not isinstance(event, Stepped)]
    assert rest == [SaveDue(4, 2, False), PreviewDue(4, 2), SaveDue(8, 4, False), PreviewDue(8, 4), SaveDue(10, 5, True), Ended("done", 10)]
    assert model.calls.count("settle") == 5


def test_the_same_seed_gives_the_same_network_whatever_the_global_generator_does() -> None:
    def trained(seed: int, disturb: int) -> dict[str, torch.Tensor]:
        model = FakeModel()
        network = PlainLora(model.layers())
        for event in run(model, network, Pictures(model), config_of(learning={"epochs": 2, "seed": seed}), Steps(3, 2), Control()):
            if isinstance(event, Stepped):
                torch.manual_seed(disturb)
        return network.tensors()

    first, again, other = trained(1, disturb=1), trained(1, disturb=2), trained(2, disturb=1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_accumulated_batches_of_uneven_size_give_the_mean_over_all_samples() -> None:
    """Two and one make three: the gradient is that of the mean over three samples, not of two means."""
    model = FakeModel()
    batches = [batch_of(2, seed=1), batch_of(1, seed=2)]
    network = PlainLora(model.layers())
    config = config_of(optimizer={"kind": "adamw", "weight_decay": 0}, learning={"max_grad_norm": 0})
    learner = Learner(model, network, Pictures(model), config)
    with network.attached():
        outcome = learner.step(batches, 1, 0.0)
        random, shares, alphas = generator(42, "noise", 1), [], model.alphas_cumprod()
        for batch in batches:
            latents = noise.sample(batch.latents, random)
            t, gauss = noise.timesteps(len(batch), alphas, random), noise.like(latents, random)
            predicted = model.predict(noise.add(latents, gauss, alphas, t), t, model.encode_texts(batch.texts), batch.sizes)
            shares.append(loss.per_sample(predicted, gauss))
        expected = torch.cat(shares).mean()
        expected.backward()
    parameters = network.parameters("unet")
    norm = torch.stack([parameter.grad.norm() for parameter in parameters if parameter.grad is not None]).norm()
    assert outcome.loss == pytest.approx(expected.item(), rel=1e-6)
    assert outcome.norm == pytest.approx(norm.item(), rel=1e-5)


def test_accumulation_takes_fewer_steps_and_the_last_group_may_be_short() -> None:
    model = FakeModel()
    events = play(model, PlainLora(model.layers()), config_of(learning={"epochs": 1, "accumulation": 2}), sizes=(1, 1, 1, 1, 1))
    assert sum(isinstance(event, Stepped) for event in events) == 3
    assert events[0] == Planned(3, 3, 1, ADAMW)


def test_gradients_are_cut_to_the_length_asked_for() -> None:
    model = FakeModel()
    moved = {}
    for limit in (0.0, 1e-3):
        network = PlainLora(model.layers())
        before = network.tensors()
        learner = Learner(model, network, Pictures(model), config_of(learning={"max_grad_norm": limit}, optimizer={"kind": "adamw", "weight_decay": 0}))
        seen: list[float] = []
        take = learner._optimizer.step

        def step(take: Any = take, seen: list[float] = seen, network: PlainLora = network) -> None:
            seen.append(torch.stack([p.grad.norm() for p in network.parameters("unet") if p.grad is not None]).norm().item())
            take()

        learner._optimizer.step = step
        with network.attached():
            outcome = learner.step([batch_of(2)], 1, 1.0)
        moved[limit] = seen[0]
        assert outcome.norm > 1e-3
        assert any(not torch.equal(before[key], value) for key, value in network.tensors().items())
    assert moved[0.0] > 1e-3
    assert moved[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_each_part_has_its_own_rate_and_a_rate_of_0_leaves_it() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    learner = Learner(model, network, Pictures(model, live=True), config_of(learning={"unet_lr": 1e-3, "text_encoder_lr": 5e-4}))
    groups = learner._optimizer.param_groups
    assert [(group["name"], group["lr"]) for group in groups] == [("unet", 1e-3), ("te1", 5e-4)]
    with network.attached():
        learner.step([batch_of(1)], 1, 0.5)
    assert [group["lr"] for group in groups] == [5e-4, 2.5e-4]

    network = PlainLora(model.layers())
    before = network.tensors()
    play(model, network, config_of(learning={"unet_lr": 0, "text_encoder_lr": 1e-2}))
    changed = {key.split("_")[1] for key, value in network.tensors().items() if not torch.equal(before[key], value)}
    assert changed == {"te"}


def test_nothing_to_learn_is_refused_in_words() -> None:
    model = FakeModel()
    with pytest.raises(ConfigError, match="learning rate above 0"):
        play(model, PlainLora(model.layers()), config_of(learning={"unet_lr": 0}))


def test_the_base_model_is_left_as_it_was() -> None:
    model = FakeModel()
    before = {name: value.clone() for name, value in model.unet.state_dict().items()}
    play(model, PlainLora(model.layers()), config_of(run={"checkpointing": True}))
    assert all(torch.equal(before[name], value) for name, value in model.unet.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.unet.parameters())
    assert not [module for module in model.unet.modules() if "forward" in module.__dict__]


def test_checkpointing_learns_the_same() -> None:
    found = []
    for checkpointing in (False, True):
        model = FakeModel()
        network = PlainLora(model.layers())
        play(model, network, config_of(run={"checkpointing": checkpointing}))
        assert ("checkpoint_blocks" in model.calls) is checkpointing
        found.append(network.tensors())
    for key, value in found[0].items():
        torch.testing.assert_close(value, found[1][key], rtol=1e-5, atol=1e-6)


def test_bf16_learns_with_float32_weights() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    before = held_out(model, network)
    play(model, network, config_of(learning={"epochs": 30}, run={"precision": "bf16"}))
    assert held_out(model, network) < 0.9 * before
    assert {value.dtype for value in network.tensors().values()} == {torch.float32}


@pytest.mark.parametrize(("how", "phase", "saves"), [("stop", "stopped", 1), ("cancel", "cancelled", 0)])
def test_a_request_ends_the_run_after_the_step(how: str, phase: str, saves: int) -> None:
    model, control = FakeModel(), Control()
    network = PlainLora(model.layers())
    events = []
    for event in run(model, network, Pictures(model), config_of(learning={"epochs": 9}), Steps(3, 9), control):
        events.append(event)
        if isinstance(event, Stepped) and event.step == 5:
            getattr(control, how)()
    assert events[-1] == Ended(phase, 5)
    assert [event for event in events if isinstance(event, SaveDue)] == [SaveDue(5, 2, True)] * saves
    assert not [module for module in model.unet.modules() if "forward" in module.__dict__]


def test_a_stop_that_comes_with_the_last_step_stops_nothing() -> None:
    model, control, events = FakeModel(), Control(), []
    for event in run(model, PlainLora(model.layers()), Pictures(model), config_of(), Steps(3, 2), control):
        events.append(event)
        if isinstance(event, Stepped) and event.step == 6:
            control.stop()
    assert events[-2:] == [SaveDue(6, 2, True), Ended("done", 6)]


def test_a_stop_before_the_first_step_saves_nothing() -> None:
    model, control = FakeModel(), Control()
    control.stop()
    events = play(model, PlainLora(model.layers()), config_of(), control=control)
    assert not [event for event in events if isinstance(event, (SaveDue, Stepped))]
    assert events[-1] == Ended("stopped", 0)


def test_cancel_wins_over_stop() -> None:
    control = Control()
    control.stop()
    control.cancel()
    control.stop()
    assert control.request == "cancel"


def test_a_swapped_model_ends_the_run_with_its_reason() -> None:
    model = FakeModel()
    events = run(model, PlainLora(model.layers()), Pictures(model), config_of(), Steps(3, 2), Control())
    with pytest.raises(HostError, match="unloaded meanwhile"):
        for event in events:
            if isinstance(event, Stepped):
                model.change = say("The checkpoint was unloaded meanwhile.")
    assert not [module for module in model.unet.modules() if "forward" in module.__dict__]


def test_events_are_lent_outside_no_grad_and_autocast_with_the_network_attached() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    config = config_of(run={"precision": "bf16"}, preview={"every_epochs": 1})
    for event in run(model, network, Pictures(model), config, Steps(3, 2), Control()):
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_cpu_enabled()
        if isinstance(event, PreviewDue):
            assert "forward" in model.unet.blocks[0].attn1.to_q.__dict__


def test_the_loop_learns_though_its_player_has_gradients_off() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    with torch.no_grad():
        events = play(model, network, config_of())
        assert not torch.is_grad_enabled()
    assert isinstance(events[-1], Ended)
    assert network.tensors()["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_v.lora_up.weight"].abs().sum() > 0


class Broken(FakeModel):
    """Predicts no number at the given calls."""

    def __init__(self, broken: set[int]) -> None:
        super().__init__()
        self.broken, self.asked = broken, 0

    def predict(self, *args: Any) -> torch.Tensor:
        self.asked += 1
        predicted = super().predict(*args)
        return predicted * float("nan") if self.asked in self.broken else predicted


def test_a_step_without_a_number_is_left_out() -> None:
    model = Broken({2, 3})
    network = PlainLora(model.layers())
    events = play(model, network, config_of())
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 4, 5, 6]
    assert sum(isinstance(event, Warned) for event in events) == 2
    assert all(bool(value.isfinite().all()) for value in network.tensors().values())


def test_fp16_finding_its_scale_worries_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib_lora.training.learner.LossScaler.searching", property(lambda self: True))
    model = Broken({2, 3})
    events = play(model, PlainLora(model.layers()), config_of())
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 4, 5, 6]
    assert not any(isinstance(event, Warned) for event in events)


def test_too_many_steps_without_a_number_end_the_run_with_advice() -> None:
    model = Broken(set(range(4, 1000)))
    with pytest.raises(HostError, match="Lower the learning rate"):
        play(model, PlainLora(model.layers()), config_of(learning={"epochs": 100}))
    assert model.asked == 3 + PATIENCE


def test_an_error_of_the_model_passes_and_leaves_nothing_attached() -> None:
    model = FakeModel()
    model.predict = lambda *args: torch.zeros(1, 3) @ torch.zeros(1, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        play(model, PlainLora(model.layers()), config_of())
    assert not [module for module in model.unet.modules() if "forward" in module.__dict__]


def test_fp16_scales_the_loss_and_skips_what_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale is taken out of the gradients again; a gradient that overflows halves it and is not learnt."""
    monkeypatch.setattr(learner_module, "resolve", lambda choice, device: "fp16")
    model = FakeModel()
    model.autocast = lambda precision: nullcontext()  # the CPU computes in float32 all the same
    scaled, plain = PlainLora(model.layers()), PlainLora(model.layers())
    learner = Learner(model, scaled, Pictures(model), config_of())
    assert learner._scaler.scale == 65536
    with scaled.attached():
        first = learner.step([batch_of(2)], 1, 1.0)
    monkeypatch.undo()
    unscaled = Learner(model, plain, Pictures(model), config_of())
    with plain.attached():
        assert unscaled.step([batch_of(2)], 1, 1.0).norm == pytest.approx(first.norm, rel=1e-5)
    for key, value in scaled.tensors().items():
        torch.testing.assert_close(value, plain.tensors()[key], rtol=1e-4, atol=1e-6)
    learner._scaler.scale = 1e39  # beyond float32: every gradient overflows
    before = scaled.tensors()
    with scaled.attached():
        assert not learner.step([batch_of(2)], 2, 1.0).taken
    assert learner._scaler.scale == 5e38
    assert all(torch.equal(before[key], value) for key, value in scaled.tensors().items())


def test_hundreds_of_steps_leave_no_tensors_behind() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    counts = {}
    for event in run(model, network, Pictures(model, (1,) * 20), config_of(learning={"epochs": 20, "text_encoder_lr": 1e-3}), Steps(20, 20), Control()):
        if isinstance(event, Stepped) and event.step in (50, 200, 400):
            counts[event.step] = live_tensors()
    assert counts[50] == counts[200] == counts[400]


def test_weights_of_samples_count_in_the_loss() -> None:
    model = FakeModel()
    network = PlainLora(model.layers())
    learner = Learner(model, network, Pictures(model), config_of())
    batch = batch_of(2)
    with network.attached():
        full = learner.step([batch], 1, 0.0).loss
        halved = learner.step([replace(batch, weights=torch.full((2,), 0.5))], 1, 0.0).loss
    assert halved == pytest.approx(full / 2, rel=1e-5)
