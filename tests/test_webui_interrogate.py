"""The WebUI's own taggers and our step in Extras, in a double of the WebUI whose DeepBooru and BLIP say what is known."""

from __future__ import annotations

import base64
import dataclasses
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from standin import Script

from lib_lora import api
from lib_lora.core.errors import BusyError, HostError
from lib_lora.core.messages import words
from lib_lora.hosts.base import CaptionRequest, Interrogators
from lib_lora.hosts.webui import WebUIHost, extras, interrogate, program, queue
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench, captioning

V1 = api.PREFIX
RED, BLUE = (255, 0, 0), (0, 0, 255)
SENTENCE = "a girl with red hair, standing, in the rain"


@dataclasses.dataclass
class WebUI:
    folder: Path
    host: WebUIHost
    bench: Workbench
    client: TestClient

    def post(self, path: str, body: Any, code: int = 200) -> Any:
        answer = self.client.post(f"{V1}/{path}", json=body)
        assert answer.status_code == code, answer.text
        return answer.json()

    def tag(self, tagger: str) -> dict[str, str]:
        opened = self.post("dataset/open", {"folder": str(self.folder / "set")})
        started = self.post("dataset/tag", {"set": opened["set"], "client": "me", "tagger": tagger})
        task = self.bench.tasks.wait(started["task"], 30)
        assert task.phase == "done", task.problems
        return {"set": opened["set"], "client": "me", "tagger": tagger}

    def written(self, asked: dict[str, str], **more: Any) -> dict[str, str]:
        """The captions on the disk after writing and saving."""
        self.post("dataset/tag/write", {**asked, **more})
        self.post("dataset/save", {"set": asked["set"], "client": "me"})
        return {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted((self.folder / "set").rglob("*.txt"))}


@pytest.fixture
def webui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebUI]:
    import webui_double

    monkeypatch.setattr(interrogate, "_hub", lambda: tmp_path / "hub")
    with webui_double.running(tmp_path, model=False):
        host = WebUIHost()
        jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
        api.mount(app, jobs, host, bench)
        for name, colour in (("red", RED), ("blue", BLUE)):
            path = tmp_path / "set" / name / f"{name}.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (64, 48), colour).save(path)
        yield WebUI(tmp_path, host, bench, TestClient(app))
        bench.shutdown()
        jobs.shutdown(20)


def deepbooru(folder: Path) -> Path:
    path = folder / "models" / "torch_deepdanbooru" / "mine.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weight": torch.ones(6)}, path)
    return path


def blip(folder: Path, tokenizer: bool = True) -> None:
    path = folder / "models" / "BLIP" / "model_base_caption_capfilt_large.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    if tokenizer:
        words_of_bert = folder / "hub" / "models--bert-base-uncased" / "snapshots" / "1" / "vocab.txt"
        words_of_bert.parent.mkdir(parents=True)
        words_of_bert.write_text("[PAD]", encoding="utf-8")


def png(colour: tuple[int, int, int]) -> str:
    content = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


class TestWhatIsThere:
    def test_the_webui_offers_both(self, webui: WebUI) -> None:
        assert isinstance(webui.host, Interrogators)
        assert [(one.name, one.tags, one.missing) for one in webui.host.interrogators()] == [("deepbooru", True, True), ("blip", False, True)]

    def test_missing_weights_are_named_with_their_place_and_nothing_is_downloaded(self, webui: WebUI) -> None:
        found = {one["name"]: one for one in webui.client.get(f"{V1}/taggers").json()["taggers"]}
        assert found["deepbooru"]["missing"]["folder"] == str(webui.folder / "models" / "torch_deepdanbooru")
        assert found["deepbooru"]["missing"]["files"][0]["name"] == "model-resnet_custom_v3.pt"
        assert "model-resnet_custom_v3.pt" in webui.post("tag", {"image": png(RED), "tagger": "deepbooru"}, 400)["error"]
        assert "bert-base-uncased" in found["blip"]["missing"]["text"]

    def test_a_tokenizer_that_is_not_there_is_said_by_itself(self, webui: WebUI) -> None:
        blip(webui.folder, tokenizer=False)
        found = next(one for one in webui.client.get(f"{V1}/taggers").json()["taggers"] if one["name"] == "blip")
        assert not found["ready"]
        assert found["missing"]["files"] == []
        assert not found["missing"]["download"]
        assert "bert-base-uncased" in webui.post("tag", {"image": png(RED), "tagger": "blip"}, 400)["error"]

    def test_other_names_of_weights_are_found_as_the_webui_finds_them(self, webui: WebUI) -> None:
        path = deepbooru(webui.folder)
        assert webui.host.interrogators()[0].weights == path

    def test_a_host_without_any_has_none(self, tmp_path: Path) -> None:
        from standin import StandInHost

        assert not {"deepbooru", "blip"} & set(Workbench(StandInHost(tmp_path)).taggers.listed())


