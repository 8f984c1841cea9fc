"""The routes over HTTP, with real FastAPI and, where logins are concerned, the real gradio of the environment."""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script, StandInHost, pictures

from lib_lora import api
from lib_lora.core.errors import HostError
from lib_lora.core.messages import say, words
from lib_lora.core.settings import describe, dump
from lib_lora.jobs import Jobs
from lib_lora.training.config import TrainConfig
from lib_lora.training.events import Previewed, Saved

V1 = api.PREFIX
GETS = ("schema", "status", "files?job=x", "words?lang=en", "preview/x/0")
POSTS = ("plan", "start", "stop", "cancel")


@dataclasses.dataclass
class Server:
    """A client and what stands behind it."""

    client: TestClient
    jobs: Jobs
    host: StandInHost
    script: Script
    folder: Path

    def config(self, **sections: Any) -> dict[str, Any]:
        return {"data": {"folder": str(self.folder)}, "save": {"name": "sks"}, **sections}

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"{V1}/{path}", headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(f"{V1}/{path}", json=body, headers=headers)

    def start(self) -> str:
        answer = self.post("start", {"config": self.config()})
        assert answer.status_code == 200, answer.text
        return answer.json()["job"]

    def ended(self, job: str) -> dict[str, Any]:
        self.script.gate.set()
        self.jobs.wait(job, 20)
        return self.get(f"status?job={job}").json()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    script = Script(steps=6)
    host = StandInHost(tmp_path)
    jobs = Jobs(host, script)
    app = FastAPI()
    api.mount(app, jobs, host)
    yield Server(TestClient(app), jobs, host, script, pictures(tmp_path / "pictures"))
    script.gate.set()
    jobs.shutdown(20)


