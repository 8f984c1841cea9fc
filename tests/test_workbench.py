"""Open folders: they stay open while they are read, one for each folder on the disk, and none is lost with its edits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from standin import StandInHost

from lib_lora.core.errors import DataError, NotFound
from lib_lora.editor.basics import Add
from lib_lora.pictures import catalog
from lib_lora.pictures.analyst import Analyst
from lib_lora.workbench import Opened, Workbench, bench, patience
from lib_lora.workbench.patience import Patience

ME = "a browser"


def folder(root: Path, n: int = 2) -> Path:
    """Pictures with captions."""
    root.mkdir(parents=True)
    for index in range(n):
        Image.new("RGB", (64, 64), (index * 40, 90, 10)).save(root / f"{index}.png")
        (root / f"{index}.txt").write_text("1girl", encoding="utf-8")
    return root


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Workbench]:
    found = Workbench(StandInHost(tmp_path / "host"))
    yield found
    found.shutdown()


def edit(opened: Opened, tag: str = "smile") -> None:
    assert len(opened.session(ME).apply(Add((tag,), "back"), ["0.png"]).edits) == 1


# ---- reading


def test_a_folder_stays_open_while_it_is_read_again_and_others_do_not_wait(work: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = folder(tmp_path / "first"), folder(tmp_path / "second")
    id = work.open(str(first)).id
    edit(work.opened(id))
    reading, go = threading.Event(), threading.Event()
    real = catalog.read

    def slow(root: Path, *rest: Any) -> Any:
        if root == first:
            reading.set()
            assert go.wait(60)
        return real(root, *rest)

    monkeypatch.setattr(catalog, "read", slow)
    again = threading.Thread(target=work.open, args=(str(first),))
    again.start()
    assert reading.wait(60)
    try:
        assert work.opened(id).session(ME).text("0.png") == "1girl, smile"
        assert len(work.open(str(second)).pictures) == 2
    finally:
        go.set()
        again.join(60)
    assert work.opened(id).session(ME).unsaved() == 1


def test_a_folder_that_cannot_be_read_again_is_not_lost_with_its_edits(work: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "set")
    opened = work.open(str(root))
    edit(opened)

    def broken(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(catalog, "read", broken)
        with pytest.raises(OSError, match="Input"):
            work.open(str(root))
    assert work.opened(opened.id) is opened
    assert opened.session(ME).history()[0] is not None
    assert work.open(str(root)).session(ME).text("0.png") == "1girl, smile"


# ---- how many stay open


def test_the_folder_asked_for_longest_ago_is_closed_and_its_analyst_ends(work: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "OPEN", 3)
    stopped: list[Analyst] = []
    ended = threading.Event()
    real = Analyst.stop

    def stop(self: Analyst) -> None:
        stopped.append(self)
        real(self)
        ended.set()

    monkeypatch.setattr(Analyst, "stop", stop)
    there = [work.open(str(folder(tmp_path / name))) for name in "abc"]
    assert work.open(str(tmp_path / "a")) is there[0]
    work.open(str(folder(tmp_path / "d")))
    assert ended.wait(60)
    assert stopped == [there[1].analyst]
    assert work.opened(there[0].id) is there[0]
    with pytest.raises(NotFound):
        work.opened(there[1].id)


def test_a_folder_with_edits_that_are_not_saved_is_never_closed(work: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "OPEN", 2)
    first = work.open(str(folder(tmp_path / "first")))
    edit(first)
    others = [work.open(str(folder(tmp_path / name))) for name in "abcd"]
    assert work.opened(first.id).session(ME).unsaved() == 1
    assert work.opened(first.id).session(ME).history()[0] is not None
    with pytest.raises(NotFound):
        work.opened(others[0].id)
    first.session(ME).save()
    work.open(str(folder(tmp_path / "e")))
    with pytest.raises(NotFound):
        work.opened(first.id)


def test_the_last_edits_are_kept_when_the_server_ends(tmp_path: Path) -> None:
    root = folder(tmp_path / "set")
    before = Workbench(StandInHost(tmp_path / "host"))
    edit(before.open(str(root)))
    before.shutdown()
    after = Workbench(StandInHost(tmp_path / "host"))
    assert after.open(str(root)).session(ME).text("0.png") == "1girl, smile"
    after.shutdown()


# ---- one folder, one set


def test_a_folder_is_one_set_however_it_is_spelt(work: Workbench, tmp_path: Path) -> None:
    root = folder(tmp_path / "pics")
    opened = work.open(str(root))
    edit(opened)
    assert work.open(f"{root}/../pics/") is opened
    assert work.open(f"{root}/./").session(ME).unsaved() == 1


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_a_folder_is_that_folder_as_long_as_it_leads_there(work: Workbench, tmp_path: Path) -> None:
    root, other = folder(tmp_path / "pics"), folder(tmp_path / "other", 3)
    link = tmp_path / "link"
    link.symlink_to(root)
    opened = work.open(str(link))
    assert work.open(str(root)) is opened
    link.unlink()
    link.symlink_to(other)
    assert len(work.open(str(link)).pictures) == 3
    assert len(work.open(str(root)).pictures) == 2


# ---- a folder that is far too large


def deep(root: Path, n: int) -> Path:
    for index in range(n):
        (root / f"{index:03}").mkdir(parents=True)
    return root


def test_a_tree_that_takes_too_long_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Open the folder that holds your pictures"):
        catalog.read(deep(tmp_path / "many", 260), None, Patience(tmp_path / "many", seconds=-1))
    # However slow a disk is, a few folders are listed to their end.
    assert catalog.read(deep(tmp_path / "few", 50), None, Patience(tmp_path / "few", seconds=-1)).pictures == ()


def test_too_many_pictures_get_a_sentence_and_close_nothing(work: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path / "set")
    opened = work.open(str(root))
    monkeypatch.setattr(patience, "PICTURES", 2)
    folder(root / "more")
    with pytest.raises(DataError, match="Open a folder inside it"):
        work.open(str(root))
    assert work.opened(opened.id) is opened
    assert len(work.open(str(root / "more")).pictures) == 2
