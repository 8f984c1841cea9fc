"""Settings → gradio components and back: one table, so that form and config cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from lib_lora.core.messages import ENGLISH
from lib_lora.core.settings import KIND, Setting, describe, flatten, unflatten
from lib_lora.training.config import TrainConfig

PREFIX = "lora_studio_train_"
Labels = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Field:
    """One setting and what shows it."""

    setting: Setting
    component: Component


class Form:
    """All settings of a training. Build the components with `add`; then `read` and `fill` are each other's inverse."""

    def __init__(self, start: Mapping[str, Any] | None = None) -> None:
        self.settings = describe(TrainConfig)
        self.labels = kind_labels()
        self.fields: list[Field] = []
        self._start = flatten(start or {})

    @property
    def components(self) -> list[Component]:
        """The components in the order in which `read` takes their values and `fill` gives their updates."""
        return [field.component for field in self.fields]

    def component(self, name: str) -> Component:
        """The component of a setting that always holds."""
        return next(field.component for field in self.fields if field.setting.name == name)

    def add(self, setting: Setting, **shown: Any) -> Component:
        """Build a setting's component here. `shown` says label, info or placeholder otherwise than the setting does."""
        value = self._start.get(setting.name, setting.default)
        component = BUILD[_row(setting)](setting, self._to_component(setting, value), self._common(setting) | shown)
        # The WebUI would keep values in ui-config.json and put them over what the page restores.
        component.do_not_save_to_config = True
        self.fields.append(Field(setting, component))
        return component

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the components hold, as nested data of a job; options of cards that are not chosen are left out."""
        held = [(field.setting, self._from_component(field.setting, value)) for field, value in zip(self.fields, values, strict=True)]
        kinds = {setting.section: value for setting, value in held if setting.name.endswith(f".{KIND}")}
        return unflatten({setting.name: value for setting, value in held if setting.kind in (None, kinds.get(setting.section))})

    def fill(self, job: Mapping[str, Any]) -> list[Any]:
        """An update for each component: the value `job` has for it, or none."""
        flat = flatten(job)
        return [self._update(field.setting, flat) for field in self.fields]

    def _update(self, setting: Setting, flat: Mapping[str, Any]) -> Any:
        kind = flat.get(f"{setting.section}.{KIND}")
        if setting.name not in flat or (setting.kind is not None and kind not in (None, setting.kind)):
            return gr.update()
        try:
            return gr.update(value=self._to_component(setting, flat[setting.name]))
        except (KeyError, TypeError, ValueError):
            return gr.update()  # a job kept by an older version: what no longer fits keeps its value

    def _common(self, setting: Setting) -> dict[str, Any]:
        return {"label": setting.label, "info": setting.help, "elem_id": element_id(setting), "interactive": True}

    def _to_component(self, setting: Setting, value: Any) -> Any:
        if setting.type == "choice":
            named = self.labels.get(setting.name)
            return named[value] if named else _one_of(value, setting.choices)
        if setting.type == "size":
            return ",".join(str(side) for side in value) if isinstance(value, (list, tuple)) else str(value)
        return {"bool": bool, "int": int, "float": float}.get(setting.type, str)(value)

    def _from_component(self, setting: Setting, value: Any) -> Any:
        if setting.name in self.labels:
            return next((kind for kind, label in self.labels[setting.name].items() if label == value), value)
        if setting.type == "int" and isinstance(value, float) and value.is_integer():
            return int(value)
        if setting.type in ("text", "path"):
            return (value or "").strip()
        return value


def kind_labels() -> dict[str, dict[str, str]]:
    """The labels of cards, by the setting that chooses one: {"network.kind": {"lora": "LoRA"}}."""
    registries = {field.name: field.metadata["registry"] for field in fields(TrainConfig) if "registry" in field.metadata}
    return {f"{name}.{KIND}": {kind: entry.label for kind, entry in registry.entries().items()} for name, registry in registries.items()}


def element_id(setting: Setting) -> str:
    """The id in the page: the dotted name; options of a card that is not the usual one carry its kind."""
    usual = next(field.metadata["default"] for field in fields(TrainConfig) if field.name == setting.section) if setting.kind else None
    inner = setting.name.replace(".", "_")
    return f"{PREFIX}{inner}" if setting.kind == usual else f"{PREFIX}{setting.kind}_{inner}"


def summary(settings: Iterable[Setting], job: Mapping[str, Any], words: Mapping[str, str] = ENGLISH, labels: Labels | None = None) -> str:
    """What these settings hold now, in a few words: "LoRA, rank 16, alpha 8"."""
    flat, labels = flatten(job), labels if labels is not None else kind_labels()
    told = (_told(setting, flat.get(setting.name, setting.default), words, labels) for setting in settings)
    return ", ".join(part for part in told if part)


def _told(setting: Setting, value: Any, words: Mapping[str, str], labels: Labels) -> str:
    label = words.get(setting.label, _lowered(setting.label))
    if setting.name in labels:
        chosen = labels[setting.name].get(value, str(value))
        return words.get(chosen, chosen)
    if setting.type == "bool":
        return label if value else ""
    if setting.type == "size":
        return "×".join(str(side).strip() for side in (value.split(",") if isinstance(value, str) else value))
    if setting.type == "choice" and value != setting.default:
        return words.get(value, str(value))
    if setting.type in ("int", "float"):
        return _numbered(label, value) if isinstance(value, (int, float)) and value else ""
    return str(value or "") if value != setting.default else ""


def _numbered(label: str, value: float) -> str:
    # "Save every N epochs" takes the number into itself; one of them is told without it.
    if value == 1 and label.endswith("every N epochs"):
        return label.replace("N epochs", "epoch")
    return label.replace("N", f"{value:g}") if "N" in label.split() else f"{label} {value:g}"


def _lowered(label: str) -> str:
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _one_of(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(value)
    return value


def _row(setting: Setting) -> str:
    slides = setting.type in ("int", "float") and None not in (setting.min, setting.max, setting.step)
    return "slider" if slides else setting.type


def _checkbox(_: Setting, value: Any, common: dict[str, Any]) -> Component:
    return gr.Checkbox(value=value, elem_classes=["lora_studio_tick"], **common)


def _radio(setting: Setting, value: Any, common: dict[str, Any]) -> Component:
    # Not a dropdown: that one keeps its choice in an input's value, which no localization reaches.
    named = kind_labels().get(setting.name)
    return gr.Radio(choices=list(named.values()) if named else list(setting.choices), value=value, elem_classes=["lora_studio_choice"], **common)


def _slider(setting: Setting, value: Any, common: dict[str, Any]) -> Component:
    return gr.Slider(minimum=setting.min, maximum=setting.max, step=setting.step, value=value, **common)


def _number(setting: Setting, value: Any, common: dict[str, Any]) -> Component:
    return gr.Number(value=value, precision=0 if setting.type == "int" else None, elem_classes=["lora_studio_field"], **common)


def _textbox(setting: Setting, value: Any, common: dict[str, Any]) -> Component:
    return gr.Textbox(value=value, lines=setting.lines, max_lines=max(setting.lines, 1), elem_classes=["lora_studio_field"], **common)


BUILD: Mapping[str, Callable[[Setting, Any, dict[str, Any]], Component]] = {
    "bool": _checkbox,
    "choice": _radio,
    "slider": _slider,
    "int": _number,
    "float": _number,
    "text": _textbox,
    "path": _textbox,
    "size": _textbox,
}
