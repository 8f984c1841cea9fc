"""The older tagger extension's addresses: its bodies, our logins, and no address that another extension has."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphs
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script, StandInHost

from lib_lora import api
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")

MIKU = "hatsune_miku_(cosplay)_(vocaloid)"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    host = StandInHost(tmp_path)
    jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
    graphs.tagger(tmp_path / "loras" / "taggers" / "mine")
    api.mount(app, jobs, host, bench)
    yield app
    bench.shutdown()
    jobs.shutdown(20)


def png(colour: tuple[int, int, int] = (0, 255, 0)) -> str:
    content = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def ask(app: FastAPI, body: dict[str, Any], code: int = 200) -> Any:
    answer = TestClient(app).post("/tagger/v1/interrogate", json=body)
    assert answer.status_code == code, answer.text
    return answer.json()


def test_only_what_is_here_is_listed(app: FastAPI, tmp_path: Path) -> None:
    assert TestClient(app).get("/tagger/v1/interrogators").json() == {"models": ["mine"]}
    graphs.tagger(tmp_path / "loras" / "taggers" / "wd-v1-4-moat-tagger-v2")
    found = TestClient(app).get("/tagger/v1/interrogators").json()["models"]
    assert set(found) == {"mine", "wd-v1-4-moat-tagger-v2", "wd-v1-4-moat-tagger.v2"}


def test_ratings_and_tags_above_one_threshold_characters_among_them(app: FastAPI) -> None:
    found = ask(app, {"image": png(), "model": "mine", "threshold": 0.45})["caption"]
    assert set(found) == {"rating", "tag"}
    assert found["tag"] == {"green_hair": pytest.approx(1), MIKU: pytest.approx(0.5)}
    assert found["rating"]["general"] == pytest.approx(0.9)
    assert len(found["rating"]) == 4


def test_without_a_threshold_everything_that_is_above_0(app: FastAPI) -> None:
    assert set(ask(app, {"image": png(), "model": "mine"})["caption"]["tag"]) == {"green_hair", MIKU, "^_^", "grey_background", 'don\'t_say_"lazy"'}


def test_the_older_names_mean_the_same_taggers(app: FastAPI, tmp_path: Path) -> None:
    graphs.tagger(tmp_path / "loras" / "taggers" / "wd-v1-4-vit-tagger-v2")
    assert "green_hair" in ask(app, {"image": png(), "model": "wd14-vit.v2", "threshold": 0.5})["caption"]["tag"]


def test_pictures_as_addresses_and_fields_of_other_versions_pass(app: FastAPI) -> None:
    body = {"image": f"data:image/png;base64,{png()}", "model": "mine", "threshold": 0.5, "queue": "", "name_in_queue": "", "newer": 1}
    assert "green_hair" in ask(app, body)["caption"]["tag"]


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        ({"image": png(), "model": "nobody"}, 404, "nobody: no such tagger"),
        ({"image": png(), "model": "wd14-vit.v1"}, 400, "wd-v1-4-vit-tagger is not on this machine"),
        ({"image": png(), "model": "mine", "queue": "q", "name_in_queue": "n"}, 400, "no named queues"),
        ({"image": "!", "model": "mine"}, 400, "no base64"),
        ({"model": "mine"}, 400, "image: this field is missing"),
    ],
)
def test_what_is_wrong_is_said_where_scripts_look_for_it(app: FastAPI, body: dict[str, Any], code: int, why: str) -> None:
    assert why in ask(app, body, code)["detail"]


def test_unloading_needs_no_body(app: FastAPI) -> None:
    ask(app, {"image": png(), "model": "mine"})
    client = TestClient(app)
    assert client.post("/tagger/v1/unload-interrogators").json() == "1 tagger was unloaded."
    assert client.post("/tagger/v1/unload-interrogators", json={}).json() == "0 taggers were unloaded."


def test_another_extension_keeps_its_addresses_although_it_comes_later(app: FastAPI) -> None:
    @app.post("/tagger/v1/interrogate")
    def theirs() -> dict[str, str]:
        return {"caption": "theirs"}

    assert ask(app, {"image": png(), "model": "mine"}) == {"caption": "theirs"}
    assert TestClient(app).get("/tagger/v1/interrogators").json() == {"models": ["mine"]}


def test_our_logins_hold_there_too(tmp_path: Path) -> None:
    host = StandInHost(tmp_path, basic=(("user", "secret"),))
    jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
    api.mount(app, jobs, host, bench)
    client = TestClient(app)
    for answer in (
        client.get("/tagger/v1/interrogators"),
        client.post("/tagger/v1/interrogate", json={"image": png(), "model": "mine"}),
        client.post("/tagger/v1/unload-interrogators"),
    ):
        assert answer.status_code == 401
    assert client.get("/tagger/v1/interrogators", auth=("user", "secret")).json() == {"models": []}
    bench.shutdown()
    jobs.shutdown(20)


def test_other_sites_may_not_ask(app: FastAPI) -> None:
    answer = TestClient(app).post("/tagger/v1/unload-interrogators", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
