"""The step Check in a real browser: found, looked at, mended by a click, taken back, all clear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import doctored
import pytest
from browser import browser, overflow, visit
from doctored import TRIGGER, clean, drawing, write
from page_standin import Counting, standin_page

from lib_lora.core.messages import words

pytestmark = pytest.mark.browser
ZH = words("zh_CN")
SIZE = (512, 512)
ID = "#lora_studio_ds_check_"
FOUND = f"{ID}found"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A good set with three faults."""
    folder = clean(tmp_path / "set", 40, SIZE)
    here = folder / "2_girl"
    write(here / "a 😺.png", drawing(500, SIZE), f"{TRIGGER}, long_hair")
    write(here / "zz.png", drawing(501, SIZE), f"{TRIGGER}, cat\nmore")
    (here / "alone.txt").write_text("nobody", encoding="utf-8")
    with standin_page(tmp_path, Counting()) as (address, _):
        yield address, folder


def opened(page: Any, folder: Path) -> None:
    page.click("#lora_studio_tabs button >> nth=1")
    page.fill("#lora_studio_ds_path", str(folder))
    page.click("#lora_studio_ds_open")
    page.click("#lora_studio_ds_step_check")
    page.fill(f"{ID}trigger", TRIGGER)
    page.press(f"{ID}trigger", "Tab")


def total(page: Any, number: int) -> None:
    """Wait until so many things are found."""
    page.wait_for_selector(f'{FOUND}[data-total="{number}"][aria-busy="false"]')


def group(kind: str) -> str:
    return f'{FOUND} [data-kind="{kind}"]'


def test_found_mended_taken_back_and_all_clear(chrome: Any, served: tuple[str, Path]) -> None:
    address, folder = served
    files = {path.name: path.read_bytes() for path in (folder / "2_girl").iterdir()}
    with visit(chrome, address) as page:
        opened(page, folder)
        page.click(f"{ID}go")
        total(page, 3)
        assert page.locator(f"{FOUND} [data-severity]").count() == 1
        # A name leads to the picture.
        page.click(f'{group("underscores")} [data-file="2_girl/a 😺.png"]')
        page.wait_for_function("window.loraStudioDataset.state.chosen === '2_girl/a 😺.png' && window.loraStudioDataset.state.total === 1")
        # What will change is told before it does.
        page.click(f"{group('underscores')} .lora_studio_files summary")
        page.wait_for_selector(f'{group("underscores")} ins:has-text("{TRIGGER}, long hair")')
        page.click(f"{group('orphan')} .lora_studio_button")
        total(page, 2)
        assert not (folder / "2_girl" / "alone.txt").exists()
        page.click(f"{group('lines')} .lora_studio_button")
        total(page, 1)
        assert (folder / "2_girl" / "zz.txt").read_text(encoding="utf-8") == f"{TRIGGER}, cat, more"
        page.click(f"{group('underscores')} .lora_studio_button")
        # The caption is mended and waits to be saved.
        page.wait_for_selector(group("unsaved"))
        total(page, 1)
        page.click("#lora_studio_ds_save")
        page.wait_for_selector("#lora_studio_ds_save[data-unsaved='0']")
        assert (folder / "2_girl" / "a 😺.txt").read_text(encoding="utf-8") == f"{TRIGGER}, long hair"
        page.click(f"{ID}go")
        page.wait_for_selector(f'{FOUND}[data-state="clear"][aria-busy="false"]')
        assert page.is_visible(f'{FOUND} [data-state="clear"] .lora_studio_button')
        assert overflow(page) <= 0
        # The last three acts, in their order, back to the last byte.
        page.click("#lora_studio_ds_undo")
        page.wait_for_selector("#lora_studio_ds_save[data-unsaved='1']")
        page.click("#lora_studio_ds_undo")
        total(page, 3)
        page.click("#lora_studio_ds_undo")
        total(page, 4)
        page.click("#lora_studio_ds_save")
        page.wait_for_selector("#lora_studio_ds_save[data-unsaved='0']")
    assert {path.name: path.read_bytes() for path in (folder / "2_girl").iterdir()} == files


def test_it_is_read_in_chinese_and_leads_to_the_place_where_it_is_mended(chrome: Any, served: tuple[str, Path]) -> None:
    address, folder = served
    write(folder / "2_girl" / "empty.png", drawing(502, SIZE), b"")
    doctored.corrupt(write(folder / "2_girl" / "cut.png", drawing(503, SIZE)))
    with visit(chrome, address, "?__lang=zh_CN") as page:
        opened(page, folder)
        page.click(f"{ID}go")
        total(page, 5)
        assert page.locator(f"{FOUND} [data-severity]").count() == 2
        told = page.inner_text(FOUND)
        assert ZH["Errors"] in told and ZH["Underscores"] in told and "Underscores" not in told
        page.click(f"{group('empty_caption')} .lora_studio_button")
        page.wait_for_selector("#lora_studio_ds_panel_taggers:not([hidden])")
        page.wait_for_function("window.loraStudioDataset.state.total === 1")
