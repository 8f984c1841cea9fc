"""The Dataset page as a person meets it, in a real browser: a thousand pictures looked at, sorted, thrown away and found again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import browser, overflow, visit
from page_standin import Counting, PaintingHost, served
from PIL import Image, ImageDraw

from lib_lora import app as composition
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

pytestmark = pytest.mark.browser
MANY = 1000
KINDS = ("close-up", "cowboy shot", "full body")
GRID = "#lora_studio_ds_grid"
TILES = f"{GRID} figure"


@dataclasses.dataclass
class Page:
    """A server with its workbench, and a folder to open."""

    address: str
    bench: Workbench
    folder: Path


def draw_many(folder: Path, number: int) -> Path:
    """Small pictures that all differ; a third of each class by their tags, the last ten without a caption."""
    for n in range(number):
        place = folder / ("2_kazari" if n % 2 else "extra")
        place.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (72, 96 + 8 * (n % 5)), ((n * 37) % 256, (n * 91) % 256, (n * 13) % 256))
        ImageDraw.Draw(image).rectangle((n % 50, n % 70, n % 50 + 9, n % 70 + 9), fill=(255 - n % 200, n % 251, 90))
        image.save(place / f"{n:04}.png")
        if n < number - 10:
            (place / f"{n:04}.txt").write_text(f"kazari, 1girl, {KINDS[n % 3]}, tag {n % 7}", encoding="utf-8")
    return folder


@contextmanager
def page_of(state: Path, folder: Path) -> Iterator[Page]:
    host = PaintingHost(state)
    jobs, bench = Jobs(host, Counting()), Workbench(host)
    with served(composition.alone(host, jobs, bench)) as address:
        yield Page(address, bench, folder)
    bench.shutdown()
    jobs.shutdown()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    root = tmp_path_factory.mktemp("thousand")
    with page_of(root / "host", draw_many(root / "set", MANY)) as page:
        yield page


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Page]:
    with page_of(tmp_path / "host", draw_many(tmp_path / "set", 12)) as page:
        yield page


def show(page: Any) -> None:
    page.click("#lora_studio_tabs button:has-text('Dataset')")
    page.wait_for_selector("#lora_studio_dataset[data-ready]", state="visible")


def open_folder(page: Any, folder: Path) -> None:
    show(page)
    page.fill("#lora_studio_ds_path", str(folder))
    page.press("#lora_studio_ds_path", "Enter")
    page.wait_for_selector(f"{TILES} img")


def total(page: Any, number: int) -> None:
    """Wait until the gallery shows so many pictures."""
    page.wait_for_function("n => Number(document.querySelector('#lora_studio_ds_grid')?.dataset.total) === n", arg=number)


def kind(page: Any, key: str, name: str) -> None:
    """Wait until a picture's tile shows a class, and the server has it."""
    page.wait_for_selector(f'{TILES}[data-key="{key}"][data-kind="{name}"]')


def chosen(page: Any) -> str:
    return str(page.evaluate("window.loraStudioDataset.state.chosen"))


def filtered(page: Any, value: str) -> None:
    page.click(f'[data-filter="{value}"]')


def counted(page: Any, value: str, number: int) -> None:
    """Wait until a line of the left side counts so many."""
    selector = f'[data-filter="{value}"] .lora_studio_ds_number_of'
    page.wait_for_function("([at, n]) => document.querySelector(at)?.textContent.replace(/\\D/g, '') === String(n)", arg=[selector, number])


def test_a_thousand_pictures_are_paged_filtered_sorted_and_remembered(chrome: Any, thousand: Page) -> None:
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    with visit(chrome, thousand.address, context=context) as page:
        open_folder(page, thousand.folder)
        total(page, MANY)
        assert page.locator(TILES).count() == 100
        page.click("#lora_studio_ds_pages button:last-child")
        page.wait_for_selector(f"{GRID}[data-offset='100']")
        page.wait_for_selector(f"{TILES}[data-key='extra/0100.png']")
        filtered(page, "kind:face")
        total(page, 330)
        page.wait_for_selector(f"{GRID}[data-offset='0']")
        counted(page, "kind:face", 330)
        page.click(f"{TILES}[data-key='2_kazari/0003.png'] img")
        page.wait_for_selector(".lora_studio_ds_large img")
        page.keyboard.press("3")
        # The next one is chosen at once; what was put elsewhere leaves the filter.
        page.wait_for_function("window.loraStudioDataset.state.chosen === 'extra/0006.png'")
        total(page, 329)
        counted(page, "kind:full", 331)
        assert overflow(page) <= 0
    with visit(chrome, thousand.address, context=context) as page:
        show(page)
        # The folder, the filter and what was decided are there again.
        total(page, 329)
        assert page.input_value("#lora_studio_ds_path") == str(thousand.folder)
        assert page.get_attribute('[data-filter="kind:face"]', "aria-pressed") == "true"
        filtered(page, "kind:face")
        total(page, MANY)
        counted(page, "kind:full", 331)
        filtered(page, "flag:no_caption")
        total(page, 10)
    context.close()


