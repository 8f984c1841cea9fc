"""One declaration of a setting: load, dump, describe, merge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_lora.core.errors import ConfigError
from lib_lora.core.registry import Registry
from lib_lora.core.settings import Setting, assignments, describe, dump, flatten, json_schema, load, merge, opt, section, unflatten
from lib_lora.hosts.registry import hosts
from lib_lora.networks.registry import networks
from lib_lora.training.config import TrainConfig
from lib_lora.training.optimizers import optimizers
from lib_lora.training.schedulers import schedulers

SETTINGS = describe(TrainConfig)


def values_of(setting: Setting) -> st.SearchStrategy:
    """Any value the declaration allows."""
    low, high = setting.min, setting.max
    return {
        "bool": st.booleans(),
        "int": st.integers(int(low or 0), int(high if high is not None else 10**6)),
        "float": st.floats(low if low is not None else -1e6, high if high is not None else 1e6),
        "choice": st.sampled_from(setting.choices or ("",)),
        "size": st.tuples(*[st.integers(int(low or 1), int(high or 4096))] * 2).map(list),
        "text": st.text(),
        "path": st.text(),
    }[setting.type]


@given(st.data())
def test_every_allowed_job_survives_load_dump_and_json(data: st.DataObject) -> None:
    kinds = {s.name: data.draw(values_of(s)) for s in SETTINGS if s.name.endswith(".kind")}
    chosen = [s for s in SETTINGS if s.kind is None or kinds[f"{s.section}.kind"] == s.kind]
    flat = {s.name: data.draw(values_of(s)) for s in chosen if s.name not in kinds} | kinds
    config = load(TrainConfig, unflatten(flat))
    again = json.loads(json.dumps(dump(config)))
    assert load(TrainConfig, again) == config
    assert flatten(again) == flat


def test_what_is_left_out_has_its_default() -> None:
    assert load(TrainConfig, {}) == TrainConfig()
    assert load(TrainConfig, {"network": {"rank": 4}}).network.options.alpha == TrainConfig().network.options.alpha


def test_every_problem_is_named_at_once() -> None:
    raw = {
        "noise": {"offst": 0.1},
        "data": {"repeats": 2.5, "resolution": "512x9999", "cache": "cloud", "skip_unreadable": 1},
        "network": {"kind": "lora", "rank": 0, "factor": 8},
        "learning": {"unet_lr": "fast", "epochs": True, "text_encoder_lr": float("nan")},
        "optimizer": {"kind": "sgdd"},
        "scheduler": {"kind": []},
        "save": "x",
        "nonsense": 1,
    }
    with pytest.raises(ConfigError) as caught:
        load(TrainConfig, raw)
    named = {message.params["name"] for message in caught.value.messages}
    assert named == {
        "noise.offst", "data.repeats", "data.resolution", "data.cache", "data.skip_unreadable", "network.rank", "network.factor",
        "learning.unet_lr", "learning.epochs", "learning.text_encoder_lr", "optimizer.kind", "scheduler.kind", "save", "nonsense",
    }  # fmt: skip


@pytest.mark.parametrize("typed", ["768", "768,768", "768x768", "768×768", [768, 768], 768])
def test_a_size_may_be_typed_in_many_ways(typed: object) -> None:
    assert load(TrainConfig, {"data": {"resolution": typed}}).data.resolution == (768, 768)


def test_command_line_assignments() -> None:
    pairs = ["learning.epochs=3", "caption.trigger=sks cat", "learning.unet_lr=1e-4", "run.checkpointing=true", "data.folder=D:\\set"]
    nested = assignments(pairs)
    assert nested["caption"] == {"trigger": "sks cat"}
    config = load(TrainConfig, nested)
    assert (config.learning.epochs, config.learning.unet_lr, config.run.checkpointing) == (3, 1e-4, True)
    with pytest.raises(ConfigError, match="name=value"):
        assignments(["learning.epochs"])


def test_a_changed_kind_drops_the_old_kinds_options() -> None:
    base = {"network": {"kind": "lora", "rank": 4}, "learning": {"epochs": 2}}
    assert merge(base, {"network": {"kind": "other"}})["network"] == {"kind": "other"}
    assert merge(base, {"network": {"kind": "lora", "alpha": 1.0}})["network"] == {"kind": "lora", "rank": 4, "alpha": 1.0}
    assert merge(base, {"learning": {"seed": 1}})["learning"] == {"epochs": 2, "seed": 1}


def test_names_are_unique_and_every_setting_has_words() -> None:
    names = [(setting.name, setting.kind) for setting in SETTINGS]
    assert len(set(names)) == len(names)
    for setting in SETTINGS:
        assert setting.label.strip(), setting.name
        assert setting.help.strip().endswith((".", "?")), setting.name
    shown = [{s.label: s.name for s in SETTINGS if s.kind in (None, kind)} for kind in {s.kind for s in SETTINGS}]
    for kind, labels in zip({s.kind for s in SETTINGS}, shown, strict=True):
        assert len(labels) == sum(s.kind in (None, kind) for s in SETTINGS), "two fields of one form have the same label"


def test_defaults_lie_in_their_own_ranges() -> None:
    load(TrainConfig, dump(TrainConfig()))


def test_the_schema_is_plain_data() -> None:
    schema = json.loads(json.dumps(json_schema(TrainConfig)))
    rank = next(s for s in schema["settings"] if s["name"] == "network.rank")
    assert (rank["type"], rank["kind"], rank["min"]) == ("int", "lora", 1)
    assert list(schema["sections"]) == list(dump(TrainConfig()))


def test_a_card_is_one_declaration() -> None:
    registry: Registry = Registry("thing", "lib_lora.networks.kinds")

    @dataclass(frozen=True)
    class Options:
        size: int = opt(1, "Size", "How large.", min=1)

    @registry.add("small", "Small", Options, quick=True)
    def build(options: Options) -> int:
        return options.size

    assert registry.get("small").build(Options(3)) == 3
    assert registry.get("small").traits["quick"]
    with pytest.raises(ValueError, match="already"):
        registry.add("small", "Again", Options)(build)
    with pytest.raises(ValueError, match="lower-case"):
        registry.add("Not-So", "No", Options)
    with pytest.raises(ConfigError, match="small"):
        registry.get("large")


def test_a_card_that_cannot_be_imported_takes_no_other_down(tmp_path, monkeypatch) -> None:
    package = tmp_path / "cards_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "broken.py").write_text("import no_such_library_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry = Registry("card", "cards_of_test")
    assert registry.entries() == {}
    assert "no_such_library_anywhere" in registry.unavailable["broken"]


@pytest.mark.parametrize("registry", [hosts, networks, optimizers, schedulers], ids=lambda registry: registry.name)
def test_every_card_is_there(registry: Registry) -> None:
    assert registry.entries()
    assert registry.unavailable == {}


def test_nested_sections_describe_with_dots() -> None:
    @dataclass(frozen=True)
    class Inner:
        mode: Literal["a", "b"] = opt("a", "Mode", "One of two.")

    @dataclass(frozen=True)
    class Outer:
        inner: Inner = section(Inner, "Inner")

    globals().update(Inner=Inner, Outer=Outer)
    (setting,) = describe(Outer)
    assert (setting.name, setting.section, setting.choices) == ("inner.mode", "inner", ("a", "b"))
