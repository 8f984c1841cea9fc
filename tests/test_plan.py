"""The plan: numbers a person can check, problems first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lib_lora import plan
from lib_lora.core.messages import say
from lib_lora.core.settings import load
from lib_lora.hosts.base import HostPaths
from lib_lora.model import Family, ModelFacts, Prediction
from lib_lora.training.config import TrainConfig

FACTS = ModelFacts("anything", Family.SD1, Prediction.EPSILON, False, 2, "cpu", "float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four landscape and two portrait pictures, five repeats each."""
    pictures = tmp_path / "set" / "5_cat"
    pictures.mkdir(parents=True)
    for n, size in enumerate([(768, 512)] * 4 + [(512, 768)] * 2):
        Image.new("RGB", size, (n * 40, 0, 0)).save(pictures / f"{n}.png")
        (pictures / f"{n}.txt").write_text(f"cat, tag {n}", encoding="utf-8")
    return tmp_path


def config_of(folder: Path, **flat: object) -> TrainConfig:
    from lib_lora.core.settings import unflatten

    return load(TrainConfig, unflatten({"data.folder": str(folder / "set"), **flat}))


def paths_of(folder: Path) -> HostPaths:
    return HostPaths(folder / "loras", folder / "state")


def test_numbers_count_real_buckets(folder: Path) -> None:
    config = config_of(folder, **{"learning.batch_size": 8, "learning.epochs": 3})
    made = plan.make(config, FACTS, paths_of(folder))
    # 20 landscape samples in batches of 8 are 3 batches, 10 portrait ones are 2.
    assert (made.images, made.samples, made.steps_per_epoch, made.steps) == (6, 30, 5, 15)
    assert [samples for _, samples in made.buckets] == [20, 10]
    assert made.problems == ()


def test_sentences_say_the_numbers(folder: Path) -> None:
    made = plan.make(config_of(folder), FACTS, paths_of(folder), seconds_per_step=2.0)
    text = " ".join(map(str, made.sentences))
    assert "6 pictures × 5 repeats = 30 per epoch" in text
    assert "2 buckets" in text
    assert "10 epochs × 30 steps = 300 steps at batch 1" in text
    assert "About 10 minutes" in text
    assert "cat.safetensors" in text


def test_accumulation_makes_fewer_steps(folder: Path) -> None:
    made = plan.make(config_of(folder, **{"learning.accumulation": 4}), FACTS, paths_of(folder))
    assert made.steps_per_epoch == 8


@pytest.mark.parametrize(("typed", "trigger", "name"), [("mine", "sks", "mine"), ("", "sks: cat", "sks cat"), ("", "", "cat")])
def test_the_name_is_guessed(folder: Path, typed: str, trigger: str, name: str) -> None:
    made = plan.make(config_of(folder, **{"save.name": typed, "caption.trigger": trigger}), FACTS, paths_of(folder))
    assert made.name == name


def test_epochs_are_numbered_and_the_last_is_the_file_itself(folder: Path) -> None:
    config = config_of(folder, **{"learning.epochs": 5, "save.every_epochs": 2})
    assert plan.files_of("x", config) == ["x-000002.safetensors", "x-000004.safetensors", "x.safetensors"]
    assert plan.files_of("x", config_of(folder, **{"save.every_epochs": 0})) == ["x.safetensors"]


@pytest.mark.parametrize("name", ["a:b", "a/b", "..\\b", "a,b", "<x>", "...", " . ", "a\0b", "a\nb", "aux", "Con.x", "x" * 240, "名" * 80])
def test_a_name_no_file_or_prompt_can_have_is_refused(folder: Path, name: str) -> None:
    made = plan.make(config_of(folder, **{"save.name": name}), FACTS, paths_of(folder))
    assert any("name" in str(problem) for problem in made.problems)


def test_a_name_that_exists_is_refused_unless_replaced(folder: Path) -> None:
    (folder / "loras").mkdir()
    (folder / "loras" / "cat.safetensors").write_bytes(b"")
    assert "Replace" in str(plan.make(config_of(folder), FACTS, paths_of(folder)).problems)
    assert not plan.make(config_of(folder, **{"save.replace": True}), FACTS, paths_of(folder)).problems


def test_problems_are_said_together(folder: Path) -> None:
    config = config_of(folder, **{"learning.unet_lr": 0, "save.name": "a:b", "data.resolution": "520,520", "bucket.enabled": False})
    made = plan.make(config, FACTS, paths_of(folder), refusals=[say("No checkpoint is loaded.")])
    assert len(made.problems) == 4


def test_a_folder_that_is_not_there_is_a_problem_not_an_exception(folder: Path) -> None:
    assert plan.make(config_of(folder / "nowhere"), FACTS, paths_of(folder)).problems
    assert plan.make(TrainConfig(), None, paths_of(folder)).problems


def test_fp32_asks_for_weights_in_fp32(folder: Path) -> None:
    half = replace(FACTS, dtype="float16")
    assert "--no-half" in str(plan.make(config_of(folder, **{"run.precision": "fp32"}), half, paths_of(folder)).problems[0])
    assert not plan.make(config_of(folder, **{"run.precision": "fp32"}), FACTS, paths_of(folder)).problems
    assert not plan.make(config_of(folder), half, paths_of(folder)).problems


def test_an_unusual_resolution_and_the_hosts_notes_are_warnings(folder: Path) -> None:
    facts = replace(FACTS, notes=(say("The WebUI samples this file wrongly."),))
    made = plan.make(config_of(folder, **{"data.resolution": "1024,1024"}), facts, paths_of(folder))
    assert len(made.warnings) == 2
    assert "512" in str(made.warnings[1])


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "About 1 seconds."), (80, "About 80 seconds."), (600, "About 10 minutes."), (7200, "About 2.0 hours.")])
def test_durations_in_a_persons_units(seconds: float, text: str) -> None:
    assert str(plan.duration(seconds)) == text
