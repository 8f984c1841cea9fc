"""Learning-rate schedules, optimizers and precision: what a choice means on this and on other devices."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.core.settings import load
from lib_lora.training.config import TrainConfig
from lib_lora.training.loop import factor_of
from lib_lora.training.optimizer_kinds import adamw8bit
from lib_lora.training.optimizers import optimizers
from lib_lora.training.precision import Capability, capability, resolve
from lib_lora.training.scaler import LossScaler
from lib_lora.training.schedulers import schedulers

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
# The rates that get_scheduler of transformers 4.46.1, which sd-scripts calls, gives SGD with rate 1 at the steps AT of 100,
# without and with 10 steps of warm-up: constant_with_warmup, linear, cosine, cosine_with_restarts with 3 cycles.
REFERENCE: dict[tuple[str, int], list[float]] = {
    ("constant", 0): [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    ("constant", 10): [0.0, 0.5, 1.0, 1.0, 1.0, 1.0],
    ("linear", 0): [1.0, 0.95, 0.9, 0.6, 0.25, 0.01],
    ("linear", 10): [0.0, 0.5, 1.0, 0.66666667, 0.27777778, 0.01111111],
    ("cosine", 0): [1.0, 0.99384417, 0.97552826, 0.6545085, 0.14644661, 0.00024672],
    ("cosine", 10): [0.0, 0.5, 1.0, 0.75, 0.1786062, 0.00030459],
    ("cosine_restarts", 0): [1.0, 0.94550326, 0.79389263, 0.9045085, 0.85355339, 0.00221902],
    ("cosine_restarts", 10): [0.0, 0.5, 1.0, 1.0, 0.9330127, 0.00273905],
}
AT = (0, 5, 10, 40, 75, 99)


def factors(kind: str, warmup: int, **options: Any) -> list[float]:
    config = load(TrainConfig, {"scheduler": {"kind": kind, **options}, "learning": {"warmup_steps": warmup}})
    factor = factor_of(config)
    return [factor(step, 100) for step in AT]


@pytest.mark.parametrize(("kind", "warmup"), sorted(REFERENCE))
def test_schedules_are_those_sd_scripts_uses(kind: str, warmup: int) -> None:
    options = {"cycles": 3} if kind == "cosine_restarts" else {}
    assert factors(kind, warmup, **options) == pytest.approx(REFERENCE[kind, warmup], abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(schedulers.entries())), steps=st.integers(1, 5000), warmup=st.integers(0, 6000), share=st.floats(0, 1))
def test_a_factor_lies_between_0_and_1_at_every_step(kind: str, steps: int, warmup: int, share: float) -> None:
    factor = factor_of(load(TrainConfig, {"scheduler": {"kind": kind}, "learning": {"warmup_steps": warmup}}))
    assert 0 <= factor(round(share * (steps - 1)), steps) <= 1


@pytest.mark.parametrize("kind", sorted(optimizers.entries()))
def test_every_optimizer_goes_downhill(kind: str) -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    card = optimizers.get(kind)
    optimizer, _ = card.build([{"params": [weight], "lr": 0.1, "name": "unet"}], card.options(), CPU)
    first = weight.square().sum().item()
    for _ in range(50):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.square().sum().item() < 0.1 * first


def test_8_bit_falls_back_without_a_card_and_says_so() -> None:
    card = optimizers.get("adamw8bit")
    optimizer, notes = card.build([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}], card.options(weight_decay=0.2), CPU)
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.defaults["weight_decay"] == 0.2
    assert ["NVIDIA card" in note.text() for note in notes] == [True]


@pytest.mark.parametrize("works", [True, False])
def test_8_bit_on_a_card_needs_its_package(monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    built: list[dict[str, Any]] = []

    class AdamW8bit:
        def __init__(self, groups: Any, **options: Any) -> None:
            built.append(options)

    package = ModuleType("bitsandbytes.optim")
    if works:
        package.AdamW8bit = AdamW8bit
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", package)
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, **options: built.append(options))
    tried: list[Any] = []
    monkeypatch.setattr(adamw8bit, "_try", lambda kind, device: tried.append((kind, device)))
    card = optimizers.get("adamw8bit")
    _, notes = card.build([{"params": [], "lr": 1.0}], card.options(beta1=0.8), CUDA)
    assert tried == [(AdamW8bit, CUDA)] * works
    assert built[0]["betas"] == (0.8, 0.999)
    assert ("fused" in built[0]) is not works
    assert ["bitsandbytes" in note.text() for note in notes] == [True] * (not works)


def test_8_bit_that_imports_and_cannot_step_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class AdamW8bit(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            raise RuntimeError("no kernel image is available")

    package = ModuleType("bitsandbytes.optim")
    package.AdamW8bit = AdamW8bit
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", package)
    monkeypatch.setattr(adamw8bit, "_try", lambda kind, device, real=adamw8bit._try: real(kind, CPU))
    card = optimizers.get("adamw8bit")
    optimizer, notes = card.build([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1e-3}], card.options(), CUDA)
    assert type(optimizer) is torch.optim.AdamW
    assert "no kernel image" in notes[0].text()


@pytest.mark.parametrize(
    ("choice", "device", "able", "expected"),
    [
        ("auto", CUDA, Capability(fp16=True, bf16=True), "bf16"),
        ("auto", CUDA, Capability(fp16=True), "fp16"),
        ("auto", MPS, Capability(), "fp32"),
        ("auto", CPU, Capability(bf16=True), "fp32"),
        ("fp32", CUDA, Capability(fp16=True, bf16=True), "fp32"),
        ("fp16", CUDA, Capability(fp16=True, bf16=True), "fp16"),
        ("bf16", CPU, Capability(bf16=True), "bf16"),
        ("fp16", CPU, Capability(bf16=True), None),
        ("bf16", CUDA, Capability(fp16=True), None),
        ("bf16", MPS, Capability(), None),
    ],
)
def test_precision_follows_what_the_device_can(choice: Any, device: torch.device, able: Capability, expected: str | None) -> None:
    if expected:
        assert resolve(choice, device, lambda device: able) == expected
        return
    with pytest.raises(ConfigError, match=rf"{choice} cannot be trained .* choose one of auto, fp32"):
        resolve(choice, device, lambda device: able)


@pytest.mark.parametrize(("major", "expected"), [(7, False), (8, True), (9, True)])
def test_emulated_bf16_does_not_count(monkeypatch: pytest.MonkeyPatch, major: int, expected: bool) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
    assert capability(CUDA) == Capability(fp16=True, bf16=expected)


def test_the_cpu_is_asked_for_float32() -> None:
    assert resolve("auto", CPU) == "fp32"


def test_the_loss_scale_halves_on_overflow_and_doubles_after_good_steps() -> None:
    scaler = LossScaler(True)
    scaler.update(False)
    assert scaler.scale == 32768
    assert scaler.searching
    assert not LossScaler(False).searching
    for _ in range(LossScaler.GROW_AFTER):
        scaler.update(True)
    assert scaler.scale == 65536
    for _ in range(100):
        scaler.update(False)
    assert scaler.scale == 1
    off = LossScaler(False)
    off.update(False)
    gradient = torch.ones(2)
    off.unscale_([gradient])
    assert (off.scale, gradient.tolist()) == (1, [1, 1])
