"""Tagging over HTTP and on the command line, with real graphs whose outputs are known."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphs
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script, StandInHost

from lib_lora import api, cli
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")

V1 = api.PREFIX
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CHARACTER = "hatsune_miku_(cosplay)_(vocaloid)"


@dataclasses.dataclass
class Server:
    client: TestClient
    bench: Workbench
    folder: Path

    def get(self, path: str) -> Any:
        return self.client.get(f"{V1}/{path}")

    def post(self, path: str, body: Any, code: int = 200) -> Any:
        answer = self.client.post(f"{V1}/{path}", json=body)
        assert answer.status_code == code, answer.text
        return answer.json()

    def opened(self) -> dict[str, str]:
        return {"set": self.post("dataset/open", {"folder": str(self.folder)})["set"], "client": "me"}

    def tagged(self, **more: Any) -> dict[str, str]:
        """The folder, opened and tagged."""
        found = self.opened()
        started = self.post("dataset/tag", {**found, "tagger": "mine", **more})
        task = self.bench.tasks.wait(started["task"], 30)
        assert task.phase == "done", task.problems
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    host = StandInHost(tmp_path)
    jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
    api.mount(app, jobs, host, bench)
    graphs.tagger(tmp_path / "loras" / "taggers" / "mine")
    yield Server(TestClient(app), bench, pictures(tmp_path / "pictures"))
    bench.shutdown()
    jobs.shutdown(20)


def pictures(folder: Path) -> Path:
    """A training set of two, a regularisation set of one; two have captions."""
    for name, colour in (("6_sks/a.png", RED), ("6_sks/b.png", GREEN), ("reg/1_girl/c.png", BLUE)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), colour).save(folder / name)
    (folder / "6_sks" / "b.txt").write_text("mine, green hair\nnotes", encoding="utf-8")
    (folder / "reg" / "1_girl" / "c.txt").write_text("sks, old", encoding="utf-8")
    return folder


def encoded(colour: tuple[int, int, int], kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", (30, 30), colour).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


class TestTaggers:
    def test_they_are_listed_with_what_they_need(self, server: Server, tmp_path: Path) -> None:
        found = server.get("taggers").json()
        assert found["default"] == "wd-vit-large-tagger-v3"
        mine, *others = found["taggers"]
        assert (mine["name"], mine["ready"], mine["missing"], mine["hint"]) == ("mine", True, None, None)
        large = next(one for one in others if one["name"] == found["default"])
        assert not large["ready"]
        assert large["hint"] == 0.2606
        assert large["missing"]["folder"] == str(tmp_path / "loras" / "taggers" / found["default"])
        assert [file["name"] for file in large["missing"]["files"]] == ["model.onnx", "selected_tags.csv"]
        assert all(file["url"].startswith("https://huggingface.co/SmilingWolf/") for file in large["missing"]["files"])

    def test_one_that_is_not_here_says_where_to_put_it(self, server: Server) -> None:
        told = server.post("tag", {"image": encoded(RED), "tagger": "wd-vit-large-tagger-v3"}, 400)["error"]
        assert "model.onnx, selected_tags.csv" in told and "https://huggingface.co/" in told

    def test_the_one_that_was_used_last_is_meant_where_none_is_named(self, server: Server, tmp_path: Path) -> None:
        graphs.tagger(tmp_path / "loras" / "taggers" / "another")
        taggers = server.bench.taggers
        assert taggers.chosen().name == "another"
        taggers.remember("mine")
        assert taggers.chosen().name == "mine"
        # One that is there no more is not missed.
        taggers.remember("gone")
        assert taggers.chosen().name == "another"

    def test_one_that_is_unknown_names_those_there_are(self, server: Server) -> None:
        assert "mine" in server.post("tag", {"image": encoded(RED), "tagger": "nobody"}, 400)["error"]


class TestOnePicture:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
    @pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
    def test_tags_ratings_and_a_caption(self, server: Server, kind: str, prefix: str) -> None:
        found = server.post("tag", {"image": prefix + encoded(RED, kind), "tagger": "mine", "threshold": 0.3, "character_threshold": 0.4})
        assert found["tags"] == {"red_hair": pytest.approx(1, abs=0.01), "grey_background": pytest.approx(0.4, abs=0.01)}
        assert found["rating"] == {
            "sensitive": pytest.approx(0.5, abs=0.01),
            "general": pytest.approx(0, abs=0.02),
            "questionable": pytest.approx(0, abs=0.02),
            "explicit": 0,
        }
        assert next(iter(found["rating"])) == "sensitive"
        assert found["caption"] == "red hair, grey background"
        assert found["device"] == "CPU"

    def test_characters_have_their_own_threshold(self, server: Server) -> None:
        grey = {"image": encoded((180, 180, 180)), "tagger": "mine", "threshold": 0.65}
        assert CHARACTER not in server.post("tag", {**grey, "character_threshold": 0.85})["tags"]
        found = server.post("tag", {**grey, "character_threshold": 0.65})
        assert found["tags"][CHARACTER] == pytest.approx(180 / 255, abs=1e-5)
        assert found["caption"].startswith("hatsune miku (cosplay) (vocaloid), ")

    def test_without_thresholds_those_of_the_reference_hold(self, server: Server) -> None:
        found = server.post("tag", {"image": encoded((100, 0, 0)), "tagger": "mine"})
        assert found["tags"] == {"red_hair": pytest.approx(100 / 255, abs=1e-5)}

    def test_a_floor_shows_what_lies_below_the_threshold(self, server: Server) -> None:
        found = server.post("tag", {"image": encoded(RED), "tagger": "mine", "threshold": 0.9, "floor": 0.05})
        assert list(found["tags"]) == ["red_hair", "grey_background", "^_^", 'don\'t_say_"lazy"']
        assert found["caption"] == "red hair"

    def test_rules(self, server: Server) -> None:
        rules = {"trigger": "sks", "exclude": ["red hair"], "keep": ["^_^"], "replace": ["grey_background -> grey"]}
        found = server.post("tag", {"image": encoded(RED), "tagger": "mine", "threshold": 0.35, "rules": rules})
        assert found["caption"] == "sks, grey, ^_^"

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ({"image": "%%%"}, "no base64"),
            ({"image": ""}, "no picture"),
            ({"image": base64.b64encode(b"<svg/>").decode()}, "not a picture"),
            ({"image": base64.b64encode(base64.b64decode(encoded(RED))[:-45]).decode()}, "damaged"),
            ({"image": 3}, "is no text"),
            ({}, "missing"),
            ({"image": encoded(RED), "threshold": 2}, "not between 0 and 1"),
            ({"image": encoded(RED), "threshold": "x"}, "is no float"),
            ({"image": encoded(RED), "rules": {"exclude": ["/(/"]}}, "no regular expression"),
            ({"image": encoded(RED), "rules": {"excluded": []}}, "unknown field"),
            ({"image": encoded(RED), "rules": {"exclude": "x"}}, "is no list of texts"),
            ({"image": encoded(RED), "rules": []}, "is no object"),
        ],
    )
    def test_what_is_wrong_is_said(self, server: Server, body: dict[str, Any], why: str) -> None:
        assert why in server.post("tag", {"tagger": "mine", **body}, 400)["error"]

    def test_a_picture_of_20_mb_is_taken(self, server: Server) -> None:
        padded = base64.b64encode(base64.b64decode(encoded(RED)) + b"\0" * 20_000_000).decode()
        assert server.post("tag", {"image": padded, "tagger": "mine"})["caption"] == "red hair, grey background"


class TestFolder:
    def test_a_run_a_preview_a_write_an_undo_and_a_save(self, server: Server) -> None:
        found = server.tagged()
        body = {**found, "tagger": "mine", "threshold": 0.35, "reg_threshold": 0.3, "regularisation": ["reg"], "rules": {"trigger": "sks"}, "policy": "append"}
        preview = server.post("dataset/tag/preview", body)
        assert preview["untagged"] == 0
        assert preview["target"]["tags"] == [["grey background", 2], ["red hair", 1], ["green hair", 1], ["^_^", 1]]
        assert {one["key"]: one["after"] for one in preview["target"]["examples"]} == {
            "6_sks/a.png": "sks, red hair, grey background",
            "6_sks/b.png": "sks, mine, green hair, ^_^, grey background",
        }
        assert preview["regularisation"]["examples"] == [{"key": "reg/1_girl/c.png", "before": "sks, old", "after": "old, blue hair, ^_^"}]
        answer = server.post("dataset/tag/write", body)
        assert answer["changed"] == 3
        session = server.bench.opened(found["set"]).session("me")
        assert session.text("6_sks/a.png") == "sks, red hair, grey background"
        assert not (server.folder / "6_sks" / "a.txt").exists(), "nothing reaches the disk before it is saved"
        session.undo()
        assert session.unsaved() == 0
        session.redo()
        session.save()
        assert (server.folder / "6_sks" / "a.txt").read_text(encoding="utf-8").strip() == "sks, red hair, grey background"
        assert (server.folder / "6_sks" / "b.txt").read_text(encoding="utf-8").splitlines() == ["sks, mine, green hair, ^_^, grey background", "notes"]

    def test_thresholds_move_without_the_tagger(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        found = server.tagged()
        server.bench.taggers.unload()
        monkeypatch.setattr(server.bench.taggers, "use", lambda tagger: pytest.fail("the tagger was asked again"))
        counts = [
            server.post("dataset/tag/preview", {**found, "tagger": "mine", "threshold": t, "character_threshold": t})["target"]["different"]
            for t in (0.95, 0.45, 0.1)
        ]
        assert counts == sorted(counts) and counts[0] == 3 and counts[-1] == 7

    def test_skip_leaves_captions_that_are_there(self, server: Server) -> None:
        found = server.tagged()
        plain = server.post("dataset/tag/preview", {**found, "tagger": "mine"})
        assert plain["target"]["changed"] == 1, "to replace captions is a choice, not what happens unasked"
        assert server.post("dataset/tag/preview", {**found, "tagger": "mine", "policy": "overwrite"})["target"]["changed"] > 1
        preview = server.post("dataset/tag/preview", {**found, "tagger": "mine", "policy": "skip"})
        assert preview["target"]["changed"] == 1

    def test_only_what_is_asked_for_is_tagged_and_written(self, server: Server) -> None:
        found = server.tagged(keys=["6_sks/a.png"])
        assert server.post("dataset/tag/preview", {**found, "tagger": "mine"})["untagged"] == 2
        assert server.post("dataset/tag/write", {**found, "tagger": "mine", "where": {"folder": "6_sks"}})["changed"] == 1

    def test_what_a_tagger_said_is_known_to_the_rest_of_the_page(self, server: Server) -> None:
        found = server.tagged()
        assert server.bench.opened(found["set"]).scores("6_sks/a.png")["red_hair"] == pytest.approx(1, abs=1e-4)

    def test_there_is_nothing_to_write_before_tagging(self, server: Server) -> None:
        assert "tag the pictures first" in server.post("dataset/tag/write", {**server.opened(), "tagger": "mine"}, 400)["error"]

    def test_a_broken_picture_is_named_and_the_rest_is_tagged(self, server: Server) -> None:
        (server.folder / "6_sks" / "x.png").write_bytes(b"\x89PNG broken")
        found = server.opened()
        task = server.bench.tasks.wait(server.post("dataset/tag", {**found, "tagger": "mine"})["task"], 30)
        assert task.result["broken"] == ["6_sks/x.png"]
        assert task.result["tagged"] == 3
        assert any("x.png" in str(warning) for warning in task.warnings)

    def test_a_caption_that_cannot_be_read_is_left(self, server: Server) -> None:
        (server.folder / "6_sks" / "a.txt").write_bytes(b"\xff\xfe\x00bad")
        found = server.tagged()
        assert server.post("dataset/tag/write", {**found, "tagger": "mine", "policy": "overwrite"})["changed"] == 2
        server.bench.opened(found["set"]).session("me").save()
        assert (server.folder / "6_sks" / "a.txt").read_bytes() == b"\xff\xfe\x00bad"

    @pytest.mark.parametrize(
        ("more", "why"),
        [({"policy": "delete"}, "none of"), ({"tagger": "nobody"}, "no such tagger"), ({"reg_threshold": -1}, "not between"), ({"where": 3}, "is no object")],
    )
    def test_what_is_wrong_is_said(self, server: Server, more: dict[str, Any], why: str) -> None:
        assert why in server.post("dataset/tag/preview", {**server.opened(), "tagger": "mine", **more}, 400)["error"]

    def test_unloading(self, server: Server) -> None:
        server.post("tag", {"image": encoded(RED), "tagger": "mine"})
        assert server.get("taggers").json()["taggers"][0]["loaded"]
        assert server.post("dataset/tagger/unload", {})["unloaded"]
        assert not server.post("dataset/tagger/unload", {})["unloaded"]

    def test_a_server_that_is_open_to_others_takes_no_mirror_from_them(self, server: Server, tmp_path: Path) -> None:
        server.bench.host.roots = (tmp_path,)  # type: ignore[attr-defined]
        body = {"tagger": "wd-vit-tagger-v3", "endpoint": "http://169.254.169.254"}
        assert "HF_ENDPOINT" in server.post("dataset/tagger/download", body, 400)["error"]

    def test_what_is_here_is_not_downloaded(self, server: Server) -> None:
        assert "is here already" in server.post("dataset/tagger/download", {"tagger": "mine"}, 400)["error"]


class TestCommand:
    def tag(self, capsys: pytest.CaptureFixture[str], folder: Path, *more: str, code: int = 0) -> Any:
        given = ["tag", str(folder), "--tagger", "mine", "--model-dir", str(folder.parent / "models"), "--output", str(folder.parent / "out"), "--json", *more]
        assert cli.main(given) == code
        return json.loads(capsys.readouterr().out)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        graphs.tagger(tmp_path / "models" / "mine", 1)
        return pictures(tmp_path / "pictures")

    def test_captions_are_written_beside_the_pictures(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = self.tag(capsys, folder, "--threshold", "0.35", "--trigger", "sks")
        assert (found["tagger"], found["device"], found["images"], found["tagged"], found["written"]) == ("mine", "CPU", 3, 1, 1)
        assert found["captions"] == {"6_sks/a.png": "sks, red hair, grey background"}
        assert (folder / "6_sks" / "a.txt").read_text(encoding="utf-8").strip() == "sks, red hair, grey background"
        assert (folder / "6_sks" / "b.txt").read_text(encoding="utf-8") == "mine, green hair\nnotes"

    @pytest.mark.parametrize(
        ("policy", "wanted"),
        [
            ("overwrite", "sks, green hair, ^_^, grey background"),
            ("prepend", "sks, green hair, ^_^, grey background, mine"),
            ("append", "sks, mine, green hair, ^_^, grey background"),
        ],
    )
    def test_policies(self, folder: Path, capsys: pytest.CaptureFixture[str], policy: str, wanted: str) -> None:
        found = self.tag(capsys, folder, "--threshold", "0.35", "--trigger", "sks", "--policy", policy)
        assert (folder / "6_sks" / "b.txt").read_text(encoding="utf-8").splitlines() == [wanted, "notes"]
        assert found["backup"]

    def test_a_regularisation_set_never_has_the_trigger(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = self.tag(capsys, folder, "--regularisation", "--trigger", "sks", "--policy", "append")
        assert found["captions"]["reg/1_girl/c.png"] == "old, blue hair, ^_^"
        assert not any("sks" in text for text in found["captions"].values())

    def test_a_dry_run_writes_nothing(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = self.tag(capsys, folder, "--dry-run")
        assert found["captions"] and found["written"] == 0
        assert not (folder / "6_sks" / "a.txt").exists()

    def test_the_second_time_nothing_is_asked_again(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.tag(capsys, folder, "--policy", "overwrite")
        found = self.tag(capsys, folder, "--policy", "overwrite", "--threshold", "0.9")
        assert (found["tagged"], found["known"]) == (0, 3)
        assert found["captions"]["6_sks/a.png"] == "red hair"

    def test_broken_pictures_are_named(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "6_sks" / "x.png").write_bytes(b"")
        found = self.tag(capsys, folder)
        assert [one["file"] for one in found["broken"]] == ["6_sks/x.png"]
        assert found["written"] == 1

    @pytest.mark.parametrize(
        ("more", "code", "why"),
        [
            (("--tagger", "nobody", "--model-dir", ""), 2, "no such tagger"),
            (("--tagger", "wd-vit-tagger-v3"), 4, "is not on this machine"),
            (("--threshold", "3"), 2, "not between 0 and 1"),
            (("--exclude", "/(/", "--policy", "overwrite"), 2, "no regular expression"),
            (("--model-dir", "nowhere"), 2, "no such folder"),
            (("--policy", "burn"), 2, "invalid choice"),
        ],
    )
    def test_what_is_wrong_is_said(self, folder: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: int, why: str) -> None:
        assert why in self.tag(capsys, folder, *more, code=code)["error"]

    def test_an_empty_folder_is_said(self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "empty").mkdir()
        assert "no pictures" in self.tag(capsys, tmp_path / "empty", code=3)["error"]
