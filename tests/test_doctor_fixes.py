"""A fix takes its finding away, changes nothing else, loses nothing, and can be taken back to the last byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import doctored
import pytest
from doctored import TRIGGER, clean, drawing, write
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from standin import StandInHost

from lib_lora import api
from lib_lora.core.errors import ConfigError
from lib_lora.doctor import fixes
from lib_lora.doctor.problem import REMEDIES
from lib_lora.jobs import Jobs
from lib_lora.pictures.lint import of_caption
from lib_lora.workbench import Workbench, patience

V1 = api.PREFIX
HERE = "2_girl"
ME = "me"


class Page:
    """What a browser does: opens a folder, looks for what is wrong, presses a button."""

    def __init__(self, folder: Path, roots: tuple[Path, ...] | None = None) -> None:
        host = StandInHost(folder.parent / "host", roots)
        self.bench = Workbench(host)
        self.jobs = Jobs(host, lambda *_: iter(()))
        app = FastAPI()
        api.mount(app, self.jobs, host, self.bench)
        self.client = TestClient(app)
        self.folder = folder
        self.set = self.post("open", folder=str(folder))["set"]

    def ask(self, path: str, **body: Any) -> Any:
        who = {} if path in ("open", "task/cancel") else {"set": self.set, "client": ME}
        return self.client.post(f"{V1}/dataset/{path}", json={**who, **body})

    def post(self, path: str, **body: Any) -> Any:
        answer = self.ask(path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def look(self, **wish: Any) -> dict[str, Any]:
        task = self.post("doctor", **{"trigger": TRIGGER, "resolution": doctored.SIDE, **wish})["task"]
        assert not self.bench.tasks.wait(task, 120).running
        found = self.client.get(f"{V1}/dataset/task?task={task}").json()
        assert found["phase"] == "done", found
        return found["result"]

    def kinds(self, **wish: Any) -> set[tuple[str, str]]:
        return {(group["kind"], one["file"]) for group in self.look(**wish)["groups"] for one in group["problems"]}

    def close(self) -> None:
        self.bench.shutdown()
        self.jobs.shutdown()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    made = Page(clean(tmp_path / "a set 猫"))
    yield made
    made.close()


def state(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def add(page: Page, name: str, caption: str | bytes | None = "", image: Any = None) -> str:
    write(page.folder / HERE / name, image or drawing(abs(hash(name)) % 10_000 + 500), caption)
    return f"{HERE}/{name}"


CAPTIONS = {
    "escaped": ("normalise", f"{TRIGGER}, saber \\(fate\\)", f"{TRIGGER}, saber (fate)"),
    "underscores": ("normalise", f"{TRIGGER}, long_hair, ^_^", f"{TRIGGER}, long hair, ^_^"),
    "commas": ("normalise", f"{TRIGGER}, 猫，犬", f"{TRIGGER}, 猫, 犬"),
    "duplicates": ("dedupe", f"{TRIGGER}, cat, dog, Cat", f"{TRIGGER}, cat, dog"),
    "trigger_missing": ("trigger", "cat, dog", f"{TRIGGER}, cat, dog"),
    "trigger_late": ("trigger", f"cat, {TRIGGER}, dog", f"{TRIGGER}, cat, dog"),
}


@pytest.mark.parametrize("kind", CAPTIONS)
def test_captions_are_mended_in_the_editor_and_undone_there(page: Page, kind: str) -> None:
    act, before, after = CAPTIONS[kind]
    key = add(page, "a picture 😺.png", before)
    files = state(page.folder)
    assert page.kinds() == {(kind, key)}
    told = page.post("fix", fix=act, preview=True)
    assert (told["changed"], told["examples"][0]["before"], told["examples"][0]["after"]) == (1, before, after)
    done = page.post("fix", fix=act, keys=[key])
    assert (done["where"], done["changed"], done["unsaved"], done["problems"]) == ("captions", 1, 1, [])
    assert state(page.folder) == files, "nothing is written before it is saved"
    assert page.kinds() == {("unsaved", key)}
    assert page.post("undo")["done"]
    assert page.kinds() == {(kind, key)}
    page.post("redo")
    page.post("save")
    assert page.kinds() == set()
    assert state(page.folder) == {**files, key.replace(".png", ".txt"): after.encode()}


TEXTS = {
    "lines": ("join", f"{TRIGGER}, cat,\r\n\r\na dog\n".encode(), f"{TRIGGER}, cat, a dog"),
    "first_line": ("first_line", f"\n \n{TRIGGER}, cat\n".encode(), f"{TRIGGER}, cat\n"),
    "text_unreadable": ("utf8", f"{TRIGGER}, 猫娘, 微笑".encode("gb18030"), f"{TRIGGER}, 猫娘, 微笑"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_caption_files_are_mended_at_once_with_a_backup(page: Page, kind: str) -> None:
    act, before, after = TEXTS[kind]
    key = add(page, "x.png", before)
    files = state(page.folder)
    assert page.kinds() == {(kind, key)}
    told = page.post("fix", fix=act, preview=True)
    assert (told["changed"], told["examples"][0]["after"]) == (1, after)
    assert state(page.folder) == files, "a preview writes nothing"
    done = page.post("fix", fix=act)
    assert (done["where"], done["changed"], done["problems"]) == ("texts", 1, [])
    assert state(page.folder) == {**files, f"{HERE}/x.txt": after.encode()}
    assert page.kinds() == set()
    undone = page.post("fix", fix="undo", backup=done["backup"])
    assert state(page.folder) == files
    assert page.kinds() == {(kind, key)}
    page.post("fix", fix="undo", backup=undone["backup"])
    assert state(page.folder) == {**files, f"{HERE}/x.txt": after.encode()}


@pytest.mark.parametrize("codec", ["utf-16", "cp1252", "cp932", "gb18030"])
def test_other_encodings_become_utf_8_or_are_left(page: Page, codec: str) -> None:
    text = {"cp1252": f"{TRIGGER}, café"}.get(codec, f"{TRIGGER}, 猫娘, 微笑")
    key = add(page, "x.png", text.encode(codec))
    assert page.kinds() == {("text_unreadable", key)}
    page.post("fix", fix="utf8")
    written = (page.folder / HERE / "x.txt").read_text(encoding="utf-8")
    # Old encodings of two bytes a letter cannot always be told apart; the ASCII in them is the same in all.
    assert written == text or (written.startswith(TRIGGER) and codec not in ("utf-16", "gb18030"))
    assert "text_unreadable" not in {kind for kind, _ in page.kinds()}


def test_what_is_no_text_stays_as_it_is(page: Page) -> None:
    key = add(page, "x.png", bytes(range(256)))
    files = state(page.folder)
    assert page.kinds() == {("text_unreadable", key)}
    done = page.post("fix", fix="utf8")
    assert done["changed"] == 0 and "encoding" in done["problems"][0]
    assert state(page.folder) == files


@pytest.mark.parametrize("name", ["x.caption", "x.png.txt", "x.txt.txt"])
def test_a_caption_under_another_name_is_renamed(page: Page, name: str) -> None:
    key = add(page, "x.png", None)
    (page.folder / HERE / name).write_text(f"{TRIGGER}, cat", encoding="utf-8")
    files = state(page.folder)
    assert page.kinds() == {("misnamed_caption", key)}
    done = page.post("fix", fix="rename")
    assert done["changed"] == 1
    after = state(page.folder)
    assert after == {**{file: content for file, content in files.items() if file != f"{HERE}/{name}"}, f"{HERE}/x.txt": f"{TRIGGER}, cat".encode()}
    assert page.kinds() == set()
    page.post("fix", fix="undo", backup=done["backup"])
    assert state(page.folder) == files


def test_files_go_to_the_trash_and_come_back(page: Page) -> None:
    damaged = add(page, "cut.png")
    doctored.corrupt(page.folder / damaged)
    copy = add(page, "copy.png", f"{TRIGGER}, other words", drawing(3))
    mask = add(page, "000-masklabel.png", None)
    (page.folder / HERE / "Thumbs.db").write_bytes(b"x")
    (page.folder / HERE / "alone..txt").write_text("who am I")
    files = state(page.folder)
    found = {("unreadable", damaged), ("exact", copy), ("mask", mask), ("junk", f"{HERE}/Thumbs.db"), ("orphan", f"{HERE}/alone..txt")}
    assert page.kinds() == found
    one = page.post("fix", fix="trash", keys=[mask])
    assert (one["changed"], set(files) - set(state(page.folder))) == (1, {mask})
    assert page.kinds() == found - {("mask", mask)}
    assert "kind" in page.ask("fix", fix="trash").json()["error"]
    assert page.post("fix", fix="trash", kind="junk", preview=True)["examples"] == [{"file": f"{HERE}/Thumbs.db", "before": f"{HERE}/Thumbs.db", "after": None}]
    rest = page.post("fix", fix="trash", keys=[file for _, file in found])
    assert rest["changed"] == 4
    assert page.kinds() == set()
    assert set(files) - set(state(page.folder)) == {*(file for _, file in found), f"{HERE}/cut.txt", f"{HERE}/copy.txt"}
    for trash in (rest["trash"], one["trash"]):
        page.post("trash/undo", trash=trash)
    assert state(page.folder) == files
    assert page.kinds() == found


def test_the_last_copy_of_a_picture_never_goes_to_the_trash(page: Page) -> None:
    first, copy = f"{HERE}/003.png", add(page, "copy.png", f"{TRIGGER}, other words", drawing(3))
    (kind, doubled) = next(iter(page.kinds()))
    assert (kind, doubled in (first, copy)) == ("exact", True)
    other = copy if doubled == first else first
    page.post("trash", keys=[other])
    assert page.post("fix", fix="trash", keys=[doubled], preview=True)["changed"] == 0
    done = page.post("fix", fix="trash", keys=[doubled])
    assert (done["changed"], (page.folder / doubled).is_file()) == (0, True)
    assert doubled in done["problems"][0]


def test_a_copy_stays_when_the_other_was_deleted_or_painted_over(page: Page) -> None:
    copy = add(page, "copy.png", f"{TRIGGER}, other words", drawing(3))
    again = add(page, "copy2.png", f"{TRIGGER}, other words", drawing(4))
    doubled = {file for _, file in page.kinds()}
    others = {f"{HERE}/003.png", f"{HERE}/004.png", copy, again} - doubled
    assert (len(doubled), len(others)) == (2, 2)
    gone, painted = sorted(others)
    (page.folder / gone).unlink()
    drawing(90).save(page.folder / painted)
    done = page.post("fix", fix="trash", kind="exact")
    assert (done["changed"], len(done["problems"])) == (0, 2)
    assert all((page.folder / name).is_file() for name in doubled)


def test_a_damaged_picture_that_was_replaced_since_stays(page: Page) -> None:
    damaged = add(page, "cut.png")
    doctored.corrupt(page.folder / damaged)
    assert page.kinds() == {("unreadable", damaged)}
    drawing(77).save(page.folder / damaged)
    done = page.post("fix", fix="trash", keys=[damaged])
    assert (done["changed"], (page.folder / damaged).is_file()) == (0, True)
    assert "look again" in done["problems"][0]


def test_bars_are_named_by_where_they_are(page: Page) -> None:
    key = add(page, "bars.png", f"{TRIGGER}, same words", doctored.barred(3000))
    side = add(page, "side.png", f"{TRIGGER}, same words", doctored.barred(3001).rotate(90))
    assert page.kinds() == {("bars", key), ("bars", side)}
    done = page.post("fix", fix="bars")
    session = page.bench.opened(page.set).session(ME)
    assert done["changed"] == 2
    assert [session.text(one) for one in (key, side)] == [f"{TRIGGER}, same words, letterboxed", f"{TRIGGER}, same words, pillarboxed"]
    assert page.post("undo")["changed"] == 2, "it is one change"


def test_a_file_with_edits_that_are_not_saved_is_left_and_said(page: Page) -> None:
    key = add(page, "x.png", f"{TRIGGER}, long_hair\nmore")
    page.look()
    page.post("fix", fix="normalise")
    assert page.kinds() == {("lines", key), ("unsaved", key)}
    done = page.post("fix", fix="join")
    assert done["changed"] == 0 and "not saved" in done["problems"][0]
    page.post("save")
    page.look()
    assert page.post("fix", fix="join")["changed"] == 1
    assert (page.folder / HERE / "x.txt").read_text() == f"{TRIGGER}, long hair, more"


def test_a_set_without_problems_and_one_in_chinese(page: Page) -> None:
    assert page.look()["counts"] == {"error": 0, "warning": 0, "hint": 0}
    add(page, "x.png", b"")
    found = page.look()
    group = found["groups"][0]
    assert (group["severity"], group["act"], group["total"], group["keys"]) == ("error", "tagging", 1, [f"{HERE}/x.png"])
    assert group["problems"] == [{"file": f"{HERE}/x.png", "key": True, "what": "its caption is empty"}]


def test_the_regularisation_set_is_looked_through_on_the_page(page: Page) -> None:
    reg = page.folder.parent / "reg"
    for index in range(40):
        write(reg / "1_other" / f"{index}.png", drawing(7000 + index), "1girl, smile")
    assert page.kinds(reg=str(reg)) == set()
    write(reg / "1_other" / "0.png", drawing(5), f"{TRIGGER}, 1girl")
    name = f"{reg.as_posix()}/1_other/0.png"
    assert page.kinds(reg=str(reg)) == {("reg_shared", name), ("reg_leak", name)}
    found = page.look(reg=str(reg))
    assert [(group["act"], group["button"], group["keys"]) for group in found["groups"]] == [("", "", [])] * 2


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        ("fix", {"fix": "trash"}, 404, "Look first"),
        ("fix", {"fix": "format c:"}, 404, "Look first"),
        ("fix", {}, 400, "fix"),
        ("fix", {"fix": "undo", "backup": "../../etc"}, 404, "no backup"),
        ("doctor", {"resolution": 3}, 400, "resolution"),
        ("doctor", {"resolution": "x"}, 400, "resolution"),
        ("doctor", {"reg": "/nowhere/at/all"}, 400, "nowhere"),
        ("doctor", {"trigger": 3}, 400, "trigger"),
        ("doctor", {"set": "unknown"}, 404, "open it again"),
    ],
)
def test_wrong_questions_get_a_sentence(page: Page, path: str, body: dict[str, Any], code: int, words: str) -> None:
    answer = page.ask(path, **body)
    assert (answer.status_code, words in answer.json()["error"]) == (code, True), answer.text


def test_only_what_was_found_is_thrown_away(page: Page) -> None:
    files = state(page.folder)
    outside = write(page.folder.parent / "outside.png", drawing(1))
    page.look()
    done = page.post("fix", fix="trash", keys=[f"{HERE}/000.png", "../outside.png", str(outside)])
    assert done["changed"] == 0 and state(page.folder) == files and outside.is_file()
    assert "none of" in page.ask("fix", fix="format c:").json()["error"]


def test_the_trash_takes_no_path_out_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.png", drawing(1))
    (tmp_path / "b.png").write_bytes(b"x")
    for name in ("../b.png", str(tmp_path / "b.png"), "gone.png"):
        with pytest.raises(ConfigError):
            fixes.loose(tmp_path / "set", [name])


@pytest.mark.skipif(os.name == "nt", reason="roots are the same there")
def test_folders_that_are_not_opened_are_refused(tmp_path: Path) -> None:
    page = Page(clean(tmp_path / "set", 3), roots=(tmp_path / "set",))
    assert page.ask("doctor", reg=str(tmp_path)).status_code == 403
    page.close()


def test_a_regularisation_set_that_is_a_whole_disk_gets_a_sentence(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    reg = clean(page.folder.parent / "reg", 4)
    monkeypatch.setattr(patience, "PICTURES", 3)
    task = page.post("doctor", reg=str(reg))["task"]
    found = page.bench.tasks.wait(task, 60)
    assert (found.phase, str(reg) in str(found.problems[0]), "Open a folder inside it" in str(found.problems[0])) == ("failed", True, True)


def test_a_look_can_be_cancelled(page: Page) -> None:
    task = page.post("doctor")["task"]
    page.post("task/cancel", task=task)
    assert page.bench.tasks.wait(task, 60).phase in ("cancelled", "done")
    page.look()


def test_every_button_is_known() -> None:
    acts = {remedy.act for remedy in REMEDIES.values()}
    known = {*fixes.OF_CAPTIONS, *fixes.OF_TEXTS, *fixes.OF_FILES, "show", "captions", "tagging", "prepare", ""}
    assert acts == known
    assert all(fixes.label(act, n) is not None for act in acts - {""} for n in (1, 2))


TAGS = st.lists(st.text("ab_ \\()A，", min_size=1, max_size=6), max_size=6).map(", ".join)


@given(TAGS, st.sampled_from(["normalise", "dedupe", "trigger"]))
def test_a_fix_leaves_nothing_of_its_kind_and_no_tag_is_lost(caption: str, act: str) -> None:
    from lib_lora.dataset.captions import tags
    from lib_lora.pictures.spelling import comparable

    (after,) = fixes.operation(act, "trig", ()).run([caption], {})
    kinds = {one.kind for one in of_caption(after, "trig" if act == "trigger" else "")}
    gone = {"normalise": {"escaped", "underscores", "commas"}, "dedupe": {"duplicates"}, "trigger": {"trigger_missing", "trigger_late", "trigger_cut"}}[act]
    assert not kinds & gone
    if act != "normalise":
        assert {comparable(tag) for tag in tags(caption)} <= {comparable(tag) for tag in tags(after)}


def test_a_second_look_reads_only_what_changed(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_lora.dataset import images

    read: list[str] = []
    look = images.look
    monkeypatch.setattr(images, "look", lambda path: read.append(path.name) or look(path))
    assert page.kinds() == set()
    assert len(read) == 40
    read.clear()
    doctored.corrupt(page.folder / HERE / "007.png")
    assert page.kinds() == {("unreadable", f"{HERE}/007.png")}
    # The catalogue looks closer at a file that seems cut off, too.
    assert set(read) == {"007.png"}
