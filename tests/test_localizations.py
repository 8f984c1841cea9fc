"""Every sentence and word a user reads has its Chinese, with the same blanks to fill in."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib_lora.core.messages import say, words
from lib_lora.core.settings import describe, section_labels
from lib_lora.prepare.config import PrepareConfig
from lib_lora.training.config import TrainConfig
from lib_lora.training.presets import PRESETS
from lib_lora.ui.form import kind_labels
from lib_lora.ui.paint import PaintConfig

ROOT = Path(__file__).resolve().parents[1]
CHINESE = ROOT / "localizations" / "zh_CN.json"
LANGUAGE = "lora_studio_language"  # by this key the scripts tell which dictionary the page has
TEMPLATES = {"say": (0,), "count": (1, 2), "tr": (0,)}  # which arguments of a call are read by a user
CALL_IN_SCRIPT = re.compile(r"""\bt\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
ANY_CALL_IN_SCRIPT = re.compile(r"""\bt\(\s*[^"'\s]""")
NAMES = {"epsilon", "v", "fp32", "fp16", "bf16"}  # choices that are called so in every language
HELPERS = {"messages.py": "say", "text.py": "tr"}  # where the marking functions themselves are defined


def calls(path: Path) -> Iterator[tuple[str, int, ast.expr]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TEMPLATES:
            for place in TEMPLATES[node.func.id]:
                yield node.func.id, node.lineno, node.args[place]


def python_files() -> list[Path]:
    return [*sorted((ROOT / "lib_lora").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))]


def script_files() -> list[Path]:
    return sorted((ROOT / "javascript").glob("*.js"))


def of_python() -> set[str]:
    return {node.value for path in python_files() for _, _, node in calls(path) if isinstance(node, ast.Constant)}


def of_scripts() -> set[str]:
    return {ast.literal_eval(found) for path in script_files() for found in CALL_IN_SCRIPT.findall(path.read_text(encoding="utf-8"))}


def of_settings() -> set[str]:
    settings = [*describe(TrainConfig), *describe(PaintConfig), *describe(PrepareConfig)]
    cards = {label for labels in kind_labels().values() for label in labels.values()}
    goals = {text for preset in PRESETS.values() for text in (preset.label, preset.help)}
    choices = {choice for s in [*describe(TrainConfig), *describe(PaintConfig)] if s.name not in kind_labels() for choice in s.choices} - NAMES
    return (
        {text for s in settings for text in (s.label, s.help)}
        | set(section_labels(TrainConfig).values())
        | set(section_labels(PrepareConfig).values())
        | cards
        | goals
        | choices
    )


def everything() -> set[str]:
    return of_python() | of_scripts() | of_settings()


def chinese() -> dict[str, str]:
    return json.loads(CHINESE.read_text(encoding="utf-8"))


def blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sentences_are_literals(path: Path) -> None:
    """What is put together at run time cannot be looked up in a dictionary."""
    made = [(name, line) for name, line, node in calls(path) if not (isinstance(node, ast.Constant) and isinstance(node.value, str))]
    assert not made, f"{path.name}: {made}"


@pytest.mark.parametrize("path", script_files(), ids=lambda path: path.name)
def test_words_of_scripts_are_literals(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    made = [match.group() for match in ANY_CALL_IN_SCRIPT.finditer(text) if not text[max(0, match.start() - 9) : match.start()].endswith("function ")]
    # The two places that hand a text on to `t` itself.
    assert all(call.startswith("t(t") for call in made), made


def test_every_text_has_its_chinese() -> None:
    missing = sorted(everything() - set(chinese()))
    assert not missing, f"{len(missing)} texts without Chinese: " + json.dumps(missing, ensure_ascii=False, indent=1)


def test_no_chinese_is_left_of_texts_that_are_gone() -> None:
    left = sorted(set(chinese()) - everything() - {LANGUAGE})
    assert not left, json.dumps(left, ensure_ascii=False, indent=1)


def test_chinese_has_the_same_blanks() -> None:
    wrong = {key: value for key, value in chinese().items() if blanks(key) != blanks(value)}
    assert not wrong, json.dumps(wrong, ensure_ascii=False, indent=1)


def test_keys_are_what_the_host_looks_up() -> None:
    """The WebUI compares texts trimmed."""
    assert not [key for key in chinese() if key != key.strip() or not chinese()[key].strip()]


def test_the_collector_finds_what_is_marked() -> None:
    """Texts of each kind that are certainly there: an empty collection would let everything else pass."""
    assert "{name}: unknown setting; known here: {known}" in of_python()
    assert "Where are your pictures?" in of_python()
    assert "Cancel" in of_scripts()
    assert {"Trigger word", "LoRA", "Character", "Learning", "memory", "Cosine with restarts"} <= of_settings()


def test_a_message_reads_chinese() -> None:
    text = say("{name}: unknown setting; known here: {known}", name="noise.offst", known=["offset"]).text(words("zh_CN"))
    assert "noise.offst" in text
    assert "offset" in text
    assert any("\u4e00" <= letter <= "\u9fff" for letter in text)
