"""Captions over HTTP: what one browser does, from the list of tags to a save and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script, StandInHost

from lib_lora import api
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

CAPTIONS = {"a.png": "1girl, solo, blue hair", "b.png": "1girl, blue hair, hat", "c/d.png": "scenery", "c/e.png": None}


class Page:
    """One browser with a folder open."""

    def __init__(self, client: TestClient, root: Path, name: str = "me") -> None:
        self.client, self.root, self.name = client, root, name
        self.set = client.post(f"{api.PREFIX}/dataset/open", json={"folder": str(root)}).json()["set"]

    def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{api.PREFIX}/dataset/{path}", json={"set": self.set, "client": self.name, **body})
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self.client.get(f"{api.PREFIX}/dataset/{path}", params={"set": self.set, "client": self.name, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tags(self, **body: Any) -> dict[str, int]:
        return {one["tag"]: one["count"] for one in self.post("tags", **body)["tags"]}

    def edit(self, kind: str, status: int = 200, preview: bool = False, **body: Any) -> dict[str, Any]:
        which = {name: body.pop(name) for name in ("keys", "where") if name in body}
        return self.post("edit", status, op={"kind": kind, **body}, preview=preview, **which)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    host = StandInHost(tmp_path)
    jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
    api.mount(app, jobs, host, bench)
    with TestClient(app) as found:
        yield found
    bench.shutdown()
    jobs.shutdown()


@pytest.fixture
def page(client: TestClient, tmp_path: Path) -> Page:
    root = tmp_path / "set"
    for key, text in CAPTIONS.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (len(key), 80, 120)).save(root / key)
        if text is not None:
            (root / key).with_suffix(".txt").write_text(text)
    return Page(client, root)


def test_from_the_list_of_tags_to_the_disk_and_back(page: Page) -> None:
    assert page.tags() == {"1girl": 2, "blue hair": 2, "hat": 1, "scenery": 1, "solo": 1}
    assert page.tags(where={"none": ["1girl"]}) == {"scenery": 1}
    assert page.tags(keys=["a.png"]) == {"1girl": 1, "blue hair": 1, "solo": 1}
    told = page.edit("add", tags=["trig"], where={"all": ["blue hair"]}, preview=True)
    assert (told["changed"], told["of"], told["sentence"], told["unsaved"]) == (2, 2, "Changes 2 of 2 captions", 0)
    assert told["examples"][0] == {"file": "a.txt", "before": "1girl, solo, blue hair", "after": "trig, 1girl, solo, blue hair"}
    assert told["come"] == [["trig", 2]]
    done = page.edit("add", tags=["trig"], where={"all": ["blue hair"]})
    assert (done["unsaved"], done["undo"]) == (2, "Tags added: trig")
    standing = page.get("editing")
    assert standing == {"unsaved": 2, "version": done["version"], "undo": "Tags added: trig", "redo": "", "exact": False}
    assert (page.root / "a.txt").read_text() == CAPTIONS["a.png"]
    undone = page.post("undo")
    assert undone.pop("version") != standing["version"]
    assert undone == {"done": True, "what": "Tags added: trig", "changed": 2, "unsaved": 0, "undo": "", "redo": "Tags added: trig"}
    assert page.post("undo")["done"] is False
    assert page.post("redo")["unsaved"] == 2
    saved = page.post("save")
    assert (saved["saved"], saved["told"], saved["unsaved"]) == (2, ["2 captions saved"], 0)
    assert (page.root / "b.txt").read_text() == "trig, 1girl, blue hair, hat"
    assert not (page.root / "c" / "e.txt").exists()
    listed = page.get("backups")["backups"]
    assert "30" in page.get("backups")["kept"] and "14" in page.get("backups")["kept"]
    assert [(one["backup"], one["count"]) for one in listed] == [(saved["backup"], 2)]
    assert page.post("restore", backup=saved["backup"])["saved"] == 2
    assert (page.root / "b.txt").read_text() == CAPTIONS["b.png"]
    assert page.tags()["1girl"] == 2
    page.post("restore", 404, backup="2020-01-01_00-00-00")


def test_what_one_saves_the_other_sees_and_nothing_before(page: Page, client: TestClient) -> None:
    other = Page(client, page.root, "other")
    page.edit("set", text="mine", keys=["c/e.png"])
    assert "mine" not in other.tags()
    page.post("save")
    assert other.tags()["mine"] == 1
    other.edit("set", text="theirs", keys=["a.png"])
    (page.root / "a.txt").write_text("somebody else's")
    conflict = other.post("save")
    assert (conflict["saved"], conflict["unsaved"]) == (0, 1)
    assert conflict["conflicts"] == [{"file": "a.txt", "mine": "theirs", "theirs": "somebody else's"}]
    assert other.post("save", take=["a.txt"])["unsaved"] == 0
    assert page.tags()["somebody else's"] == 1, "what was taken from the disk everybody sees"


def test_the_list_is_searched_sorted_and_paged(page: Page) -> None:
    assert list(page.tags(search={"text": "hair", "mode": "suffix"})) == ["blue hair"]
    assert list(page.tags(search={"text": "^[sh]", "mode": "regex"})) == ["hat", "scenery", "solo"]
    assert list(page.tags(sort="alphabet", descending=False)) == ["1girl", "blue hair", "hat", "scenery", "solo"]
    assert list(page.tags(sort="length", limit=2)) == ["blue hair", "scenery"]
    assert list(page.tags(sort="length", limit=2, offset=2)) == ["1girl", "solo"]
    found = page.post("tags", where={"none": ["1girl"]}, top=["1girl"])
    assert [(one["tag"], one["count"], one["all"]) for one in found["tags"]] == [("1girl", 0, 2), ("scenery", 1, 1)]
    page.post("tags", 400, sort="colour")
    page.post("tags", 400, search={"text": "(", "mode": "regex"})


@pytest.mark.parametrize("where", [{"all": "1girl"}, {"colour": "red"}, {"search": {"text": "a", "mode": "magic"}}, {"keys": [1]}, "all", {"search": 3}])
def test_a_filter_that_is_none(page: Page, where: Any) -> None:
    assert page.post("tags", 400, where=where)["error"]


def test_filters_by_folder_and_what_is_not_saved(page: Page) -> None:
    assert page.tags(where={"folder": "c"}) == {"scenery": 1}
    assert "scenery" not in page.tags(where={"folder": "."})
    page.edit("add", tags=["trig"], keys=["b.png"])
    assert set(page.tags(where={"changed": True})) == {"trig", "1girl", "blue hair", "hat"}


def test_bad_operations_change_nothing(page: Page) -> None:
    assert "none of" in page.edit("burn", 400)["error"]
    page.edit("set", text="a" * 60 + "!", keys=["a.png"])
    assert "takes longer" in page.edit("replace", 400, find="(a|a)+$", mode="regex", keys=["a.png"])["error"]
    assert page.get("editing")["unsaved"] == 1
    assert page.edit("add", tags=["x"], keys=["gone.png"])["of"] == 0


def test_the_trigger_assistant(page: Page) -> None:
    found = page.post("trigger", where={"all": ["1girl"]}, trigger="blue hair")
    assert "says something already" in found["warnings"][0]
    found = page.post("trigger", where={"all": ["1girl"]}, trigger="kzr")
    assert (found["warnings"], found["images"]) == ([], 2)
    assert [(one["tag"], one["chosen"], one["share"]) for one in found["features"]] == [("blue hair", True, 1.0)]
    page.edit("trigger", trigger="kzr", remove=["blue hair"], where={"all": ["1girl"]})
    assert page.tags() == {"kzr": 2, "1girl": 2, "solo": 1, "hat": 1, "scenery": 1}
    page.post("undo")
    assert "kzr" not in page.tags()


def test_completion_and_counts(page: Page, tmp_path: Path) -> None:
    assert [one["tag"] for one in page.get("complete", text="bl")["tags"]] == ["blue hair"]
    lists = tmp_path / "state" / "tags"
    lists.mkdir(parents=True)
    (lists / "danbooru.csv").write_text('blue_eyes,0,1000,"blueeyes,azure_eyes"\nblonde_hair,0,2000,\n1girl,0,9,\n')
    assert [(one["tag"], one["set"], one["count"]) for one in page.get("complete", text="bl")["tags"]] == [
        ("blue hair", 2, 0),
        ("blonde hair", 0, 2000),
        ("blue eyes", 0, 1000),
    ]
    assert [(one["tag"], one["of"]) for one in page.get("complete", text="azure")["tags"]] == [("blue eyes", "azure eyes")]
    assert "base models know (1000 pictures)" in page.post("trigger", trigger="blue_eyes")["warnings"][0]
    assert page.post("count", texts=["1girl, solo", ""]) == {"tokens": [4, 0], "exact": False}


def test_the_regularisation_set_is_compared(page: Page, tmp_path: Path) -> None:
    reg = tmp_path / "reg"
    reg.mkdir()
    Image.new("RGB", (64, 64)).save(reg / "r.png")
    (reg / "r.txt").write_text("1girl, trig")
    found = page.post("audit", reg=str(reg), trigger="trig")
    assert (found["count"], found["wanted"], found["leaks"]) == (1, 4, ["r.png"])
    assert found["coverage"] == pytest.approx(1 / 5)
    assert found["missing"][0] == ["blue hair", 2]
    page.edit("remove", tags=["blue hair", "hat", "solo", "scenery"])
    assert page.post("audit", reg=str(reg), trigger="trig")["coverage"] == 1.0, "edits count before they are saved"
    page.post("audit", 400, reg=str(page.root))
    page.post("audit", 400, reg=str(tmp_path / "nowhere"))


def test_unwanted_features(page: Page) -> None:
    found = page.post("unwanted")
    assert (found["hints"], found["tagged"], found["images"]) == ([], 0, 4)
    assert found["labels"]["censored"] == "Censoring"


def test_a_second_window_does_not_overwrite_what_it_has_not_seen(page: Page) -> None:
    seen = page.get("editing")["version"]
    first = page.post("edit", op={"kind": "set", "text": "1girl, from window two"}, keys=["a.png"], before=CAPTIONS["a.png"])
    assert first["version"] != seen, "what a window shows is told by the version to be old"
    told = page.post("edit", 409, op={"kind": "set", "text": f"{CAPTIONS['a.png']}, mine"}, keys=["a.png"], before=CAPTIONS["a.png"])
    assert "another window" in told["error"]
    assert page.tags(keys=["a.png"]) == {"1girl": 1, "from window two": 1}
    # The fresh text is what the next edit is made on; spaces are no difference.
    page.post("edit", op={"kind": "set", "text": "1girl, from window two, mine"}, keys=["a.png"], before="1girl,  from window two ")
    assert page.post("save")["saved"] == 1
    assert (page.root / "a.txt").read_text() == "1girl, from window two, mine"
    page.post("edit", op={"kind": "set", "text": "new"}, keys=["c/e.png"], before="")
    page.post("edit", 400, op={"kind": "set", "text": "new"}, keys=["c/e.png"], before=3)
