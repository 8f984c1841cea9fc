"""The step Captions as a person meets it, in a real browser: tags that filter, many captions changed, chips, saves, backups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import browser, overflow, visit
from page_standin import Counting, PaintingHost, served
from PIL import Image

from lib_lora import app as composition
from lib_lora.editor import operations
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

pytestmark = pytest.mark.browser
TILES = "#lora_studio_ds_grid figure"
DATASET = "#lora_studio_tabs > .tab-nav > button:nth-child(2)"
CHIPS = "#lora_studio_ds_tagchips .lora_studio_ds_tagchip"
CAPTIONS = ["1girl, solo, blue hair, smile", "1girl, blue hair, hat", "1girl, solo, hat, long hair", "scenery, sky", None, "1girl, blue hair, red eyes"]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    for n, text in enumerate(CAPTIONS):
        Image.new("RGB", (80 + n, 96), (n * 40, 90, 160)).save(root / f"{n}.png")
        if text is not None:
            (root / f"{n}.txt").write_text(text, encoding="utf-8")
    return root


@contextmanager
def opened(chrome: Any, folder: Path, query: str = "", refused: str = "no") -> Iterator[Any]:
    """The page with the folder open, the step chosen and its tags listed; `bench` is a server's side."""
    host = PaintingHost(folder.parent / "host")
    jobs, bench = Jobs(host, Counting()), Workbench(host)
    with served(composition.alone(host, jobs, bench)) as address, visit(chrome, address, query, refused=refused) as page:
        page.click(DATASET)
        page.fill("#lora_studio_ds_path", str(folder))
        page.click("#lora_studio_ds_open")
        page.wait_for_selector(TILES)
        page.click("#lora_studio_ds_step_captions")
        page.wait_for_selector('#lora_studio_ds_taglist [data-tag="1girl"]')
        yield page
    bench.shutdown()
    jobs.shutdown()


def tag(name: str) -> str:
    return f'#lora_studio_ds_taglist [data-tag="{name}"]'


def counted(page: Any, name: str, n: int) -> None:
    """Wait until the list says that many pictures have a tag."""
    page.wait_for_function("([name, n]) => document.querySelector(name)?.querySelector('.lora_studio_ds_number_of').textContent === n", arg=[tag(name), str(n)])


def shown(page: Any, n: int) -> None:
    page.wait_for_function("n => Number(document.querySelector('#lora_studio_ds_grid').dataset.total) === n", arg=n)


def unsaved(page: Any, n: int) -> None:
    page.wait_for_selector(f'#lora_studio_ds_save[data-unsaved="{n}"]')


def chips(page: Any, *names: str) -> None:
    """Wait until the chosen picture has these tags, in this order."""
    script = "([where, names]) => [...document.querySelectorAll(where)].map((one) => one.dataset.tag).join() === names.join()"
    page.wait_for_function(script, arg=[CHIPS, list(names)])


def choose(page: Any, name: str) -> None:
    page.click(f'{TILES}[data-key="{name}"]')
    page.wait_for_selector(f'#lora_studio_ds_tagchips[data-key="{name}"]')