class TestDeepBooru:
    def test_raw_probabilities_without_the_webuis_options(self, webui: WebUI) -> None:
        deepbooru(webui.folder)
        found = webui.post("tag", {"image": png(RED), "tagger": "deepbooru", "threshold": 0.2})
        assert found["tags"] == {"red_hair": pytest.approx(1), "^_^": pytest.approx(0.3, abs=0.001)}
        assert found["rating"] == {"safe": pytest.approx(1), "explicit": pytest.approx(0)}
        assert found["caption"] == "red hair, ^_^"

    def test_a_folder_is_tagged_and_written(self, webui: WebUI) -> None:
        deepbooru(webui.folder)
        asked = webui.tag("deepbooru")
        assert webui.written(asked, rules={"trigger": "zzz"}) == {"red": "zzz, red hair", "blue": "zzz, blue hair"}

    def test_the_card_is_given_back_after_each_batch_and_after_a_failure(self, webui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
        from modules import deepbooru as own
        from modules import lowvram

        deepbooru(webui.folder)
        loaded = webui.host.interrogators()[0].load()
        picture = loaded.prepare(Image.new("RGB", (64, 48), RED))
        for _ in range(2):
            loaded.probabilities([picture] * 3)
        assert own.model.acts == ["start", "stop"] * 2
        assert len(lowvram.sent) == 2
        monkeypatch.setattr(own.model.model, "forward", lambda pixels: 1 / 0)
        with pytest.raises(HostError, match="division by zero"):
            loaded.probabilities([picture])
        assert own.model.acts == ["start", "stop"] * 3
        assert not queue.taken()

    def test_weights_that_are_none_leave_nothing_half_loaded(self, webui: WebUI) -> None:
        from modules import deepbooru as own

        path = deepbooru(webui.folder)
        path.write_bytes(b"no weights")
        with pytest.raises(HostError, match=r"mine\.pt"):
            webui.host.interrogators()[0].load()
        assert own.model.model is None
        deepbooru(webui.folder)
        assert "red_hair" in webui.host.interrogators()[0].load().names


class TestTheQueue:
    def test_a_training_is_not_waited_for(self, webui: WebUI) -> None:
        deepbooru(webui.folder)
        loaded = webui.host.interrogators()[0].load()
        with queue.turn(lambda: True), program.job(), pytest.raises(BusyError, match="in use by LoRA Studio"):
            loaded.probabilities([loaded.prepare(Image.new("RGB", (64, 48), RED))])
        found = webui.post("tag", {"image": png(RED), "tagger": "deepbooru"})
        assert found["caption"] == "red hair"

    def test_a_training_that_begins_while_we_wait_ends_the_wait(self, webui: WebUI) -> None:
        from modules import shared

        deepbooru(webui.folder)
        loaded = webui.host.interrogators()[0].load()
        failed: list[Exception] = []

        def ask() -> None:
            try:
                loaded.probabilities([loaded.prepare(Image.new("RGB", (64, 48), RED))])
            except BusyError as error:
                failed.append(error)

        with queue.turn(lambda: True):
            shared.state.job = "a picture"
            thread = threading.Thread(target=ask)
            thread.start()
            with program.job():
                thread.join(20)
        assert len(failed) == 1
        assert not thread.is_alive()

    def test_a_picture_is_waited_for_for_a_while(self, webui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
        deepbooru(webui.folder)
        loaded = webui.host.interrogators()[0].load()
        monkeypatch.setattr(interrogate, "PATIENCE", 0.0)
        with queue.turn(lambda: True), pytest.raises(BusyError, match="still busy"):
            loaded.probabilities([loaded.prepare(Image.new("RGB", (64, 48), RED))])

    def test_what_the_webui_calls_under_its_queue_does_not_wait_for_it(self, webui: WebUI) -> None:
        with queue.turn(lambda: True):
            assert queue.taken()
            with queue.ours():
                assert not queue.taken()
                with queue.turn(lambda: False):
                    pass
            assert queue.taken()


class TestBlip:
    def test_a_sentence_stands_in_place_of_tags_with_its_commas(self, webui: WebUI) -> None:
        blip(webui.folder)
        found = webui.post("tag", {"image": png(RED), "tagger": "blip", "rules": {"trigger": "zzz", "last": ["safe"]}})
        assert found["caption"] == f"zzz, {SENTENCE}, safe"
        assert found["tags"] == {}

    def test_only_blip_is_loaded_and_its_type_is_put_back(self, webui: WebUI) -> None:
        from modules import shared

        blip(webui.folder)
        webui.post("tag", {"image": png(RED), "tagger": "blip"})
        assert shared.interrogator.acts == ["said", "sent"]
        assert shared.interrogator.dtype is None
        assert shared.interrogator.clip_model is None

    def test_a_folder_with_a_regularisation_set(self, webui: WebUI) -> None:
        blip(webui.folder)
        asked = webui.tag("blip")
        found = webui.written(asked, rules={"trigger": "zzz"}, regularisation=["blue"])
        assert found == {"red": f"zzz, {SENTENCE}", "blue": SENTENCE.replace("red", "blue")}

    @pytest.mark.parametrize(
        ("policy", "wanted"),
        [
            ("skip", "old, red hair"),
            ("overwrite", f"zzz, {SENTENCE}"),
            ("prepend", f"zzz, {SENTENCE}, old, red hair"),
            ("append", f"zzz, old, red hair, {SENTENCE}"),
        ],
    )
    def test_policies(self, webui: WebUI, policy: str, wanted: str) -> None:
        blip(webui.folder)
        (webui.folder / "set" / "red" / "red.txt").write_text("old, red hair", encoding="utf-8")
        asked = webui.tag("blip")
        assert webui.written(asked, rules={"trigger": "zzz"}, policy=policy)["red"] == wanted

    @pytest.mark.parametrize("policy", ["prepend", "append"])
    def test_the_same_sentence_is_not_written_twice(self, webui: WebUI, policy: str) -> None:
        blip(webui.folder)
        asked = webui.tag("blip")
        once = webui.written(asked, rules={"trigger": "zzz"})
        assert webui.written(asked, rules={"trigger": "zzz"}, policy=policy) == once

    def test_sentences_are_kept_and_not_asked_for_again(self, webui: WebUI) -> None:
        from modules import shared

        blip(webui.folder)
        webui.tag("blip")
        assert shared.interrogator.acts.count("said") == 2
        again = webui.tag("blip")
        assert shared.interrogator.acts.count("said") == 2
        assert webui.written(again)["red"] == SENTENCE

    def test_another_length_is_another_sentence(self, webui: WebUI) -> None:
        from modules import shared

        blip(webui.folder)
        webui.tag("blip")
        shared.opts.data["interrogate_clip_max_length"] = 20
        webui.tag("blip")
        assert shared.interrogator.acts.count("said") == 4

    def test_classes_go_on_asking_the_tagger_that_gave_probabilities(self, webui: WebUI) -> None:
        from lib_lora.tagging import cache

        deepbooru(webui.folder)
        blip(webui.folder)
        webui.tag("deepbooru")
        asked = webui.tag("blip")
        opened = webui.bench.opened(asked["set"])
        assert cache.scores(opened.state, opened.pictures["red/red.png"])["red_hair"] == pytest.approx(1)
        assert webui.written(asked)["red"] == SENTENCE


class TestExtras:
    @pytest.fixture
    def step(self, webui: WebUI) -> Any:
        pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")
        graphs.tagger(webui.folder / "models" / "taggers" / "mine")
        return extras.step(captioning.of(webui.bench), captioning.names(webui.bench))()

    def processed(self, step: Any, before: str | None = None, colour: tuple[int, int, int] = RED, **asked: Any) -> Any:
        """As the WebUI does it: under its queue."""
        from modules.scripts_postprocessing import PostprocessedImage

        pp = PostprocessedImage(Image.new("RGBA", (48, 48), (*colour, 255)))
        pp.caption = before
        with queue.turn(lambda: True):
            step.process(pp, **asked)
        return pp

    def test_the_class_is_one_that_the_webui_looks_for(self, step: Any) -> None:
        from modules.scripts_postprocessing import ScriptPostprocessing

        assert isinstance(step, ScriptPostprocessing)
        assert (step.name, step.order) == ("LoRA Studio tags", 4050)

    @pytest.mark.parametrize("enable", [False, None])
    def test_off_it_does_nothing(self, step: Any, enable: bool | None) -> None:
        """The WebUI's API gives None for every setting it does not know."""
        pp = self.processed(step, enable=enable, tagger=None, threshold=None, character_threshold=None, trigger=None)
        assert (pp.caption, pp.info) == (None, {})

    def test_on_it_captions_the_picture(self, step: Any) -> None:
        pp = self.processed(step, enable=True, tagger="mine", threshold=0.3, character_threshold=0.85, trigger="zzz")
        assert pp.caption == "zzz, red hair, grey background"
        assert pp.info == {"LoRA Studio tags": "mine (CPU): zzz, red hair, grey background"}

    def test_the_default_is_a_tagger_that_is_here(self, step: Any) -> None:
        assert self.processed(step, enable=True, tagger="Default", threshold=0.9).caption == "red hair"

    def test_what_an_earlier_step_wrote_stays_and_the_trigger_stays_first(self, step: Any) -> None:
        pp = self.processed(step, "1girl, red hair", enable=True, tagger="mine", threshold=0.45, trigger="zzz")
        assert pp.caption == "zzz, 1girl, red hair"

    def test_the_webuis_own_tagger_runs_in_the_place_that_extras_has(self, webui: WebUI, step: Any) -> None:
        deepbooru(webui.folder)
        pp = self.processed(step, enable=True, tagger="deepbooru", threshold=0.5)
        assert pp.caption == "red hair"
        assert pp.info == {"LoRA Studio tags": "deepbooru (CPU): red hair"}

    @pytest.mark.parametrize("tagger", ["wd-vit-tagger-v3", "blip", "deepbooru"])
    def test_one_that_is_not_here_is_said_and_the_picture_goes_on(self, step: Any, tagger: str) -> None:
        pp = self.processed(step, "1girl", enable=True, tagger=tagger)
        assert pp.caption == "1girl"
        assert "is not on this machine" in pp.info["LoRA Studio tags"]

    def test_in_the_language_of_the_webui(self, step: Any) -> None:
        from modules import shared

        shared.opts.data["localization"] = "zh_CN"
        told = self.processed(step, enable=True, tagger="blip").info["LoRA Studio tags"]
        assert told.startswith(words("zh_CN")["{tagger} is not on this machine. Put {files} into {folder}. They can be had from {urls}"][:2])

    def test_whatever_fails_the_picture_goes_on(self, webui: WebUI) -> None:
        def fails(image: Image.Image, request: CaptionRequest) -> tuple[str, str, str]:
            raise RuntimeError("no such luck")

        pp = self.processed(extras.step(fails, list)(), "1girl", enable=True)
        assert pp.caption == "1girl"
        assert "no such luck" in pp.info["LoRA Studio tags"]


def test_a_host_that_answers_another_number_than_it_has_tags() -> None:
    from types import SimpleNamespace

    from lib_lora.tagging.hosted import Asked

    loaded = SimpleNamespace(names=("a", "b"), device="CPU", probabilities=lambda inputs: np.zeros((len(inputs), 3), np.float32))
    with pytest.raises(HostError, match="2 tags"):
        Asked(loaded, "digest").run([np.zeros(1)])
