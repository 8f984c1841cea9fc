"""The routes of the step Repeats: counts of sorted pictures, repeats, overrides, batches from real buckets, and Send to Train."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script, StandInHost

from lib_lora import api
from lib_lora.core.errors import DataError
from lib_lora.jobs import Jobs
from lib_lora.pictures import catalog
from lib_lora.workbench import Workbench
from lib_lora.workbench.counts import class_of, mirrored
from lib_lora.workbench.sending import Wish, send

SETS = {"main": (6, "1girl, cowboy shot"), "face": (3, "1girl, portrait, close-up"), "full": (2, "1girl, full body")}


def noise(seed: int, size: tuple[int, int] = (64, 80)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def paint(folder: Path, n: int, caption: str, size: tuple[int, int] = (64, 80)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        noise(zlib.crc32(f"{folder.name} {number}".encode()), size).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(caption, encoding="utf-8")


class Page:
    """A client with a folder open, whose pixels were looked at."""

    def __init__(self, client: TestClient, bench: Workbench, folder: Path) -> None:
        self.client, self.bench, self.folder = client, bench, folder
        self.set = self.post("dataset/open", {"folder": str(folder)})["set"]
        self.looked()

    def looked(self) -> None:
        opened = self.bench.opened(self.set)
        assert opened.analyst.wait(60)
        opened.kin()

    def get(self, path: str) -> Any:
        return self._told(self.client.get(f"{api.PREFIX}/{path}?set={self.set}"))

    def post(self, path: str, body: dict[str, Any], code: int = 200) -> Any:
        return self._told(self.client.post(f"{api.PREFIX}/{path}", json=body), code)

    def _told(self, answer: Any, code: int = 200) -> Any:
        assert answer.status_code == code, answer.text
        return answer.json()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    host = StandInHost(tmp_path)
    jobs, bench = Jobs(host, Script()), Workbench(host)
    app = FastAPI()
    api.mount(app, jobs, host, bench)
    for name, (n, caption) in SETS.items():
        paint(tmp_path / "set" / f"2_kazari_{name}", n, f"kazari, {caption}")
    yield Page(TestClient(app), bench, tmp_path / "set")
    bench.shutdown()
    jobs.shutdown(20)


def test_counts_follow_the_classes(page: Page) -> None:
    found = page.get("dataset/counts")
    assert (found["main"], found["face"], found["others"], found["groups"], found["settled"]) == (6, 3, {"full": 2}, [], True)
    page.post("dataset/kind", {"set": page.set, "keys": ["2_kazari_main/00.png", "2_kazari_main/01.png"], "kind": "face"})
    page.post("dataset/kind", {"set": page.set, "keys": ["2_kazari_main/02.png"], "kind": "discard"})
    found = page.get("dataset/counts")
    assert (found["main"], found["face"], found["others"]) == (3, 5, {"full": 2})
    assert "1 discarded picture is not counted." in found["notes"]


def test_captions_of_a_trigger_alone_tell_no_class(page: Page) -> None:
    for text in page.folder.rglob("*.txt"):
        text.write_text("kazari", encoding="utf-8")
    page.post("dataset/open", {"folder": str(page.folder)})
    page.looked()
    found = page.get("dataset/counts")
    assert (found["main"], found["face"], found["others"]) == (11, 0, {})
    assert "11 pictures have no class yet and count as main visuals." in found["notes"]


def test_guessed_discards_are_named(page: Page) -> None:
    (page.folder / "2_kazari_main" / "00.txt").write_text("kazari, 1girl, comic", encoding="utf-8")
    page.post("dataset/open", {"folder": str(page.folder)})
    page.looked()
    found = page.get("dataset/counts")
    assert found["main"] == 5
    assert any("look like one to discard" in note and "2_kazari_main/00.png" in note for note in found["notes"])


def test_counts_follow_the_captions_as_this_browser_edits_them(page: Page) -> None:
    key = "2_kazari_main/00.png"
    body = {"set": page.set, "client": "me", "keys": [key], "op": {"kind": "set", "text": "kazari, 1girl, portrait"}}
    page.post("dataset/edit", body)
    mine = page.client.get(f"{api.PREFIX}/dataset/counts?set={page.set}&client=me").json()
    assert (mine["main"], mine["face"]) == (5, 4)
    other = page.client.get(f"{api.PREFIX}/dataset/counts?set={page.set}&client=you").json()
    assert (other["main"], other["face"]) == (6, 3)
    view = {"set": page.set, "where": {"kind": "face"}}
    assert key in [row["key"] for row in page.post("dataset/view", {**view, "client": "me"})["rows"]]
    assert key not in [row["key"] for row in page.post("dataset/view", {**view, "client": "you"})["rows"]]


def test_an_exact_copy_counts_once(page: Page) -> None:
    face = page.folder / "2_kazari_face"
    for number in range(2):
        (face / f"copy{number}.png").write_bytes((face / f"{number:02d}.png").read_bytes())
        (face / f"copy{number}.txt").write_text("kazari, 1girl, portrait", encoding="utf-8")
    page.post("dataset/open", {"folder": str(page.folder)})
    page.looked()
    found = page.get("dataset/counts")
    assert found["face"] == 3
    assert "2 exact copies are not counted." in found["notes"]
    # The first of two is discarded: the other one is in the set all the same.
    page.post("dataset/kind", {"set": page.set, "keys": ["2_kazari_face/00.png"], "kind": "discard"})
    assert page.get("dataset/counts")["face"] == 3


def test_groups_are_a_class_of_their_own(page: Page) -> None:
    keys = [f"2_kazari_main/{number:02d}.png" for number in range(3)]
    page.post("dataset/group", {"set": page.set, "keys": keys, "group": keys[0]})
    found = page.get("dataset/counts")
    assert (found["main"], found["groups"]) == (3, [3])
    page.post("dataset/kind", {"set": page.set, "keys": [keys[0]], "kind": "discard"})
    assert page.get("dataset/counts")["groups"] == [2]


def test_a_mirrored_copy_counts_once(page: Page) -> None:
    for number in range(2):
        path = page.folder / "2_kazari_face" / f"{number:02d}.png"
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_name(f"{number:02d}_flip.png"))
        path.with_name(f"{number:02d}_flip.txt").write_text("kazari, 1girl, portrait, close-up", encoding="utf-8")
    page.post("dataset/open", {"folder": str(page.folder)})
    page.looked()
    found = page.get("dataset/counts")
    assert found["face"] == 3
    assert "2 flipped copies are not counted." in found["notes"]


def test_black_and_white_classes_are_known(page: Page) -> None:
    for number in range(3):
        path = page.folder / "2_kazari_face" / f"{number:02d}.png"
        noise(number).convert("L").convert("RGB").save(path)
    page.post("dataset/open", {"folder": str(page.folder)})
    page.looked()
    assert page.get("dataset/counts")["mono"] == ["face"]


def test_repeats_are_the_command_lines_document_with_sentences(page: Page) -> None:
    asked = {"set": page.set, "client": "x", "main": 60, "face": 20, "others": {"full": 10}, "groups": [], "flip": True, "mono": []}
    found = page.post("dataset/repeats", asked)
    assert found["repeats"] == {"main": 6, "face": 5, "full": 4, "differential": None}
    assert (found["range"], found["ratio"], found["levels"]) == ([500, 1000], 3.6, [])
    assert [line["name"] for line in found["lines"]] == ["main", "face", "full"]
    assert len(found["conflicts"]) >= 10
    judged = page.post("dataset/repeats/check", {**asked, "repeats": {"main": 6, "face": 2, "full": 3, "differential": None}})
    assert judged["holds"] is False
    assert {rule["name"] for rule in judged["rules"] if rule["level"] == "red"} == {"total", "ratio"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"main": "6"},
        {"main": -1},
        {"main": 6, "others": [1]},
        {"main": 6, "others": {"full": "2"}},
        {"main": 6, "groups": "2"},
        {"main": 6, "groups": ["2"]},
        {"main": 6, "mono": ["nobody"]},
        {"main": 6, "flip": "yes"},
        {"main": 6, "unknown": 1},
    ],
)
def test_odd_questions_get_a_sentence(page: Page, body: dict[str, Any]) -> None:
    assert page.post("dataset/repeats", body, 400)["error"]


@pytest.mark.parametrize("repeats", [{"main": 0}, {}, {"main": 1.5}, {"main": True}, [1]])
def test_odd_overrides_get_a_sentence(page: Page, repeats: Any) -> None:
    assert page.post("dataset/repeats/check", {"main": 6, "repeats": repeats}, 400)["error"]


def test_batches_come_from_the_buckets_of_the_set(page: Page) -> None:
    """64×80 and 80×64 go to two buckets; what is discarded is in none of them."""
    paint(page.folder / "2_kazari_wide", 5, "kazari, 1girl, cowboy shot", (80, 64))
    page.post("dataset/open", {"folder": str(page.folder)})
    page.post("dataset/kind", {"set": page.set, "keys": ["2_kazari_wide/00.png"], "kind": "discard"})
    found = page.post("dataset/batches", {"set": page.set, "repeats": 3, "limit": 4, "steps": 1, "resolution": 512})
    assert sorted(one["pictures"] for one in found["buckets"]) == [12, 33]
    assert found["product"] == 45
    assert [(pair["batch"], pair["accumulation"], pair["passes"], pair["steps"]) for pair in found["pairs"]] == [(1, 45, 45, 1), (3, 15, 15, 1)]
    found = page.post("dataset/batches", {"set": page.set, "repeats": {"main": 2, "face": 1, "full": 1}, "limit": 5, "steps": 2, "regularised": True})
    assert found["product"] == 2 * (6 + 4) + 3 + 2
    assert found["pictures"] == 50
    pair = found["pairs"][-1]
    assert (pair["batch"], pair["accumulation"], pair["passes"]) == (5, 5, -(-34 // 5) + -(-16 // 5))
    assert (pair["steps"], pair["wanted"], pair["reached"]) == (3, 6, 2)


@pytest.mark.parametrize("change", [{"repeats": 0}, {"repeats": "2"}, {"limit": 0}, {"steps": 0}, {"limit": "4"}, {"set": "nowhere"}])
def test_odd_batches_get_a_sentence(page: Page, change: dict[str, Any]) -> None:
    answer = page.client.post(f"{api.PREFIX}/dataset/batches", json={"set": page.set, "repeats": 2, **change})
    assert answer.status_code in (400, 404)
    assert list(answer.json()) == ["error"]


# ---- Send to Train


def test_the_form_gets_folder_trigger_and_resolution(page: Page) -> None:
    found = page.post("dataset/send", {"set": page.set, "client": "x", "resolution": 768})
    assert found["config"] == {"data": {"folder": str(page.folder), "resolution": [768, 768]}, "caption": {"trigger": "kazari", "keep_tokens": 1}}
    assert found["warnings"] == []
    assert any("2_kazari_face, 2_kazari_full, 2_kazari_main" in told for told in found["told"])


def test_a_typed_trigger_wins(page: Page) -> None:
    found = page.post("dataset/send", {"set": page.set, "trigger": " uiharu_kazari "})
    assert found["config"]["caption"] == {"trigger": "uiharu_kazari", "keep_tokens": 1}


def test_other_repeats_than_computed_are_named(page: Page) -> None:
    computed = {"repeats": {"main": 2, "face": 4, "full": 2}, "counts": {"main": 6, "face": 3, "full": 2}}
    found = page.post("dataset/send", {"set": page.set, **computed})
    assert len(found["warnings"]) == 1
    assert "2_kazari_face (4)" in found["warnings"][0]
    assert "2_kazari_main" not in found["warnings"][0]


def test_unsaved_captions_are_warned_of(page: Page) -> None:
    session = page.bench.opened(page.set).session("x")
    from lib_lora.editor.operations import read as operation

    session.apply(operation({"kind": "trigger", "trigger": "sks"}), ["2_kazari_main/00.png"])
    found = page.post("dataset/send", {"set": page.set, "client": "x"})
    assert any("1 caption is edited and not saved" in told for told in found["warnings"])
    assert page.post("dataset/send", {"set": page.set, "client": "y"})["warnings"] == []
    # The same folder in other words is no other one.
    root = page.bench.opened(page.set).root
    again = page.post("dataset/send", {"set": page.set, "client": "x", "folder": f"{root}/../{root.name}"})
    assert again["warnings"] == found["warnings"]


def test_a_project_elsewhere_is_sent_and_confined(page: Page, tmp_path: Path) -> None:
    paint(tmp_path / "project" / "5_sks_main", 2, "sks, smile")
    found = page.post("dataset/send", {"set": page.set, "folder": str(tmp_path / "project")})
    assert found["config"]["data"]["folder"] == str(tmp_path / "project")
    assert found["config"]["caption"]["trigger"] == "sks"
    page.post("dataset/send", {"set": page.set, "folder": str(tmp_path / "nowhere")}, 400)


def test_pictures_directly_in_the_folder_get_the_average(tmp_path: Path) -> None:
    paint(tmp_path, 4, "1girl, smile")
    wish = Wish(repeats={"main": 6, "face": 2}, counts={"main": 3, "face": 1, "full": 0})
    found = send(catalog.read(tmp_path), wish)
    assert found.config == {"data": {"folder": str(tmp_path), "repeats": 5}}
    told = " ".join(map(str, found.warnings))
    assert "The classes lie in one folder" in told
    assert "No trigger word was found" in told


def test_a_folder_with_a_number_of_its_own_keeps_it(tmp_path: Path) -> None:
    paint(tmp_path / "7_kazari", 3, "kazari, 1girl")
    found = send(catalog.read(tmp_path / "7_kazari"), Wish(repeats={"main": 20}, counts={"main": 3}))
    assert found.config["data"]["repeats"] == 7


def test_what_training_does_not_read_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "2_kazari", 3, "kazari, 1girl")
    paint(tmp_path / "2_kazari" / "more", 2, "kazari")
    paint(tmp_path / "unsorted", 1, "kazari")
    (tmp_path / "empty").mkdir()
    found = send(catalog.read(tmp_path), Wish(), unsaved=2)
    told = " ".join(map(str, found.warnings))
    assert "3 pictures lie where training does not look" in told
    assert "2 captions are edited" in told
    with pytest.raises(DataError, match="N_concept"):
        send(catalog.read(tmp_path / "empty"), Wish())


@pytest.mark.parametrize(
    ("captions", "trigger"),
    [
        (["sks, 1girl"] * 3, "sks"),
        (["1girl, smile"] * 3, ""),
        (["1girl_, smile", "sks, 1girl", "sks, 1boy"], ""),
        (["best_quality, 1girl"] * 3, ""),
        (["", "", ""], ""),
        (["sks, a"] * 19 + ["a, sks"], "sks"),
    ],
)
def test_what_captions_begin_with_is_the_trigger(tmp_path: Path, captions: list[str], trigger: str) -> None:
    for number, caption in enumerate(captions):
        noise(number).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(caption, encoding="utf-8")
    config = send(catalog.read(tmp_path), Wish()).config
    assert config.get("caption", {}).get("trigger", "") == trigger


# ---- names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main", "main"),
        ("kazari_face", "face"),
        ("Kazari Full Body", "full"),
        ("kazari-full_body", "full"),
        ("面部特写", "face"),
        ("初春饰利_主视觉图", "main"),
        ("差分", "differential"),
        ("discard", "discard"),
        ("surface", ""),
        ("domain", ""),
        ("kazari", ""),
        ("", ""),
    ],
)
def test_classes_by_the_names_of_folders(name: str, kind: str) -> None:
    assert class_of(name) == kind


def test_of_each_pair_one_is_kept() -> None:
    flips = {"a": ("b",), "b": ("a",), "c": ("d", "e"), "d": ("c",), "e": ("c",)}
    assert mirrored("abcdef", flips) == {"b", "d", "e"}