def unsaved(page: Any, number: int) -> None:
    """Wait until the page says that so many captions are not saved."""
    page.wait_for_selector(f'#lora_studio_ds_save[data-unsaved="{number}"]')


def captions(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))}


def test_a_thousand_pictures_are_filtered_edited_undone_saved_and_read_again(chrome: Any, thousand: Page) -> None:
    before = captions(thousand.folder)
    meant = {name: f"long sleeves, {text}" if text.endswith("tag 3") else text for name, text in before.items()}
    changed = sum(meant[name] != before[name] for name in before)
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    with visit(chrome, thousand.address, context=context) as page:
        open_folder(page, thousand.folder)
        page.click("#lora_studio_ds_step_captions")
        page.fill("#lora_studio_ds_tagsearch", "tag 3")
        page.click('#lora_studio_ds_taglist [data-tag="tag 3"]')
        total(page, changed)
        page.fill("#lora_studio_ds_batch_tags", "long sleeves")
        page.wait_for_selector(f'#lora_studio_ds_batch_told[data-changed="{changed}"]')
        page.click("#lora_studio_ds_batch_go")
        unsaved(page, changed)
        page.click("#lora_studio_ds_undo")
        unsaved(page, 0)
        page.click("#lora_studio_ds_redo")
        unsaved(page, changed)
        assert captions(thousand.folder) == before, "nothing is written before it is saved"
        page.click("#lora_studio_ds_save")
        unsaved(page, 0)
        assert captions(thousand.folder) == meant
        assert overflow(page) <= 0
    with visit(chrome, thousand.address, context=context) as page:
        show(page)
        # Folder, step and filter are those from before; the tag that was added is counted from the files.
        total(page, changed)
        unsaved(page, 0)
        page.fill("#lora_studio_ds_tagsearch", "long")
        page.wait_for_selector('#lora_studio_ds_taglist [data-tag="long sleeves"]')
        told = page.inner_text('#lora_studio_ds_taglist [data-tag="long sleeves"] .lora_studio_ds_number_of')
        assert told == str(changed)
        assert captions(thousand.folder) == meant
    context.close()


def test_keys_and_mouse_pick_and_what_is_done_is_taken_back(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address) as page:
        open_folder(page, few.folder)
        total(page, 12)
        page.click(f"{TILES}:nth-child(2) img")
        page.click(f"{TILES}:nth-child(4) img", modifiers=["Shift"])
        page.click(f"{TILES}:nth-child(6) img", modifiers=["Control"])
        assert page.locator(f"{TILES}[aria-selected='true']").count() == 4
        keys = page.evaluate("[...window.loraStudioDataset.state.picked]")
        page.keyboard.press("4")
        counted(page, "kind:discard", 4)
        page.keyboard.press("Control+z")
        counted(page, "kind:discard", 0)
        page.keyboard.press("Control+y")
        counted(page, "kind:discard", 4)
        for key in keys:
            kind(page, key, "discard")
        page.keyboard.press("Escape")
        page.wait_for_function("window.loraStudioDataset.state.picked.size === 0")
        page.focus(f"{TILES}:nth-child(1)")
        page.click(f"{TILES}:nth-child(1) img")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        assert chosen(page) == page.get_attribute(f"{TILES}:nth-child(2)", "data-key")
        page.keyboard.press("Space")
        assert page.locator(f"{TILES}[aria-selected='true']").count() == 1


def test_a_picture_dragged_onto_a_class_is_of_that_class(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address) as page:
        open_folder(page, few.folder)
        key = page.get_attribute(f"{TILES}:nth-child(3)", "data-key")
        page.drag_and_drop(f"{TILES}:nth-child(3)", '[data-filter="kind:discard"]')
        counted(page, "kind:discard", 1)
        kind(page, key, "discard")
        assert few.bench.opened(page.evaluate("window.loraStudioDataset.state.set")).kind(key).kind == "discard"


def test_keys_in_quick_succession_sort_one_picture_each(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address) as page:
        open_folder(page, few.folder)
        page.click(f"{TILES}:nth-child(1) img")
        keys = page.evaluate("window.loraStudioDataset.state.rows.slice(0, 3).map((row) => row.key)")
        for key in ("1", "4", "3"):
            page.keyboard.press(key)
        for key, name in zip(keys, ("face", "discard", "full"), strict=True):
            kind(page, key, name)
        page.evaluate("window.loraStudioDataset.state.turn")
        opened = few.bench.opened(page.evaluate("window.loraStudioDataset.state.set"))
        assert [opened.kind(key).kind for key in keys] == ["face", "discard", "full"]


