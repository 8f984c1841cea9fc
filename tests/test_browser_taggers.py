"""The step Taggers in a real browser: from a folder without captions to saved ones, and one picture's bars."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphs
import pytest
from browser import browser, overflow, visit
from page_standin import Counting, standin_page
from PIL import Image

pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")
pytestmark = pytest.mark.browser
ID = "#lora_studio_ds_taggers_"
COLOURS = {"6_sks/a": (255, 0, 0), "6_sks/b": (0, 255, 0), "reg/1_girl/c": (0, 0, 255)}


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The page around a training set, a regularisation set, and one tagger that is there."""
    folder = tmp_path / "set"
    for name, colour in COLOURS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 48), colour).save(folder / f"{name}.png")
    (folder / "6_sks" / "b.txt").write_text("mine", encoding="utf-8")
    graphs.tagger(tmp_path / "loras" / "taggers" / "mine")
    with standin_page(tmp_path, Counting()) as (address, _):
        yield address, folder


def opened(shown: Any, folder: Path) -> None:
    shown.click("#lora_studio_tabs button:has-text('Dataset') >> nth=0")
    shown.fill("#lora_studio_ds_path", str(folder))
    shown.click("#lora_studio_ds_open")
    shown.click("#lora_studio_ds_step_taggers")
    shown.wait_for_selector(f'{ID}state[data-state="ready"]')


def example(shown: Any, side: str, key: str, after: str) -> None:
    """Wait until the preview says that this picture gets that caption."""
    shown.wait_for_function(
        """([side, key, after]) => [...document.querySelectorAll(`[data-side="${side}"] .lora_studio_ds_example`)].some((one) =>
            one.querySelector("code").textContent.startsWith(key) && one.lastElementChild.textContent.replace(/\\u200b/g, "") === after)""",
        arg=[side, key, after],
    )


def slide(shown: Any, name: str, value: str) -> None:
    shown.fill(f"{ID}{name} + input", value)
    shown.press(f"{ID}{name} + input", "Enter")


def test_tag_move_thresholds_write_undo_and_save(chrome: Any, page: tuple[str, Path]) -> None:
    address, folder = page
    with visit(chrome, address) as shown:
        opened(shown, folder)
        assert shown.input_value(f"{ID}tagger") == "mine"
        shown.click(f"{ID}run")
        # Target 0.5, regularisation 0.35, as the guide has them.
        example(shown, "target", "6_sks/a.png", "red hair")
        # Captions that are there stay, until somebody wants them replaced.
        assert shown.is_checked("input[value='skip']")
        shown.check("input[value='overwrite']")
        example(shown, "regularisation", "reg/1_girl/c.png", "blue hair, ^_^")
        slide(shown, "threshold", "0.3")
        example(shown, "target", "6_sks/a.png", "red hair, grey background")
        shown.fill(f"{ID}trigger", "sks")
        example(shown, "target", "6_sks/a.png", "sks, red hair, grey background")
        example(shown, "regularisation", "reg/1_girl/c.png", "blue hair, ^_^")
        shown.click('[data-side="target"] [data-tag="grey background"]')
        example(shown, "target", "6_sks/b.png", "sks, green hair, ^_^")
        assert shown.input_value(f"{ID}exclude") == "grey background"
        shown.check("input[value='append']")
        example(shown, "target", "6_sks/b.png", "sks, mine, green hair, ^_^")
        shown.click(f"{ID}write")
        shown.wait_for_selector("#lora_studio_ds_save[data-unsaved='3']")
        assert not (folder / "6_sks" / "a.txt").exists()
        shown.click("#lora_studio_ds_undo")
        shown.wait_for_selector("#lora_studio_ds_save[data-unsaved='0']")
        shown.click("#lora_studio_ds_redo")
        shown.wait_for_selector("#lora_studio_ds_save[data-unsaved='3']")
        shown.click("#lora_studio_ds_save")
        shown.wait_for_selector("#lora_studio_ds_save[data-unsaved='0']")
        assert overflow(shown) <= 0
    texts = {name: (folder / f"{name}.txt").read_text(encoding="utf-8").strip() for name in COLOURS}
    assert texts == {"6_sks/a": "sks, red hair", "6_sks/b": "sks, mine, green hair, ^_^", "reg/1_girl/c": "blue hair, ^_^"}


def test_one_pictures_bars_keep_and_exclude_and_go_into_a_prompt(chrome: Any, page: tuple[str, Path]) -> None:
    address, folder = page
    one = "#lora_studio_ds_taggers_one_"
    with visit(chrome, address) as shown:
        opened(shown, folder)
        shown.set_input_files(f"{one}file", str(folder / "6_sks" / "a.png"))
        shown.wait_for_selector(f'{one}bars[data-state="done"] [data-tag="red_hair"][data-how="in"]')
        shown.wait_for_selector('[data-tag="grey_background"][data-how="out"]')
        shown.click('[data-tag="grey_background"]')
        shown.wait_for_selector('[data-tag="grey_background"][data-how="keep"]')
        shown.wait_for_function("id => document.querySelector(id).value === 'red hair, grey background'", arg=f"{one}caption")
        shown.click('[data-tag="red_hair"]')
        shown.wait_for_selector('[data-tag="red_hair"][data-how="exclude"]')
        shown.wait_for_function("id => document.querySelector(id).value === 'grey background'", arg=f"{one}caption")
        assert (shown.input_value(f"{ID}keep"), shown.input_value(f"{ID}exclude")) == ("grey_background", "red_hair")
        shown.fill(f"{one}caption", "hat (red)")
        shown.click(f"{one}send")
        shown.wait_for_function("() => document.querySelector('#lora_studio_generate_prompt :is(input, textarea)').value === 'hat \\\\(red\\\\)'")


def test_a_tagger_that_is_missing_says_where_it_belongs_and_is_fetched_on_a_click(
    chrome: Any, page: tuple[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    """From a mirror on this machine."""
    address, folder = page
    name = "wd-v1-4-moat-tagger-v2"
    graphs.tagger(tmp_path / "hub" / "SmilingWolf" / name / "resolve" / "main", 1)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "hub"))) as hub, visit(chrome, address) as shown:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        opened(shown, folder)
        shown.select_option(f"{ID}tagger", name)
        shown.wait_for_selector(f'{ID}state[data-state="missing"]')
        assert str(tmp_path / "loras" / "taggers" / name) in shown.inner_text(f"{ID}folder")
        assert f"https://huggingface.co/SmilingWolf/{name}/resolve/main/model.onnx" in shown.inner_text(f"{ID}state")
        assert shown.is_disabled(f"{ID}run")
        shown.fill(f"{ID}state input", f"http://127.0.0.1:{hub.server_address[1]}")
        shown.click(f"{ID}download")
        shown.wait_for_selector(f'{ID}state[data-state="ready"]')
        shown.click(f"{ID}run")
        example(shown, "target", "6_sks/a.png", "red hair")
        hub.shutdown()
    assert sorted(path.name for path in (tmp_path / "loras" / "taggers" / name).iterdir()) == ["model.onnx", "selected_tags.csv"]