def sentence(answer: Any, code: int) -> str:
    """The one sentence of an error; an error is nothing but that."""
    assert answer.status_code == code, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def login(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_schema_has_every_setting(server: Server) -> None:
    found = server.get("schema").json()
    assert [one["name"] for one in found["settings"]] == [setting.name for setting in describe(TrainConfig)]
    assert all(one["label"] and one["help"] for one in found["settings"])
    assert found["sections"]["data"] == "Pictures"


def test_schema_is_read_in_the_language_asked_for(server: Server) -> None:
    english, chinese = server.get("schema").json(), server.get("schema?lang=zh_CN").json()
    known = words("zh_CN")
    assert chinese["sections"] == {name: known[label] for name, label in english["sections"].items()}
    assert [(one["label"], one["help"]) for one in chinese["settings"]] == [(known[one["label"]], known[one["help"]]) for one in english["settings"]]
    read = ("label", "help")
    # Names, kinds, choices and ranges are what a job file is written in: the same for everybody.
    assert [{k: v for k, v in one.items() if k not in read} for one in chinese["settings"]] == [
        {k: v for k, v in one.items() if k not in read} for one in english["settings"]
    ]
    assert chinese["sections"]["data"] != english["sections"]["data"]


def test_a_whole_job(server: Server) -> None:
    idle = server.get("status").json()
    assert (idle["job"], idle["phase"], idle["running"]) == (None, "idle", False)
    plan = server.post("plan", {"config": server.config()}).json()
    assert (plan["images"], plan["samples"], plan["steps"], plan["problems"]) == (3, 30, 300, [])
    assert plan["sentences"] and plan["job"]["data"]["folder"] == str(server.folder)
    job = server.start()
    assert server.script.reached.wait(20)
    now = server.get(f"status?job={job}").json()
    assert {"job", "phase", "step", "steps", "epoch", "loss", "eta_s", "message", "error", "files"} <= set(now)
    assert (now["job"], now["phase"], now["step"], now["steps"], now["epoch"], now["error"], now["files"]) == (job, "training", 1, 6, 1, None, [])
    assert now["curve"] == [[1, 0.5]] and now["loss"] == 0.5 and now["eta_s"] == pytest.approx(1.2, abs=0.06)
    file = server.host.paths().loras / "sks.safetensors"
    server.script.more = (Saved(file, 1, True, 1e-4),)
    after = server.ended(job)
    assert (after["phase"], after["step"], after["files"]) == ("done", 6, [str(file)])
    assert server.get(f"files?job={job}").json() == {"job": job, "files": [str(file)]}
    assert server.get("status").json()["job"] == job


def test_a_dotted_job_is_the_same_job(server: Server) -> None:
    nested = server.post("plan", {"config": server.config(network={"rank": 4})}).json()
    dotted = server.post("plan", {"config": {"data.folder": str(server.folder), "save.name": "sks", "network.rank": 4}}).json()
    assert nested == dotted


def test_stopped_is_not_cancelled(server: Server) -> None:
    for ask, phase in (("stop", "stopped"), ("cancel", "cancelled")):
        server.script.gate.clear()
        server.script.reached.clear()
        job = server.start()
        assert server.script.reached.wait(20)
        assert server.post(ask, {"job": job}).json() == {"job": job}
        assert server.get(f"status?job={job}").json()["asked"] == ask
        assert server.ended(job)["phase"] == phase


def test_the_curve_comes_in_increments(server: Server) -> None:
    job = server.start()
    server.ended(job)
    assert [step for step, _ in server.get(f"status?job={job}").json()["curve"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in server.get(f"status?job={job}&since=4").json()["curve"]] == [5, 6]
    assert server.get(f"status?job={job}&since=6").json()["curve"] == []
    for wrong in ("-1", "x", "1.5", "9" * 40):
        assert "since" in sentence(server.get(f"status?job={job}&since={wrong}"), 400)


def test_the_boot_tells_one_server_from_the_next(server: Server) -> None:
    first = server.get("status").json()["boot"]
    assert first == server.get("status").json()["boot"]
    app = FastAPI()
    api.mount(app, server.jobs, server.host)
    assert TestClient(app).get(f"{V1}/status").json()["boot"] != first


def test_mounting_twice_is_mounting_once(server: Server) -> None:
    before = len(server.client.app.routes)
    api.mount(server.client.app, server.jobs, server.host)
    assert len(server.client.app.routes) == before


# --- what is refused, and how ---


@pytest.mark.parametrize(
    ("path", "body", "words_"),
    [
        ("plan", {}, "config: this field is missing"),
        ("plan", {"config": {}, "confg": 1}, "confg: unknown field"),
        ("plan", {"config": {}, "probe": "yes"}, "probe"),
        ("plan", {"config": []}, "object of settings"),
        ("plan", {"config": {"netwrk": {"rank": 3}}}, "netwrk: unknown setting"),
        ("plan", {"config": {"network": {"rank": 0}}}, "Rank (network.rank): 0 is outside"),
        ("plan", {"config": {"network": {"kind": []}}}, "network.kind"),
        ("start", {"config": {"network": {"kind": {"a": 1}}}}, "network.kind"),
        ("start", {"config": {"network": {"kind": 3}}}, "network.kind"),
        ("plan", {"config": {"network": 3, "network.rank": 4}}, "network.rank"),
        ("start", {"config": {"data": {"folder": "a\0b"}}}, "not a path"),
        ("start", {"config": {"learning": {"epochs": "many"}}}, "learning.epochs"),
        ("start", {"config": {}}, "folder"),
        ("start", {"config": {"data": {"folder": "/nowhere/at/all"}}}, "/nowhere/at/all"),
        ("stop", {}, "job: this field is missing"),
        ("stop", {"job": 3}, "job"),
        ("cancel", {"job": None}, "job"),
        ("stop", ["x"], "no JSON object"),
    ],
)
def test_wrong_settings_are_400(server: Server, path: str, body: Any, words_: str) -> None:
    assert words_ in sentence(server.post(path, body), 400)
    assert server.jobs.status().phase == "idle"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"config": NaN'])
def test_a_body_that_is_no_json_is_400(server: Server, raw: bytes) -> None:
    answer = server.client.post(f"{V1}/start", content=raw, headers={"Content-Type": "application/json"})
    assert "JSON" in sentence(answer, 400)


def test_a_body_of_any_length_is_not_read(server: Server) -> None:
    answer = server.client.post(f"{V1}/start", content=b" " * (1024 * 1024 + 1), headers={"Content-Type": "application/json"})
    assert "too long" in sentence(answer, 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_form_of_another_site_cannot_be_a_body(server: Server, kind: str) -> None:
    """These are the types a browser sends across sites without asking first."""
    body = json.dumps({"config": server.config()})
    answer = server.client.post(f"{V1}/start", content=body, headers={"Content-Type": kind} if kind else {})
    assert "application/json" in sentence(answer, 400)
    assert server.jobs.status().phase == "idle"


@pytest.mark.parametrize("path", ["status?job=nothere", "files?job=nothere", "files", "preview/nothere/0"])
def test_unknown_jobs_are_404(server: Server, path: str) -> None:
    assert "job" in sentence(server.get(path), 404)


@pytest.mark.parametrize("path", ["stop", "cancel"])
def test_ending_unknown_jobs_is_404(server: Server, path: str) -> None:
    assert "nothere" in sentence(server.post(path, {"job": "nothere"}), 404)


def test_a_second_start_is_409(server: Server) -> None:
    server.start()
    assert "sks is being trained" in sentence(server.post("start", {"config": server.config()}), 409)


def test_what_nobody_expected_is_500_with_a_sentence(server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(server.jobs, "plan", broken)
    assert "ZeroDivisionError: oh" in sentence(server.post("plan", {"config": server.config()}), 500)
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.setattr(server.host, "access", broken)
    assert "ZeroDivisionError" in sentence(server.get("status"), 500), "a login that cannot be asked for lets nobody in"


def test_a_probe_without_enough_memory_is_400(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(server.host, "borrow", full)
    assert "lower the batch size" in sentence(server.post("plan", {"config": server.config(), "probe": True}), 400)


def test_every_sentence_comes_in_the_language_of_the_reader(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "There is no job {job}: it was never started here, or it is too long ago."
    chinese = {template: "没有任务 {job}。", "It fails in {n} ways.": "有 {n} 种失败。"}
    monkeypatch.setattr("lib_lora.api.endpoint.words", lambda language: chinese if language == "zh_CN" else {})
    assert sentence(server.get("status?job=x&lang=zh_CN"), 404) == "没有任务 x。"
    assert sentence(server.get("status?job=x", **{"Accept-Language": "zh-TW,zh;q=0.9"}), 404) == "没有任务 x。"
    assert sentence(server.get("status?job=x&lang=en", **{"Accept-Language": "zh"}), 404).startswith("There is no job x")
    server.script.fails = HostError(say("It fails in {n} ways.", n=2))
    job = server.start()
    server.ended(job)
    assert server.get(f"status?job={job}").json()["error"] == "It fails in 2 ways."
    failed = server.get(f"status?job={job}&lang=zh_CN").json()
    assert (failed["phase"], failed["error"]) == ("failed", "有 2 种失败。")


def test_words_are_the_dictionary(server: Server) -> None:
    assert server.get("words?lang=en").json() == {}
    assert server.get("words?lang=zh_CN").json() == dict(words("zh_CN"))
    assert server.get("words?lang=../../etc/passwd").json() == {}


# --- while a training holds everything ---


def test_status_answers_while_the_training_stands_still_and_other_routes_work(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training's thread waits at a gate and all workers that a plan could use are taken; status needs neither."""
    job = server.start()
    assert server.script.reached.wait(20)
    held, plan = threading.Event(), server.jobs.plan
    monkeypatch.setattr(server.jobs, "plan", lambda *args, **more: held.wait(20) and plan(*args, **more))
    with server.client:
        askers = [threading.Thread(target=server.post, args=("plan", {"config": server.config()})) for _ in range(45)]
        for asker in askers:
            asker.start()
        seen: list[Any] = []
        reader = threading.Thread(target=lambda: seen.append(server.get(f"status?job={job}").json()))
        reader.start()
        reader.join(10)
        answered = not reader.is_alive()
        held.set()
        for asker in askers:
            asker.join(20)
    assert answered and seen[0]["step"] == 1


def test_status_opens_no_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    job = server.start()
    assert server.script.reached.wait(20)
    opened: list[str] = []
    for name in ("open", "stat", "is_file", "exists", "read_text", "read_bytes", "resolve"):
        real = getattr(Path, name)

        def spy(self: Path, *args: Any, _real: Any = real, **more: Any) -> Any:
            opened.append(str(self))
            return _real(self, *args, **more)

        monkeypatch.setattr(Path, name, spy)
    assert server.get(f"status?job={job}&lang=zh_CN").status_code == 200
    assert opened == []


# --- pictures ---


def test_a_preview_is_the_jobs_own_picture(server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "loras" / "sks-1.png"
    picture.parent.mkdir()
    Image.new("RGB", (8, 8), "red").save(picture)
    (tmp_path / "secret.png").write_bytes(b"secret")
    server.script.more = (Previewed(picture, 3), Previewed(tmp_path / "gone.png", 6))
    job = server.start()
    previews = server.ended(job)["previews"]
    assert previews[0] == {"epoch": 3, "url": f"preview/{job}/0"}
    answer = server.get(previews[0]["url"])
    assert answer.content == picture.read_bytes() and answer.headers["content-type"] == "image/png"
    assert "immutable" in answer.headers["cache-control"] and "private" in answer.headers["cache-control"]
    assert server.get("status").headers["cache-control"] == "no-store"
    for number in ("1", "2", "-1", "x", "0x0", "9" * 30, "%2e%2e", "٣"):
        assert server.get(f"preview/{job}/{number}").status_code == 404
    for escape in (f"preview/{job}/../../secret.png", f"preview/{job}/..%2f..%2fsecret.png", "preview/..%2fsecret.png/0"):
        answer = server.get(escape)
        assert answer.status_code == 404 and b"secret" not in answer.content.replace(b"secret.png", b"")


# --- logins ---


def test_the_api_login_is_asked_for_everywhere(server: Server) -> None:
    server.host.basic = (("ann", "pass:word"), ("bob", "b"))
    for path in GETS:
        answer = server.get(path)
        assert "Log in" in sentence(answer, 401)
        assert answer.headers["www-authenticate"] == "Basic"
    for path in POSTS:
        assert "Log in" in sentence(server.post(path, {}), 401)
    for wrong in ("", "Basic", "Basic !!!", "Bearer x", login("ann", "b"), login("ann", ""), login("", ""), "Basic " + base64.b64encode(b"ann").decode()):
        sentence(server.get("status", Authorization=wrong), 401)
    for user, password in server.host.basic:
        assert server.get("status", Authorization=login(user, password)).status_code == 200
    assert server.get("status", Authorization=login("ann", "pass:word").replace("Basic", "basic")).status_code == 200


def gradio_app(auth: Any) -> Any:
    """The gradio app of a page, as the WebUI has it at its root."""
    gradio = pytest.importorskip("gradio")
    with gradio.Blocks(analytics_enabled=False) as blocks:
        gradio.Textbox("x")
    blocks.auth = auth
    blocks.auth_message = None
    blocks.config = blocks.get_config_file()
    from gradio.routes import App

    return App.create_app(blocks)


@pytest.mark.parametrize("mounted", [False, True], ids=["root", "mounted"])
def test_the_pages_login_is_asked_for_everywhere(server: Server, mounted: bool) -> None:
    page = gradio_app([("ann", "secret")])
    root = FastAPI() if mounted else page
    api.mount(root, server.jobs, server.host)
    if mounted:
        root.mount("/", page)
    client = TestClient(root)
    for path in GETS:
        assert "Log in" in sentence(client.get(f"{V1}/{path}"), 401)
        assert "www-authenticate" not in client.get(f"{V1}/{path}").headers, "the browser must not ask for another password"
    for path in POSTS:
        sentence(client.post(f"{V1}/{path}", json={}), 401)
    sentence(client.get(f"{V1}/status", headers={"Cookie": "access-token=guessed; access-token-unsecure="}), 401)
    assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
    sentence(client.get(f"{V1}/status"), 401)
    assert client.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
    assert client.get(f"{V1}/status").status_code == 200
    token = next(iter(page.tokens))
    other = TestClient(root)
    sentence(other.get(f"{V1}/status", headers={"Cookie": f"other={token}"}), 401)
    assert other.get(f"{V1}/status", headers={"Cookie": f"access-token-unsecure={token}"}).status_code == 200


def test_a_page_without_login_asks_for_none(server: Server) -> None:
    page = gradio_app(None)
    api.mount(page, server.jobs, server.host)
    assert TestClient(page).get(f"{V1}/status").status_code == 200


def test_either_login_opens_where_both_are_set(server: Server) -> None:
    page = gradio_app([("ann", "secret")])
    server.host.basic = (("bob", "b"),)
    api.mount(page, server.jobs, server.host)
    sentence(TestClient(page).get(f"{V1}/status"), 401)
    assert TestClient(page).get(f"{V1}/status", headers={"Authorization": login("bob", "b")}).status_code == 200
    visitor = TestClient(page)
    visitor.post("/login", data={"username": "ann", "password": "secret"})
    assert visitor.get(f"{V1}/status").status_code == 200


# --- other sites ---


@pytest.mark.parametrize("origin", ["http://evil.example", "http://testserver:8000", "http://testserver.evil.example", "null", "", "http://[", "file://"])
def test_writes_from_other_sites_are_403(server: Server, origin: str) -> None:
    for path, body in (("start", {"config": server.config()}), ("plan", {"config": server.config()}), ("stop", {"job": "x"}), ("cancel", {"job": "x"})):
        assert "another site" in sentence(server.post(path, body, Origin=origin), 403)
    assert server.jobs.status().phase == "idle"


@pytest.mark.parametrize("origin", ["http://testserver", "https://TESTSERVER", None])
def test_writes_from_the_page_itself_are_taken(server: Server, origin: str | None) -> None:
    assert server.post("plan", {"config": server.config()}, **({"Origin": origin} if origin else {})).status_code == 200


# --- folders that are opened ---


@pytest.fixture
def opened(server: Server, tmp_path: Path) -> Path:
    root = tmp_path / "opened"
    pictures(root / "set")
    server.host.roots = (root,)
    return root


def test_paths_in_the_roots_are_taken(server: Server, opened: Path) -> None:
    for folder in (opened / "set", opened, opened / "x" / ".." / "set"):
        assert server.post("plan", {"config": {"data": {"folder": str(folder)}}}).status_code == 200
    assert server.post("plan", {"config": {}}).status_code == 200, "no path is no path outside"


def test_paths_outside_the_roots_are_403(server: Server, opened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (opened / "link").symlink_to(server.folder, target_is_directory=True)
    beside = pictures(tmp_path / "opened-not")
    outside: list[Any] = [
        server.folder,
        opened / ".." / "pictures",
        opened / "link",
        beside,
        tmp_path,
        Path("/"),
        "pictures",
        ".",
        "~",
        "~/pictures",
        f'"{server.folder}"',
        f" {server.folder} ",
    ]
    for folder in outside:
        for path in ("plan", "start"):
            told = sentence(server.post(path, {"config": {"data": {"folder": str(folder)}}}), 403)
            assert "data.folder" in told and str(opened) in told
    assert server.jobs.status().phase == "idle"


def test_a_path_that_is_none_is_400(server: Server, opened: Path) -> None:
    for folder in ("~nobody-of-that-name/x", f"{opened}/a\0b"):
        assert "data.folder" in sentence(server.post("plan", {"config": {"data": {"folder": folder}}}), 400)


def test_what_is_checked_is_what_is_opened(server: Server, opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes are taken off before a folder is opened, so a quoted path must not pass as one relative to here."""
    monkeypatch.chdir(opened)
    assert "data.folder" in sentence(server.post("plan", {"config": {"data": {"folder": f'"{server.folder}"'}}}), 403)
    assert server.post("plan", {"config": {"data": {"folder": f'"{opened / "set"}"'}}}).json()["images"] == 3


def test_every_path_setting_is_confined(opened: Path) -> None:
    """Whatever path setting a later version declares is confined with the others."""
    from lib_lora.api.access import confine
    from lib_lora.core.errors import PathError
    from lib_lora.core.settings import load, unflatten

    paths = [setting.name for setting in describe(TrainConfig) if setting.type == "path"]
    assert "data.folder" in paths
    for name in paths:
        with pytest.raises(PathError, match=name):
            confine(load(TrainConfig, unflatten({name: "/etc"})), (opened,))
    confine(load(TrainConfig, dump(TrainConfig())), (opened,))


def test_a_name_is_no_way_out(server: Server) -> None:
    for name in ("../sks", "a/b", "a\\b", "..", "/etc/x"):
        assert "save.name" in sentence(server.post("start", {"config": server.config(save={"name": name})}), 400)