def test_delete_moves_to_the_trash_and_the_note_brings_it_back(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address) as page:
        open_folder(page, few.folder)
        page.click(f"{TILES}[data-key='2_kazari/0001.png'] img")
        page.keyboard.press("Delete")
        total(page, 11)
        assert not (few.folder / "2_kazari" / "0001.png").exists()
        assert not (few.folder / "2_kazari" / "0001.txt").exists()
        page.click(".lora_studio_good .lora_studio_link")
        total(page, 12)
        assert (few.folder / "2_kazari" / "0001.png").is_file()
        assert (few.folder / "2_kazari" / "0001.txt").read_text(encoding="utf-8").startswith("kazari")


def test_the_large_picture_shows_what_training_cuts_off(chrome: Any, few: Page) -> None:
    Image.new("RGB", (900, 500), (200, 40, 90)).save(few.folder / "wide.png")
    with visit(chrome, few.address) as page:
        open_folder(page, few.folder)
        page.click(f"{TILES}[data-key='wide.png'] img")
        page.wait_for_selector(".lora_studio_ds_large .lora_studio_ds_crop", state="attached")
        row = page.evaluate("window.loraStudioDataset.state.rows.find((row) => row.key === 'wide.png')")
        box = [float(page.get_attribute(".lora_studio_ds_crop", name)) for name in ("x", "y", "width", "height")]
        assert box == pytest.approx([row["box"][0], row["box"][1], row["box"][2] - row["box"][0], row["box"][3] - row["box"][1]])
        told = page.inner_text(".lora_studio_ds_cut")
        assert f"{row['bucket'][0]} × {row['bucket'][1]}" in told
        assert f"{round(1000 * row['lost']) / 10:g} %" in told
        page.select_option("#lora_studio_ds_resolution", "1024")
        page.wait_for_function("window.loraStudioDataset.state.shownFor === 1024")
        page.wait_for_function("before => document.querySelector('.lora_studio_ds_cut').textContent !== before", arg=told)


def test_a_folder_that_is_not_there_is_said_and_the_page_teaches(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address, refused="400") as page:
        show(page)
        assert page.is_visible("#lora_studio_dataset .lora_studio_welcome")
        page.fill("#lora_studio_ds_path", str(few.folder / "nowhere"))
        page.click("#lora_studio_ds_open")
        page.wait_for_selector("#lora_studio_ds_notes .lora_studio_error")
        assert "nowhere" in page.inner_text("#lora_studio_ds_notes")
        assert page.is_visible("#lora_studio_dataset .lora_studio_welcome")


def test_a_server_that_was_restarted_is_given_the_folder_again(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address, refused="404") as page:
        open_folder(page, few.folder)
        few.bench.shutdown()
        few.bench._opened.clear()
        filtered(page, "folder:extra")
        total(page, 6)


@pytest.mark.parametrize(("query", "size"), [("?__theme=dark", (1280, 900)), ("", (1920, 1080)), ("", (390, 800))])
def test_nothing_hangs_over_the_edge(chrome: Any, few: Page, query: str, size: tuple[int, int]) -> None:
    with visit(chrome, few.address, query, size) as page:
        open_folder(page, few.folder)
        page.click(f"{TILES}:nth-child(1) img")
        page.wait_for_selector(".lora_studio_ds_classes")
        for step in page.locator("#lora_studio_ds_steps button").all():
            step.click()
            assert overflow(page) <= 0, step.inner_text()


def test_the_page_speaks_chinese(chrome: Any, few: Page) -> None:
    with visit(chrome, few.address, "?__lang=zh_CN") as page:
        page.click("#lora_studio_tabs button:nth-child(2)")
        page.fill("#lora_studio_ds_path", str(few.folder))
        page.click("#lora_studio_ds_open")
        page.wait_for_selector(f"{TILES} img")
        page.click(f"{TILES}:nth-child(1) img")
        page.wait_for_selector(".lora_studio_ds_classes")
        # Every sentence of more than two words that stands in the parts of this page holds a Chinese letter.
        english = page.evaluate("""() => {
            const found = [], walker = document.createTreeWalker(document.querySelector('#lora_studio_dataset'), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const text = walker.currentNode.nodeValue.trim(), known = walker.currentNode.parentElement.closest('[data-part=caption], select');
                if (/[a-z]{2,} [a-z]{2,} [a-z]{2,}/i.test(text) && !/[\\u4e00-\\u9fff]/.test(text) && !known) found.push(text);
            }
            return found;
        }""")
        assert not english