def test_tags_filter_the_gallery(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        page.click(tag("blue hair"))
        shown(page, 3)
        counted(page, "1girl", 3)
        page.click(tag("hat"), button="right")
        shown(page, 2)
        page.wait_for_selector(f'{tag("hat")}[data-how="none"]')
        page.click(tag("hat"))
        shown(page, 1)
        page.click(tag("hat"))
        page.click(tag("blue hair"))
        shown(page, 6)
        page.fill("#lora_studio_ds_tagsearch", "hair")
        page.wait_for_function("document.querySelector('#lora_studio_ds_taglist').dataset.total === '2'")
        assert overflow(page) <= 0


def test_many_captions_are_changed_undone_and_saved(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        page.click(tag("blue hair"))
        shown(page, 3)
        page.fill("#lora_studio_ds_batch_tags", "kzr")
        page.wait_for_selector('#lora_studio_ds_batch_told[data-changed="3"]')
        assert "Changes 3 of 3 captions" in page.inner_text("#lora_studio_ds_batch_sentence")
        page.click("#lora_studio_ds_batch_go")
        unsaved(page, 3)
        counted(page, "kzr", 3)
        page.click("#lora_studio_ds_undo")
        unsaved(page, 0)
        page.click("#lora_studio_ds_redo")
        unsaved(page, 3)
        assert (folder / "0.txt").read_text(encoding="utf-8") == CAPTIONS[0], "nothing is written before it is saved"
        page.reload(wait_until="domcontentloaded")
        page.click(DATASET)
        unsaved(page, 3)
        page.click("#lora_studio_ds_save")
        unsaved(page, 0)
        assert (folder / "1.txt").read_text(encoding="utf-8") == "kzr, 1girl, blue hair, hat"
        assert not (folder / "4.txt").exists()
        page.click('details[data-part="backups"] > summary')
        page.click("#lora_studio_ds_backups_found [data-backup] button")
        counted(page, "blue hair", 3)
        page.wait_for_selector(tag("kzr"), state="detached")
        assert (folder / "1.txt").read_text(encoding="utf-8") == CAPTIONS[1]


def test_chips_are_dragged_taken_away_and_written(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        choose(page, "0.png")
        chips(page, "1girl", "solo", "blue hair", "smile")
        page.drag_and_drop(f'{CHIPS}[data-tag="smile"]', f'{CHIPS}[data-tag="1girl"]', target_position={"x": 3, "y": 8})
        chips(page, "smile", "1girl", "solo", "blue hair")
        page.focus(f'{CHIPS}[data-tag="smile"]')
        page.keyboard.press("Alt+ArrowRight")
        chips(page, "1girl", "smile", "solo", "blue hair")
        page.keyboard.press("Delete")
        chips(page, "1girl", "solo", "blue hair")
        page.fill("#lora_studio_ds_newtag", "ha")
        page.wait_for_selector('.lora_studio_ds_offers [data-tag="hat"]')
        page.press("#lora_studio_ds_newtag", "ArrowDown")
        page.press("#lora_studio_ds_newtag", "Enter")
        chips(page, "1girl", "solo", "blue hair", "hat")
        page.type("#lora_studio_ds_newtag", "grin, fang")
        page.press("#lora_studio_ds_newtag", "Enter")
        chips(page, "1girl", "solo", "blue hair", "hat", "grin", "fang")
        page.focus(f'{CHIPS}[data-tag="grin"]')
        page.keyboard.press("Enter")
        page.keyboard.type("smirk")
        page.keyboard.press("Enter")
        chips(page, "1girl", "solo", "blue hair", "hat", "smirk", "fang")
        assert re.match(r"≈\d+ / 75", page.inner_text("#lora_studio_ds_tokens"))
        page.click("#lora_studio_ds_astext")
        page.fill("#lora_studio_ds_captiontext", "A girl, in the rain.")
        page.press("#lora_studio_ds_captiontext", "Enter")
        unsaved(page, 1)
        counted(page, "in the rain.", 1)
        page.keyboard.press("Control+s")
        unsaved(page, 0)
        assert (folder / "0.txt").read_text(encoding="utf-8") == "A girl, in the rain."


def test_a_caption_that_is_kept_and_left_at_once_is_written_once(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        choose(page, "0.png")
        page.click("#lora_studio_ds_astext")
        field = "#lora_studio_ds_captiontext"
        page.fill(field, "A girl, in the rain.")
        # Both before the server has answered the first.
        page.evaluate(
            """at => { const field = document.querySelector(at);
            field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));
            field.dispatchEvent(new Event('change', {bubbles: true})); }""",
            field,
        )
        unsaved(page, 1)
        page.click("#lora_studio_ds_undo")
        unsaved(page, 0)
        assert not page.locator("#lora_studio_ds_notes .lora_studio_warning").count()


def test_keys_that_are_faster_than_the_server(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        choose(page, "2.png")
        page.focus(f'{CHIPS}[data-tag="1girl"]')
        for key in ("Delete", "Delete", "Alt+ArrowRight", "End", "Backspace"):
            page.keyboard.press(key)
        chips(page, "long hair")
        counted(page, "solo", 1)
        page.fill("#lora_studio_ds_newtag", "one, two")
        for key in ("Enter", "Backspace", "Delete"):
            page.keyboard.press(key)
        chips(page, "long hair", "one")
        counted(page, "one", 1)
        page.click("#lora_studio_ds_save")
        unsaved(page, 0)
        assert (folder / "2.txt").read_text(encoding="utf-8") == "long hair, one"


def test_the_trigger_takes_over_features(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        page.click('details[data-part="trigger"] > summary')
        page.fill("#lora_studio_ds_trigger_word", "kzr")
        page.wait_for_selector('#lora_studio_ds_trigger_features input[data-tag="blue hair"]:checked')
        page.wait_for_function("document.querySelector('#lora_studio_ds_trigger_go').textContent.includes('1')")
        page.click("#lora_studio_ds_trigger_go")
        counted(page, "kzr", 6)
        page.wait_for_selector(tag("blue hair"), state="detached")
        page.keyboard.press("Control+z")
        counted(page, "blue hair", 3)


def test_what_others_wrote_is_asked_about(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder) as page:
        page.fill("#lora_studio_ds_batch_tags", "kzr")
        page.wait_for_selector('#lora_studio_ds_batch_told[data-changed="6"]')
        page.click("#lora_studio_ds_batch_go")
        unsaved(page, 6)
        (folder / "2.txt").write_text("theirs", encoding="utf-8")
        page.click("#lora_studio_ds_save")
        unsaved(page, 1)
        assert (folder / "2.txt").read_text(encoding="utf-8") == "theirs"
        page.click('.lora_studio_ds_conflict[data-file="2.txt"] button:nth-of-type(2)')
        unsaved(page, 0)
        counted(page, "theirs", 1)


def test_a_save_that_was_cut_off_is_offered(chrome: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_lora.editor import journal

    host = PaintingHost(folder.parent / "host")
    bench = Workbench(host)
    session = bench.open(str(folder)).session("one")
    session.apply(operations.read({"kind": "add", "tags": ["kzr"]}), session.keys)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_written", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            session.save()
    bench.shutdown()
    with opened(chrome, folder) as page:
        page.click("#lora_studio_ds_finish")
        counted(page, "kzr", 6)
        page.wait_for_selector("#lora_studio_ds_cut", state="detached")
        assert (folder / "3.txt").read_text(encoding="utf-8") == "kzr, scenery, sky"


def test_a_second_window_of_the_same_browser_is_not_overwritten(chrome: Any, folder: Path) -> None:
    with opened(chrome, folder, refused="409") as page:
        choose(page, "0.png")
        chips(page, "1girl", "solo", "blue hair", "smile")
        script = """async ([key, text]) => { const a = loraStudioDataset; await fetch(a.address('dataset/edit'), {method: 'POST',
            headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({set: a.state.set, client: a.state.client, keys: [key], op: {kind: 'set', text}})}); }"""
        page.evaluate(script, ["0.png", "1girl, from window two"])
        page.fill("#lora_studio_ds_newtag", "mine")
        page.press("#lora_studio_ds_newtag", "Enter")
        page.wait_for_selector("#lora_studio_ds_notes .lora_studio_warning")
        assert "another window" in page.inner_text("#lora_studio_ds_notes")
        chips(page, "1girl", "from window two")
        page.evaluate(script, ["0.png", "1girl, once more"])
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        chips(page, "1girl", "once more")
        unsaved(page, 1)
