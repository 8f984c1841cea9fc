"""The README's table of settings, from their one declaration."""

from __future__ import annotations

from typing import Any

from lib_lora.core.settings import Setting, describe, section_labels
from lib_lora.training.config import TrainConfig


def settings_table() -> str:
    """Markdown: a heading and a table for each section."""
    settings = describe(TrainConfig)
    parts = [_section(label, [one for one in settings if one.section == name]) for name, label in section_labels(TrainConfig).items()]
    return "\n\n".join(parts)


def _section(label: str, settings: list[Setting]) -> str:
    head = [f"**{label}**", "", "| Setting | Default | Values | Meaning |", "|---|---|---|---|"]
    return "\n".join(head + [_row(setting) for setting in settings])


def _row(setting: Setting) -> str:
    only = f" ({setting.kind})" if setting.kind else ""
    return f"| `{setting.name}`{only} | {_code(setting.default)} | {_values(setting)} | {_escaped(f'{setting.label}. {setting.help}')} |"


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.min is None and setting.max is None:
        return {"bool": "`true`, `false`"}.get(setting.type, setting.type)
    low = "" if setting.min is None else _plain(setting.min)
    high = "" if setting.max is None else _plain(setting.max)
    return f"{low} … {high}".strip()


def _code(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(str(part) for part in value)}`"
    return f"`{value}`" if value != "" else ""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
