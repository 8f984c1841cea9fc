"""One declaration of a setting; form, job file, API schema, CLI and the README's table read it."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, TypeVar

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.core.registry import Registry

Config = TypeVar("Config")
KIND = "kind"


@dataclass(frozen=True)
class Setting:
    """What is known of one setting. `type` is bool, int, float, text, path, size or choice.

    `name` is dotted ("network.rank"). `kind` is the card that owns it ("lora"), or None for settings that always hold.
    """

    name: str
    type: str
    default: Any
    label: str
    help: str
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    kind: str | None = None
    advanced: bool = False
    lines: int = 1

    @property
    def section(self) -> str:
        """The group it belongs to: the first part of its name."""
        return self.name.split(".", 1)[0]


@dataclass(frozen=True)
class Pick:
    """A choice from a registry, with the chosen card's options beside `kind` in the job file."""

    kind: str
    options: Any


def opt(default: Any, label: str, help: str, **more: Any) -> Any:
    """A dataclass field that is a setting. `more`: min, max, step, path, advanced, lines."""
    return dataclasses.field(default=default, metadata={"label": label, "help": help, **more})


def section(cls: type, label: str) -> Any:
    """A dataclass field that holds a group of settings."""
    return dataclasses.field(default_factory=cls, metadata={"label": label, "section": cls})


def pick(registry: Registry, default: str, label: str, help: str) -> Any:
    """A dataclass field that holds a choice from a registry."""

    def chosen() -> Pick:
        return Pick(default, registry.get(default).options())

    return dataclasses.field(default_factory=chosen, metadata={"label": label, "help": help, "registry": registry, "default": default})


def describe(cls: type, prefix: str = "", kind: str | None = None) -> list[Setting]:
    """All settings of a config class in the order of their declaration, the options of every card included."""
    hints = typing.get_type_hints(cls)
    found: list[Setting] = []
    for field in fields(cls):
        meta, name = field.metadata, f"{prefix}{field.name}"
        if "section" in meta:
            found += describe(meta["section"], f"{name}.")
        elif "registry" in meta:
            entries = meta["registry"].entries()
            found.append(Setting(f"{name}.{KIND}", "choice", meta["default"], meta["label"], meta["help"], choices=tuple(entries)))
            for entry in entries.values():
                found += describe(entry.options, f"{name}.", entry.kind)
        else:
            found.append(_setting(field, hints[field.name], name, kind))
    return found


def section_labels(cls: type) -> dict[str, str]:
    """The title of each top-level section, by its name."""
    return {field.name: field.metadata["label"] for field in fields(cls)}


def load(cls: type[Config], raw: Mapping[str, Any]) -> Config:
    """Build a config from plain nested data. Every unknown or wrong setting is named in one ConfigError."""
    problems: list[Message] = []
    config = _load(cls, raw, "", problems)
    if problems:
        raise ConfigError(*problems)
    return config


def dump(config: Any) -> dict[str, Any]:
    """The plain nested data of a config, complete: `load(type(c), dump(c)) == c`."""
    plain: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Pick):
            plain[field.name] = {KIND: value.kind, **dump(value.options)}
        elif is_dataclass(value):
            plain[field.name] = dump(value)
        else:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain


def flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested data → {dotted name: value}."""
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted name: value} → nested data."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or isinstance(place.get(last), dict):
            raise ConfigError(say("{name}: given both as a single value and as a group of settings", name=name))
        place[last] = value
    return nested


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested data of `base` with what `over` says put on top; a changed kind drops the old kind's options."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            changed_kind = KIND in value and value[KIND] != old.get(KIND)
            merged[key] = dict(value) if changed_kind else merge(old, value)
        else:
            merged[key] = value
    return merged


def assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """`["a.b=c"]` as typed on a command line → nested data; a value that reads as JSON is taken as JSON."""
    flat: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(say("{pair}: write a setting as name=value", pair=pair))
        flat[name.strip()] = _typed(text.strip())
    return unflatten(flat)


def json_schema(cls: type) -> dict[str, Any]:
    """The settings as plain data for the API: one entry per setting, with everything a form needs."""
    return {
        "sections": section_labels(cls),
        "settings": [dataclasses.asdict(setting) | {"choices": list(setting.choices)} for setting in describe(cls)],
    }


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _setting(field: dataclasses.Field, hint: Any, name: str, kind: str | None) -> Setting:
    meta = field.metadata
    default = field.default if field.default is not MISSING else field.default_factory()
    kind_of, choices = _type_of(hint, meta)
    known = {key: meta[key] for key in ("min", "max", "step", "advanced", "lines") if key in meta}
    return Setting(name, kind_of, default, meta["label"], meta["help"], choices=choices, kind=kind, **known)


def _type_of(hint: Any, meta: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    if typing.get_origin(hint) is typing.Literal:
        return "choice", typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return "size", ()
    if hint is str:
        return ("path" if meta.get("path") else "text"), ()
    return {bool: "bool", int: "int", float: "float"}[hint], ()


def _load(cls: type, raw: Mapping[str, Any], prefix: str, problems: list[Message]) -> Any:
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}
    for key in raw:
        if key not in known and not (prefix and key == KIND):
            problems.append(say("{name}: unknown setting; known here: {known}", name=f"{prefix}{key}", known=sorted(known)))
    values: dict[str, Any] = {}
    for name, field in known.items():
        if name not in raw:
            continue
        dotted, value, meta = f"{prefix}{name}", raw[name], field.metadata
        if "section" in meta or "registry" in meta:
            if not isinstance(value, Mapping):
                problems.append(say("{name}: this is a group of settings, not a single value", name=dotted))
            elif "section" in meta:
                values[name] = _load(meta["section"], value, f"{dotted}.", problems)
            else:
                values[name] = _load_pick(meta, value, dotted, problems)
        else:
            values[name] = _checked(_setting(field, hints[name], dotted, None), value, problems)
    return cls(**values)


def _load_pick(meta: Mapping[str, Any], raw: Mapping[str, Any], dotted: str, problems: list[Message]) -> Pick:
    kind = raw.get(KIND, meta["default"])
    entries = meta["registry"].entries()
    if not isinstance(kind, str) or kind not in entries:
        problems.append(say("{name}: {value} is none of {choices}", name=f"{dotted}.{KIND}", value=repr(kind), choices=sorted(entries)))
        kind = meta["default"]
        return Pick(kind, entries[kind].options())
    return Pick(kind, _load(entries[kind].options, raw, f"{dotted}.", problems))


def _checked(setting: Setting, value: Any, problems: list[Message]) -> Any:
    try:
        found = _converted(setting, value)
    except (TypeError, ValueError, OverflowError):
        problems.append(say("{label} ({name}): {value} is no {type}", label=Message(setting.label), name=setting.name, value=repr(value), type=setting.type))
        return setting.default
    if setting.choices and found not in setting.choices:
        problems.append(
            say("{label} ({name}): {value} is none of {choices}", label=Message(setting.label), name=setting.name, value=repr(found), choices=setting.choices)
        )
    numbers = found if isinstance(found, tuple) else (found,)
    for number in numbers if setting.type in ("int", "float", "size") else ():
        if (setting.min is not None and number < setting.min) or (setting.max is not None and number > setting.max):
            low = "" if setting.min is None else setting.min
            high = "" if setting.max is None else setting.max
            problems.append(
                say("{label} ({name}): {value} is outside {low} … {high}", label=Message(setting.label), name=setting.name, value=number, low=low, high=high)
            )
    return found


def _converted(setting: Setting, value: Any) -> Any:
    if setting.type == "bool":
        if not isinstance(value, bool):
            raise TypeError
        return value
    if setting.type == "int":
        if isinstance(value, bool) or int(value) != float(value):
            raise TypeError
        return int(value)
    if setting.type == "float":
        if isinstance(value, bool) or not math.isfinite(float(value)):
            raise TypeError
        return float(value)
    if setting.type == "size":
        return _size(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: Any) -> tuple[int, int]:
    """(width, height) from [w, h], "w,h", "wxh" or one number for a square."""
    if isinstance(value, str):
        value = value.lower().replace("x", ",").replace("×", ",").split(",")
    elif isinstance(value, (int, float)):
        value = [value]
    sides = [int(side) for side in value]
    width, height = sides * 2 if len(sides) == 1 else sides
    return width, height
