"""The step Repeats and "Send to Train", in a real browser: from sorted pictures to a training form that is filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser, field, holds, overflow, visit
from page_standin import Counting, standin_page
from PIL import Image

from lib_lora.core.messages import words

pytestmark = pytest.mark.browser
ID = "#lora_studio_ds_repeats_"
SETS = {"main": (30, "kazari, 1girl, cowboy shot, smile"), "face": (10, "kazari, 1girl, portrait, close-up"), "full": (5, "kazari, 1girl, full body, standing")}


def paint(folder: Path, seed: int, n: int, caption: str) -> None:
    """Pictures of noise: none is like another."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(n):
        Image.fromarray(chance.integers(0, 255, (80, 64, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(caption, encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Path]]:
    """The page around a set that lies in N_concept folders."""
    folder = tmp_path_factory.mktemp("repeats")
    for seed, (name, (n, caption)) in enumerate(SETS.items()):
        paint(folder / "set" / f"3_kazari_{name}", seed, n, caption)
    with browser() as chrome, standin_page(folder, Counting()) as (address, _):
        yield chrome, address, folder / "set"


def opened(shown: Any, folder: Path) -> None:
    """Open the folder on the Dataset page, and the step; wait for its answer."""
    shown.click("#lora_studio_tabs button:has-text('Dataset') >> nth=0")
    shown.fill("#lora_studio_ds_path", str(folder))
    shown.click("#lora_studio_ds_open")
    shown.click("#lora_studio_ds_step_repeats")
    shown.wait_for_selector(f'{ID}answer[data-feasible="true"][data-holds="true"]')


def value(shown: Any, name: str, wanted: int) -> None:
    """Wait until the repeats of a class are that."""
    shown.wait_for_function("([id, wanted]) => document.querySelector(id)?.value === String(wanted)", arg=[f"{ID}of_{name}", wanted])


def test_counts_repeats_overrides_and_back(page: tuple[Any, str, Path]) -> None:
    chrome, address, folder = page
    with visit(chrome, address) as shown:
        opened(shown, folder)
        assert [shown.input_value(f"{ID}count_{name}") for name in ("main", "face", "full")] == ["30", "10", "5"]
        for name, wanted in (("main", 12), ("face", 9), ("full", 10)):
            value(shown, name, wanted)
        assert "30 × 12 = 360 per epoch: 4.00 times" in shown.inner_text(f"{ID}table")
        assert shown.is_visible(f"{ID}table th:has-text('Others at 1')")
        assert "main visuals ×12" in shown.inner_text(f"{ID}foot")

        # By hand: the rules say what breaks, as soon as it is typed.
        shown.fill(f"{ID}of_face", "3")
        shown.wait_for_selector(f'{ID}rules[data-holds="false"] li[data-rule="ratio"][data-level="red"]')
        assert "above 5" in shown.inner_text(f'{ID}rules li[data-rule="ratio"]')
        shown.wait_for_selector(f'{ID}foot[data-holds="false"]')
        shown.click(f"{ID}back")
        shown.wait_for_selector(f'{ID}answer[data-holds="true"]')
        value(shown, "face", 9)

        # Another question: without flipped copies half as many are wanted.
        shown.uncheck(f"{ID}flip")
        value(shown, "main", 6)
        shown.fill(f"{ID}count_full", "0")
        shown.wait_for_selector(f"{ID}of_full", state="detached")
        shown.click(f"{ID}sorted")
        shown.wait_for_selector(f"{ID}of_full")
        shown.check(f"{ID}flip")
        value(shown, "main", 12)
        assert overflow(shown) <= 0


def test_what_cannot_be_solved_says_what_to_do(page: tuple[Any, str, Path]) -> None:
    chrome, address, folder = page
    with visit(chrome, address) as shown:
        opened(shown, folder)
        shown.fill(f"{ID}count_face", "900")
        shown.wait_for_selector(f'{ID}answer[data-feasible="false"]')
        shown.wait_for_selector(f"{ID}told .lora_studio_error:has-text('face close-ups')")
        shown.click(f"{ID}sorted")
        shown.wait_for_selector(f'{ID}answer[data-feasible="true"]')


def test_a_batch_as_large_as_the_set(page: tuple[Any, str, Path]) -> None:
    chrome, address, folder = page
    with visit(chrome, address) as shown:
        opened(shown, folder)
        shown.click("#lora_studio_ds_batches_fold > summary")
        shown.wait_for_selector('#lora_studio_ds_batches_answer[data-product="90"]')
        assert [row.split() for row in shown.locator("#lora_studio_ds_batches_table tbody tr").all_inner_texts()][2][:2] == ["3", "30\u200b"]


def test_sent_to_train_the_form_holds_it_and_says_so(page: tuple[Any, str, Path]) -> None:
    chrome, address, folder = page
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    with visit(chrome, address, context=context) as shown:
        shown.fill(field("save.name"), "another one")
        opened(shown, folder)
        shown.click("#lora_studio_ds_send")
        shown.wait_for_selector("#lora_studio_panel", state="visible")
        shown.wait_for_selector("#lora_studio_filled:has-text('Trigger word: kazari')")
        # The folders' number is 3, and others were computed.
        shown.wait_for_selector("#lora_studio_filled .lora_studio_warning:has-text('3_kazari_face (9)')")
        holds(shown, "data.folder", str(folder))
        holds(shown, "caption.trigger", "kazari")
        holds(shown, "save.name", "")
        shown.wait_for_selector('.lora_studio_plan[data-state="ready"]')
        assert "45 pictures × 3 repeats = 135 per epoch." in shown.inner_text(".lora_studio_plan")
        assert shown.evaluate("window.loraStudio.job().caption.keep_tokens") == 1
        assert shown.evaluate("window.loraStudio.job().data.resolution") in ("512,512", [512, 512])
    with visit(chrome, address, context=context) as shown:  # it survives a reload, as everything typed does
        holds(shown, "data.folder", str(folder))
        holds(shown, "caption.trigger", "kazari")
    context.close()


def test_chinese(page: tuple[Any, str, Path]) -> None:
    chrome, address, folder = page
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    with visit(chrome, address, context=context, query="?lang=zh_CN") as shown:
        shown.click(f"#lora_studio_tabs button:has-text('{words('zh_CN')['Dataset']}') >> nth=0")
        shown.fill("#lora_studio_ds_path", str(folder))
        shown.click("#lora_studio_ds_open")
        shown.click("#lora_studio_ds_step_repeats")
        shown.wait_for_selector(f'{ID}answer[data-feasible="true"]')
        text = shown.inner_text("#lora_studio_ds_panel_repeats")
        assert "主视觉图" in text
        assert not re.search(r"[A-Za-z]{4,}", text.replace("LoKr", "").replace("LoRA", ""))
    context.close()
