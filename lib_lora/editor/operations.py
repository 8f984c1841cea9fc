"""The table of operations: what a page or a command may ask for, by name, with the options of each."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.editor.basics import Add, Dedupe, Move, Remove, Set
from lib_lora.editor.change import Operation
from lib_lora.editor.normal import Normalise
from lib_lora.editor.ordering import Numbers, Sort, Truncate, estimates
from lib_lora.editor.replacing import Replace
from lib_lora.editor.triggers import Trigger, Untrigger

OPERATIONS: Mapping[str, Callable[..., Operation]] = MappingProxyType(
    {
        "set": Set,
        "add": Add,
        "remove": Remove,
        "move": Move,
        "dedupe": Dedupe,
        "replace": Replace,
        "sort": Sort,
        "truncate": Truncate,
        "normalise": Normalise,
        "trigger": Trigger,
        "untrigger": Untrigger,
    }
)
MOST_TAGS = 2000
LONGEST = 20_000


def read(raw: Any, tokens: Numbers = estimates) -> Operation:
    """{"kind": name, option: value …} → the operation; ConfigError names all that is wrong. `tokens` counts for it."""
    if not isinstance(raw, Mapping) or raw.get("kind") not in list(OPERATIONS):
        named = raw.get("kind") if isinstance(raw, Mapping) else raw
        raise ConfigError(say("{name}: {value} is none of {choices}", name="op.kind", value=repr(named)[:200], choices=tuple(OPERATIONS)))
    made = OPERATIONS[raw["kind"]]
    hints = typing.get_type_hints(made)
    known = {one.name: one for one in fields(made) if one.name != "tokens"}  # type: ignore[arg-type]
    problems = [say("{name}: unknown field; known here: {known}", name=f"op.{name}", known=list(known)) for name in raw if name not in known and name != "kind"]
    problems += [say("{name}: this field is missing", name=f"op.{name}") for name, one in known.items() if one.default is MISSING and name not in raw]
    values: dict[str, Any] = {}
    for name in known:
        if name in raw:
            try:
                values[name] = _value(hints[name], raw[name])
            except ValueError as error:
                problems.append(say("{name}: {value} is no {type}", name=f"op.{name}", value=repr(raw[name])[:200], type=str(error)))
    if problems:
        raise ConfigError(*problems)
    return made(**values, tokens=tokens) if "tokens" in hints else made(**values)


def _value(hint: Any, value: Any) -> Any:
    """The value as its type; ValueError names the type where it is none."""
    if typing.get_origin(hint) is typing.Literal:
        if value not in typing.get_args(hint):
            raise ValueError(" | ".join(typing.get_args(hint)))
        return value
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list) or len(value) > MOST_TAGS or not all(isinstance(one, str) for one in value):
            raise ValueError("list of texts")
        return tuple(value)
    if hint is str and isinstance(value, str) and len(value) <= LONGEST:
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) and 0 <= value <= LONGEST:
        return int(value)
    raise ValueError({str: "text", bool: "bool", int: "int"}[hint])
