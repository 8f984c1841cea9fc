"""A whole run from folder to file on a small real model: what is written, what goes back, what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import FakeModel
from PIL import Image

from lib_lora import train
from lib_lora.core.errors import ConfigError, DataError, HostError
from lib_lora.core.messages import Message, say
from lib_lora.core.settings import load, unflatten
from lib_lora.hosts.base import HostPaths, Lease, PictureRequest
from lib_lora.networks import file
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Ended, Event, Phased, Previewed, Saved, Stepped, Warned


@dataclass
class SmallHost:
    """Lends the small model and reads files with plain safetensors; `drops` are keys its loader loses."""

    folder: Path
    model: FakeModel = field(default_factory=FakeModel)
    refused: list[Message] = field(default_factory=list)
    drops: tuple[str, ...] = ()
    factor: float = 1.0
    lent: bool = False
    forgotten: list[Path] = field(default_factory=list)
    requests: list[PictureRequest] = field(default_factory=list)

    def paths(self) -> HostPaths:
        return HostPaths(self.folder / "loras", self.folder / "state")

    def refusals(self, lease: Lease) -> list[Message]:
        return self.refused

    @contextmanager
    def borrow(self, lease: Lease, waiting: Callable[[], bool]) -> Iterator[FakeModel]:
        self.lent = True
        try:
            yield self.model
        finally:
            self.lent = False

    def picture(self, model: FakeModel, request: PictureRequest) -> Image.Image:
        self.requests.append(request)
        return Image.new("RGB", request.size, (len(self.requests), 0, 0))

    def deltas(self, path: Path, model: FakeModel) -> Iterator[tuple[str, torch.Tensor]]:
        tensors = file.read(path).tensors
        for name in tensors:
            key, _, what = name.partition(".")
            if what == "lora_up.weight" and key not in self.drops:
                up, down, alpha = (tensors[f"{key}.{end}"].float() for end in (what, "lora_down.weight", "alpha"))
                delta = (up.flatten(1) @ down.flatten(1)) * alpha / down.shape[0]
                yield key, delta.reshape(up.shape[0], *down.shape[1:]) * self.factor

    def forget(self, paths: Sequence[Path]) -> None:
        assert not self.lent, "nobody else may load a file while the model is lent"
        self.forgotten += paths


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    pictures = tmp_path / "set" / "2_blob"
    pictures.mkdir(parents=True)
    for n, size in enumerate([(64, 64), (64, 64), (128, 64)]):
        Image.new("RGB", size, (80 * n, 20, 200)).save(pictures / f"{n}.png")
        (pictures / f"{n}.txt").write_text(f"blob, red {n}", encoding="utf-8")
    return SmallHost(tmp_path)


def config_of(host: SmallHost, **flat: Any) -> TrainConfig:
    base = {"data.folder": str(host.folder / "set"), "data.resolution": 64, "learning.epochs": 3, "network.rank": 4, "caption.trigger": "sks"}
    return load(TrainConfig, unflatten({**base, **flat}))


def play(host: SmallHost, control: Control | None = None, watch: Callable[[Event], None] = lambda event: None, **flat: Any) -> list[Event]:
    events = []
    for event in train.train(config_of(host, **flat), host, control or Control()):
        watch(event)
        events.append(event)
    return events


def of(events: list[Event], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def weights(host: SmallHost) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in host.model.unet.state_dict().items()}


def test_a_run_writes_its_files(host: SmallHost) -> None:
    before = weights(host)
    events = play(host, **{"save.author": "me", "save.description": "my words"})
    loras = host.folder / "loras"
    assert sorted(path.name for path in loras.iterdir()) == sorted(
        f"sks{epoch}.{end}" for epoch in ("", "-000001", "-000002") for end in ("safetensors", "json", "png")
    )
    assert [saved.path.name for saved in of(events, Saved)] == ["sks-000001.safetensors", "sks-000002.safetensors", "sks.safetensors"]
    assert all(saved.error < 1e-3 for saved in of(events, Saved))
    assert len(of(events, Stepped)) == 18
    assert events[-1] == Ended("done", 18)
    assert host.forgotten == [saved.path for saved in of(events, Saved)]
    assert not host.lent
    assert all(torch.equal(tensor, before[name]) for name, tensor in host.model.unet.state_dict().items())
    metadata, _ = file.header(loras / "sks.safetensors")
    assert metadata["ss_output_name"] == "sks"
    assert metadata["ss_steps"] == "18"
    assert metadata["ss_optimizer"] == "torch.optim.adamw.AdamW(betas=(0.9, 0.999),weight_decay=0.01)"
    assert json.loads(metadata["ss_tag_frequency"]) == {"2_blob": {"sks": 3, "blob": 3, "red 0": 1, "red 1": 1, "red 2": 1}}
    assert json.loads(metadata["ss_dataset_dirs"]) == {"2_blob": {"n_repeats": 2, "img_count": 3}}
    assert (metadata["modelspec.author"], metadata["modelspec.description"], metadata["modelspec.trigger_phrase"]) == ("me", "my words", "sks")
    card = json.loads((loras / "sks.json").read_text(encoding="utf-8"))
    assert (card["activation text"], card["sd version"], card["notes"]) == ("sks", "SD1", "my words")


def test_only_what_has_a_learning_rate_is_in_the_file(host: SmallHost) -> None:
    play(host, **{"learning.epochs": 1, "learning.text_encoder_lr": 1e-4, "learning.unet_lr": 0})
    _, entries = file.header(host.folder / "loras" / "sks.safetensors")
    assert entries
    assert all(name.startswith("lora_te_") for name in entries)


def test_the_same_seed_gives_the_same_file_whatever_others_do_with_random_numbers(host: SmallHost) -> None:
    def reseed(event: Event) -> None:
        torch.manual_seed(len(str(event)))

    play(host)
    play(host, watch=reseed, **{"save.name": "other"})
    first, second = (file.read(host.folder / "loras" / f"{name}.safetensors").tensors for name in ("sks", "other"))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("ask", "phase", "saved"), [("stop", "stopped", 1), ("cancel", "cancelled", 0)])
def test_stop_saves_and_cancel_does_not(host: SmallHost, ask: str, phase: str, saved: int) -> None:
    control = Control()

    def watch(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 4:
            getattr(control, ask)()

    events = play(host, control, watch, **{"save.every_epochs": 0})
    assert events[-1] == Ended(phase, 4)
    assert len(of(events, Saved)) == saved
    assert (host.folder / "loras" / "sks.safetensors").exists() == bool(saved)


def test_a_name_that_exists_is_refused_before_anything_is_borrowed(host: SmallHost) -> None:
    play(host)
    old = (host.folder / "loras" / "sks.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="Replace"):
        play(host)
    assert (host.folder / "loras" / "sks.safetensors").read_bytes() == old


def test_a_replaced_file_lies_in_the_trash_and_the_users_card_goes_on(host: SmallHost) -> None:
    play(host, **{"save.every_epochs": 0})
    loras, trash = host.folder / "loras", host.folder / "state" / "trash"
    old = (loras / "sks.safetensors").read_bytes()
    card = json.loads((loras / "sks.json").read_text(encoding="utf-8"))
    (loras / "sks.json").write_text(json.dumps({**card, "preferred weight": 0.7, "my own": 1}), encoding="utf-8")
    play(host, **{"save.every_epochs": 0, "save.replace": True, "learning.seed": 7})
    assert [path.read_bytes() for path in trash.rglob("*.safetensors")] == [old]
    assert (loras / "sks.safetensors").read_bytes() != old
    card = json.loads((loras / "sks.json").read_text(encoding="utf-8"))
    assert (card["preferred weight"], card["my own"], card["activation text"]) == (0.7, 1, "sks")


@pytest.mark.parametrize("flaw", [{"drops": ("lora_unet_down_blocks_0_attentions_0_proj_in",)}, {"factor": 1.02}])
def test_a_file_the_host_reads_otherwise_is_an_error_and_the_model_goes_back(host: SmallHost, flaw: dict[str, Any]) -> None:
    for name, value in flaw.items():
        setattr(host, name, value)
    before = weights(host)
    with pytest.raises(HostError, match="loader"):
        play(host)
    assert not host.lent
    assert all(torch.equal(tensor, before[name]) for name, tensor in host.model.unet.state_dict().items())
    assert not any("forward" in module.__dict__ for module in host.model.unet.modules())


def test_previews_become_the_cards_pictures(host: SmallHost) -> None:
    events = play(host, **{"preview.every_epochs": 2, "preview.size": "64,64", "learning.epochs": 4, "preview.seed": 9})
    shown = of(events, Previewed)
    assert [one.epoch for one in shown] == [2, 4]
    assert [request.seed for request in host.requests] == [9, 9]
    assert host.requests[0].prompt.startswith("sks, blob")
    red = Image.open(host.folder / "loras" / "sks.png").getpixel((0, 0))[0]
    assert red == 2, "the last preview is the picture of the last file"
    assert Image.open(shown[0].path).getpixel((0, 0))[0] == 1


def test_a_preview_that_fails_costs_no_training(host: SmallHost) -> None:
    def fail(model: FakeModel, request: PictureRequest) -> Image.Image:
        raise HostError(say("The preview was interrupted."))

    host.picture = fail  # type: ignore[method-assign]
    events = play(host, **{"preview.every_epochs": 1, "save.every_epochs": 0})
    assert events[-1].phase == "done"
    assert (host.folder / "loras" / "sks.safetensors").is_file()
    assert sum("interrupted" in str(warned.message) for warned in of(events, Warned)) == 3


def test_a_precision_the_device_has_not_is_told_before_pictures_are_encoded(host: SmallHost) -> None:
    with pytest.raises(ConfigError, match="fp16"):
        play(host, **{"run.precision": "fp16"})
    assert not host.model.calls


def test_a_model_that_was_swapped_ends_the_run(host: SmallHost) -> None:
    def watch(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 2:
            host.model.change = say("The checkpoint was changed.")

    with pytest.raises(HostError, match="changed"):
        play(host, watch=watch)
    assert not host.lent


def test_bad_pictures_end_it_before_the_model_is_asked_for(host: SmallHost) -> None:
    (host.folder / "set" / "2_blob" / "1.png").write_bytes(b"no picture")
    (host.folder / "set" / "2_blob" / "2.txt").write_bytes(b"")
    host.borrow = None  # type: ignore[assignment,method-assign]
    with pytest.raises(DataError) as caught:
        play(host)
    assert len(caught.value.messages) == 2
    host.refused = [say("This checkpoint cannot be trained.")]
    (host.folder / "set" / "2_blob" / "1.png").unlink()
    (host.folder / "set" / "2_blob" / "1.txt").unlink()
    (host.folder / "set" / "2_blob" / "2.txt").write_text("mended", encoding="utf-8")
    with pytest.raises(HostError, match="cannot be trained"):
        play(host)


def test_phases_come_in_order(host: SmallHost) -> None:
    phases = [event.phase for event in of(play(host, **{"learning.epochs": 1}), Phased)]
    order = [phase for n, phase in enumerate(phases) if n == 0 or phases[n - 1] != phase]
    assert order == ["preparing", "waiting", "caching", "training", "saving"]


def test_a_missing_caption_is_said_once(host: SmallHost) -> None:
    (host.folder / "set" / "2_blob" / "0.txt").unlink()
    (host.folder / "set" / "2_blob" / "1.txt").unlink()
    assert len(of(play(host, **{"learning.epochs": 1}), Warned)) == 1
