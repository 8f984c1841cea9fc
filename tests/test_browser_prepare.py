"""The step Prepare as a person meets it: settings, the plan, one picture before and after, writing, updating, taking back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser, overflow, visit
from PIL import Image
from prepared import picture
from test_browser_dataset import Page, open_folder, page_of, show

pytestmark = pytest.mark.browser
ID = "#lora_studio_ds_prepare_"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def page_behind(tmp_path: Path) -> Iterator[Page]:
    for index in range(4):
        kind = ("close-up", "cowboy shot", "full body", "multiple views")[index]
        picture(tmp_path / "set" / "6_kazari" / f"{index}.png", (200, 400), seed=index, caption=f"1girl, solo, {kind}, left hand up")
    with page_of(tmp_path / "host", tmp_path / "set" / "6_kazari") as page:
        yield page


def prepare_step(page: Any, folder: Path) -> None:
    open_folder(page, folder)
    page.click("#lora_studio_ds_step_prepare")
    planned(page, "main")


def planned(page: Any, *words: str) -> None:
    """Wait until the plan as it is now holds these words."""
    page.wait_for_function(
        "words => { const plan = document.querySelector('#lora_studio_ds_prepare_plan'); "
        "return plan && plan.dataset.state !== 'asking' && words.every((word) => plan.textContent.includes(word)); }",
        arg=list(words),
    )


def test_a_project_is_planned_written_changed_and_taken_back(chrome: Any, page_behind: Page) -> None:
    target = page_behind.folder.parent / "kazari-project"
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    with visit(chrome, page_behind.address, context=context) as page:
        prepare_step(page, page_behind.folder)
        # The fourth looks like one to discard, which is said before anything is written.
        planned(page, "3.png", "left out")
        assert not target.exists()
        page.select_option(f"{ID}shape_kind", "pad")
        planned(page, "squares of 512")
        assert page.is_visible(f"{ID}shape_side") and not page.is_visible(f"{ID}shape_size")
        page.uncheck(f"{ID}copies_flip")
        planned(page, "3 pictures are written")
        page.check(f"{ID}copies_flip")
        planned(page, "6 pictures are written")
        page.click(f"{ID}write")
        page.wait_for_selector(f"{ID}result:not([hidden]) {ID}project")
        assert page.inner_text(f"{ID}project").strip("\u200b") == str(target)
        assert len(list(target.rglob("*.png"))) == 6
        assert "letterboxed" not in next(target.rglob("0.txt")).read_text(encoding="utf-8")
        assert "pillarboxed" in next(target.rglob("0.txt")).read_text(encoding="utf-8")
        planned(page, "updated", "6 pictures stay as they are")
        page.select_option(f"{ID}shape_colour", "white")
        planned(page, "0 pictures stay as they are, 6 are written")
        page.click(f"{ID}write")
        page.wait_for_function("() => document.querySelector('#lora_studio_ds_prepare_plan').textContent.includes('6 pictures stay as they are')")
        assert Image.open(next(target.rglob("0.png"))).getpixel((0, 0)) == (255, 255, 255)
        page.click(f"{ID}undo")
        planned(page, "0 pictures stay as they are, 6 are written")
        assert Image.open(next(target.rglob("0.png"))).getpixel((0, 0)) == (0, 0, 0)
        assert overflow(page) <= 0
    with visit(chrome, page_behind.address, context=context) as page:
        # What was chosen is there again.
        show(page)
        page.wait_for_selector("#lora_studio_ds_step_prepare[aria-selected='true']")
        planned(page, "squares of 512")
        assert page.input_value(f"{ID}shape_colour") == "white" and page.input_value(f"{ID}target") == str(target)
        page.click(f"{ID}undo")
        page.wait_for_selector(f"{ID}undo", state="hidden")
        assert not target.exists() and len(list(page_behind.folder.iterdir())) == 8
    context.close()


def test_the_chosen_picture_is_shown_before_and_after_and_its_cut_follows_a_drawn_face(chrome: Any, page_behind: Page) -> None:
    with visit(chrome, page_behind.address) as page:
        prepare_step(page, page_behind.folder)
        page.select_option(f"{ID}shape_kind", "focal")
        page.fill(f"{ID}shape_size", "256 x 256")
        page.press(f"{ID}shape_size", "Tab")
        planned(page, "256 × 256")
        page.click("#lora_studio_ds_grid figure[data-key='0.png'] img")
        page.wait_for_selector(f"{ID}before.lora_studio_ds_drawn_on")
        page.wait_for_selector(f"{ID}after")
        for part, expected in ((0.85, (200, 400)), (0.05, (0, 200))):
            page.locator(f"{ID}before").scroll_into_view_if_needed()
            area = page.locator(f"{ID}before").bounding_box()
            x, y = area["x"] + area["width"] * 0.4, area["y"] + area["height"] * part
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + area["width"] * 0.2, y + area["height"] * 0.1, steps=3)
            page.mouse.up()
            page.wait_for_function(
                "([low, high]) => { const node = document.querySelector('#lora_studio_ds_prepare_before'); if (!node) return false; "
                "const [, top, , bottom] = node.dataset.box.split(',').map(Number); return top === low && bottom === high; }",
                arg=list(expected),
            )
        page.click(f"{ID}forget")
        page.wait_for_selector(f"{ID}forget", state="detached")


def test_what_cannot_be_written_is_said_and_the_button_rests(chrome: Any, page_behind: Page) -> None:
    taken = page_behind.folder.parent / "taken"
    taken.mkdir()
    (taken / "diary.txt").write_text("mine", encoding="utf-8")
    with visit(chrome, page_behind.address) as page:
        prepare_step(page, page_behind.folder)
        page.fill(f"{ID}target", str(taken))
        page.press(f"{ID}target", "Tab")
        planned(page, "holds something else already")
        assert page.is_disabled(f"{ID}write")
        shutil.rmtree(taken)
        page.fill(f"{ID}target", "")
        page.press(f"{ID}target", "Tab")
        planned(page, "are written")
        assert page.is_enabled(f"{ID}write")
