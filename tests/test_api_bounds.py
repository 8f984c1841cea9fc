"""What nobody means is refused with a sentence, at once: sides without end, numbers that are none, names no disk takes."""

from __future__ import annotations

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
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

WHOSE = {
    "view": {"client": "me"},
    "batches": {"repeats": 2},
    "send": {"client": "me"},
    "doctor": {"client": "me"},
}


class Page:
    """A client with a folder open."""

    def __init__(self, client: TestClient, folder: Path) -> None:
        self.client = client
        self.set = client.post(f"{api.PREFIX}/dataset/open", json={"folder": str(folder)}).json()["set"]

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = self.client.post(f"{api.PREFIX}/dataset/{path}", json={"set": self.set, **body})
        return answer.status_code, answer.json()

    def raw(self, path: str, body: str) -> tuple[int, Any]:
        body = f'{{"set": "{self.set}", "client": "me", {body}}}'
        answer = self.client.post(f"{api.PREFIX}/dataset/{path}", content=body, headers={"Content-Type": "application/json"})
        return answer.status_code, answer.json()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "set").mkdir()
    for n in range(3):
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (80, 64, 3), dtype=np.uint8)).save(tmp_path / "set" / f"{n}.png")
        (tmp_path / "set" / f"{n}.txt").write_text("sks, 1girl, solo", encoding="utf-8")
    host = StandInHost(tmp_path)
    jobs, bench = Jobs(host, Script()), Workbench(host)
    app = FastAPI()
    api.mount(app, jobs, host, bench)
    with TestClient(app) as client:
        yield Page(client, tmp_path / "set")
    bench.shutdown()
    jobs.shutdown()


@pytest.mark.parametrize("path", WHOSE)
@pytest.mark.parametrize("side", [10**30, -512, 1, 63, 2049, 512.5])
def test_a_resolution_that_nobody_trains_at_is_refused(page: Page, path: str, side: float) -> None:
    status, told = page.post(path, {**WHOSE[path], "resolution": side})
    assert status == 400
    assert "resolution" in told["error"]


@pytest.mark.parametrize("path", WHOSE)
@pytest.mark.parametrize("side", [0, 256, 512, 2048])
def test_a_resolution_that_somebody_trains_at_is_taken(page: Page, path: str, side: int) -> None:
    assert page.post(path, {**WHOSE[path], "resolution": side})[0] == 200


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "-1e999", "1" + "0" * 400])
@pytest.mark.parametrize(("path", "name"), [("view", "offset"), ("view", "limit"), ("view", "resolution"), ("tags", "limit"), ("doctor", "batch")])
def test_numbers_without_end_are_sentences(page: Page, path: str, name: str, number: str) -> None:
    status, told = page.raw(path, f'"{name}": {number}')
    assert status == 400, told
    assert told["error"].strip()
    assert "server's log" not in told["error"]


@pytest.mark.parametrize("number", ["Infinity", "NaN", "1e999", "1" + "0" * 400])
@pytest.mark.parametrize("name", ["main", "face"])
def test_counts_without_end_are_sentences(page: Page, name: str, number: str) -> None:
    body = {"main": "4", "face": "1", name: number}
    status, told = page.raw("repeats", ", ".join(f'"{key}": {value}' for key, value in body.items()))
    assert status == 400, told


@pytest.mark.parametrize("long", ["x" * 300, "深" * 200, "a/" * 3000 + "b"])
def test_a_name_no_disk_takes_is_a_sentence_wherever_it_is_typed(page: Page, tmp_path: Path, long: str) -> None:
    place = str(tmp_path / long)
    for path, body in [
        ("open", {"folder": place}),
        ("send", {"client": "me", "folder": place}),
        ("doctor", {"client": "me", "reg": place}),
        ("prepare/plan", {"client": "me", "settings": {}, "target": place}),
        ("prepare", {"client": "me", "settings": {}, "target": place}),
        ("prepare/undo", {"client": "me", "target": place}),
    ]:
        status, told = page.post(path, body)
        # A plan that cannot be written says so among its problems.
        assert status == 400 or (status == 200 and told["problems"]), (path, status, told)


def test_a_name_that_leaves_no_room_for_ours_is_a_sentence(page: Page, tmp_path: Path) -> None:
    target = str(tmp_path / ("x" * 250))
    status, told = page.post("prepare", {"client": "me", "settings": {}, "target": target})
    if status == 200:
        done = wait(page, told["task"])
        assert done["phase"] == "failed"
        assert "server's log" not in done["error"]
    else:
        assert status == 400
    assert not Path(target).exists()


def wait(page: Page, task: str) -> Any:
    for _ in range(2000):
        found = page.client.get(f"{api.PREFIX}/dataset/task", params={"task": task}).json()
        if found["phase"] in ("done", "failed", "cancelled"):
            return found
    raise AssertionError(found)
