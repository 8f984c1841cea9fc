"""The dataset page's routes for preparing, over HTTP: settings, plan, preview, writing, taking back; and a host's upscalers."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from prepared import Doubling, picture, text, tree
from standin import Script, StandInHost

from lib_lora import api
from lib_lora.core.errors import BusyError, HostError
from lib_lora.hosts.base import PictureTools
from lib_lora.hosts.webui import WebUIHost
from lib_lora.hosts.webui import upscale as webui
from lib_lora.jobs import Jobs
from lib_lora.prepare import manifest
from lib_lora.prepare.tools import Plain, tools_of
from lib_lora.workbench import Workbench

V1 = api.PREFIX
BASE = {"folders": {"by": "one"}}


class ToolHost(StandInHost, Doubling):
    """A host that offers an upscaler."""

    def __init__(self, folder: Path, **more: Any) -> None:
        StandInHost.__init__(self, folder, **more)
        Doubling.__init__(self)


@dataclasses.dataclass
class Page:
    """A client that has opened a folder."""

    client: TestClient
    bench: Workbench
    root: Path
    set: str

    def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{V1}/dataset/{path}", json={"set": self.set, "client": "me", **body})
        assert answer.status_code == status, answer.text
        return answer.json()

    def write(self, **body: Any) -> dict[str, Any]:
        task = self.post("prepare", **{"settings": BASE, **body})["task"]
        self.bench.tasks.wait(task, 30)
        return self.client.get(f"{V1}/dataset/task", params={"task": task}).json()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    for index in range(3):
        picture(tmp_path / "in" / "6_kazari" / f"{index}.png", seed=index, caption="1girl, upper body, left hand up")
    yield from served(tmp_path, ToolHost(tmp_path / "host"))


def served(tmp_path: Path, host: StandInHost) -> Iterator[Page]:
    jobs, bench, app = Jobs(host, Script()), Workbench(host), FastAPI()
    api.mount(app, jobs, host, bench)
    with TestClient(app) as client:
        root = tmp_path / "in" / "6_kazari"
        opened = client.post(f"{V1}/dataset/open", json={"folder": str(root)})
        assert opened.status_code == 200, opened.text
        yield Page(client, bench, root, opened.json()["set"])
    bench.shutdown()
    jobs.shutdown()


def test_settings_come_with_words_fitting_sizes_upscalers_and_a_place(page: Page) -> None:
    found = page.client.get(f"{V1}/dataset/prepare/settings", params={"set": page.set, "lang": "zh_CN"}).json()
    by_name = {one["name"]: one for one in found["settings"]}
    assert by_name["shape.side"]["default"] == 512 and by_name["shape.size"]["default"] == [512, 512]
    assert (by_name["shape.low"]["default"], by_name["shape.high"]["default"], by_name["shape.area_high"]["default"]) == (384, 768, 640)
    assert found["upscalers"] == ["Lanczos", "Red"]
    assert found["target"] == str(page.root.parent / "kazari-project")
    assert not by_name["shape.kind"]["label"].isascii()


def test_the_plan_says_what_would_be_written_and_writes_nothing(page: Page) -> None:
    before = tree(page.root.parent)
    found = page.post("prepare/plan", settings={**BASE, "copies": {"flip": True}})
    assert found["ready"] and not found["update"] and found["numbers"]["flips"] == 3 and found["numbers"]["originals"] == 3
    assert found["folders"][0]["name"] == "1_kazari" and any("3 mirrored copies" in sentence for sentence in found["sentences"])
    assert tree(page.root.parent) == before


def test_writing_updating_and_taking_back(page: Page) -> None:
    done = page.write()
    target = page.root.parent / "kazari-project"
    assert done["phase"] == "done" and done["result"]["project"] == str(target) and done["result"]["pictures"] == 3
    assert len(list((target / "1_kazari").glob("*.png"))) == 3
    again = page.post("prepare/plan", settings=BASE)
    assert again["update"] and any("3 pictures stay as they are, 0 are written" in sentence for sentence in again["sentences"])
    page.write(settings={**BASE, "shape": {"kind": "centre", "size": [64, 64]}})
    assert Image.open(target / "1_kazari" / "0.png").size == (64, 64)
    assert page.post("prepare/undo", target=str(target))["restored"] and Image.open(target / "1_kazari" / "0.png").size == (96, 128)
    assert not page.post("prepare/undo", target="")["restored"] and not target.exists()
    assert "no project copy" in page.post("prepare/undo", 400, target="")["error"]


def test_unsaved_captions_of_this_browser_go_along(page: Page) -> None:
    from lib_lora.editor import operations

    session = page.bench.opened(page.set).session("me")
    session.apply(operations.read({"kind": "add", "tags": ["edited tag"], "place": "back"}), ["0.png"])
    assert session.unsaved() == 1
    assert any("not saved yet" in sentence for sentence in page.post("prepare/plan", settings=BASE)["sentences"])
    page.write()
    assert text(page.root.parent / "kazari-project" / "1_kazari" / "0.txt") == "1girl, upper body, left hand up, edited tag"
    assert text(page.root / "0.txt") == "1girl, upper body, left hand up"


def test_the_hosts_upscaler_is_used_where_it_is_needed(page: Page) -> None:
    done = page.write(settings={**BASE, "enlarge": {"upscaler": "Red", "below": 192}})
    assert done["phase"] == "done"
    assert Image.open(page.root.parent / "kazari-project" / "1_kazari" / "0.png").getpixel((5, 5)) == (255, 0, 0)


def test_a_preview_shows_the_cut_and_follows_the_face_that_is_marked(page: Page) -> None:
    settings = {"shape": {"kind": "focal", "size": [96, 64]}}
    first = page.post("prepare/preview", settings=settings, key="0.png")
    assert first["size"] == [96, 128] and first["result"] == [96, 64] and first["picture"].startswith("data:image/jpeg;base64,")
    for face in ([30, 0, 60, 30], [30, 100, 60, 128]):
        before = page.post("prepare/face", key="0.png", box=face)["before"]
        found = page.post("prepare/preview", settings=settings, key="0.png")
        assert found["face"] == face and found["box"][1] <= face[1] and found["box"][3] >= face[3]
    assert before == [30, 0, 60, 30]
    page.post("prepare/face", key="0.png", box=None)
    assert page.post("prepare/preview", settings=settings, key="0.png")["box"] == first["box"]
    page.bench.opened(page.set).decide("class", {"0.png": "discard"})
    assert page.post("prepare/preview", settings=settings, key="0.png")["box"] == first["box"]


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("prepare/plan", {"settings": 5}, 400, "settings"),
        ("prepare/plan", {"settings": {"shape": {"kind": "round"}}}, 400, "none of"),
        ("prepare/plan", {"settings": {}, "repeats": {"main": "6"}}, 400, "repeats"),
        ("prepare/plan", {"settings": {}, "repeats": {"main": 0}}, 200, ""),
        ("prepare", {"settings": {}, "repeats": {"main": 0}}, 400, "repeats of main"),
        ("prepare", {"settings": {}, "target": "IN"}, 400, "cannot lie inside"),
        ("prepare", {"settings": {}, "target": "\0"}, 400, "not a path"),
        ("prepare/preview", {"settings": {}, "key": "../0.png"}, 404, "no such picture"),
        ("prepare/face", {"key": "0.png", "box": [0, 0, 500, 5]}, 400, "no box"),
        ("prepare/face", {"key": "0.png", "box": "all"}, 400, "no box"),
        ("prepare/face", {"key": "gone.png", "box": None}, 404, "no such picture"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(page: Page, path: str, body: dict[str, Any], status: int, word: str) -> None:
    before = tree(page.root.parent)
    if body.get("target") == "IN":
        body = {**body, "target": str(page.root / "inside")}
    found = page.post(path, status, **body)
    assert word in found.get("error", "") and (status == 200 or found["error"])
    assert status != 200 or (not found["ready"] and found["problems"])
    assert tree(page.root.parent) == before


def test_a_place_outside_the_opened_folders_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "6_kazari" / "0.png", caption="1girl, upper body")
    for page in served(tmp_path, ToolHost(tmp_path / "host", roots=(tmp_path / "in",))):
        assert "outside" in page.post("prepare", 403, settings=BASE, target=str(tmp_path / "elsewhere"))["error"]
        assert page.write()["phase"] == "done"


def test_cancelled_writing_leaves_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_lora.prepare import build

    begun, on = threading.Event(), threading.Event()
    real = build.render

    def slow(*given: Any) -> Any:
        begun.set()
        assert on.wait(20)
        return real(*given)

    monkeypatch.setattr(build, "render", slow)
    task = page.post("prepare", settings=BASE)["task"]
    assert begun.wait(20)
    assert "under way already" in page.post("prepare", 409, settings=BASE)["error"]
    assert "being written" in page.post("prepare/undo", 400, target="")["error"]
    page.client.post(f"{V1}/dataset/task/cancel", json={"task": task})
    on.set()
    assert page.bench.tasks.wait(task, 20).phase == "cancelled"
    assert [path.name for path in page.root.parent.iterdir()] == ["6_kazari"]


def test_copies_of_a_project_that_is_opened_are_no_originals(page: Page) -> None:
    page.write(settings={**BASE, "copies": {"flip": True}})
    opened = page.bench.open(str(page.root.parent / "kazari-project"))
    assert len(opened.catalog.pictures) == 6 and len(manifest.copies(opened.root)) == 3
    found = page.client.get(f"{V1}/dataset/counts", params={"set": opened.id}).json()
    assert found["main"] + found["face"] + sum(found["others"].values()) == 3


def test_a_project_that_is_opened_has_the_classes_of_its_folders_and_no_faults(tmp_path: Path) -> None:
    for index in range(6):
        caption = ("1girl, close-up", "1girl, upper body", "scenery, no humans")[index % 3]
        picture(tmp_path / "in" / "6_kazari" / f"{index}.png", (320, 200), seed=index * 7, caption=caption)
    for page in served(tmp_path, ToolHost(tmp_path / "host")):
        page.post("kind", keys=["2.png", "5.png", "1.png"], kind="main")
        page.post("kind", keys=["4.png"], kind="face")
        shape = {"kind": "pad", "side": 256}
        page.write(settings={"folders": {"by": "classes", "concept": "neko"}, "copies": {"flip": True}, "shape": shape}, repeats={"main": 2, "face": 3})
        opened = page.bench.open(str(page.root.parent / "kazari-project"))
        page.set = opened.id
        opened.analyst.wait(30)
        assert {shelf.key: shelf.count for shelf in opened.catalog.shelves} == {"2_neko_main": 6, "3_neko_face": 6}
        assert all(opened.kind(key).kind == key.split("/")[0].rpartition("_")[2] for key in opened.pictures)
        assert "2_neko_main" in opened.kind("2_neko_main/1.png").why.text()
        found = {flag.kind for flags in opened.flags(wait=True).values() for flag in flags}
        assert not found & {"flip", "bars", "exact", "near"}, "what Prepare made is no fault"
        assert any(any(seen.bars) for seen in opened.analyst.seen().values()), "there are bars"
        counts = page.client.get(f"{V1}/dataset/counts", params={"set": opened.id}).json()
        assert (counts["main"], counts["face"]) == (3, 3)
        page.post("kind", keys=["3_neko_face/0.png"], kind="full")
        assert opened.kind("3_neko_face/0.png").kind == "full", "a choice has the last word"


def test_an_epoch_has_as_many_pictures_in_repeats_as_in_the_folder(tmp_path: Path) -> None:
    """Mirror images that lie there already: in one class they are one original, in two classes or beside a discarded one they are not."""
    from lib_lora.dataset.config import BucketConfig, CaptionConfig, DataConfig
    from lib_lora.dataset.scan import scan

    root = tmp_path / "in" / "6_kazari"
    shots = {"main": "1girl, cowboy shot", "face": "1girl, close-up"}
    for index in range(20):
        picture(root / f"{index:02}.png", (192, 256), seed=index * 11, caption=shots["face" if index % 5 == 0 else "main"])
    for name, first, caption in (("x", 1, "1girl, cowboy shot"), ("y", 2, "1girl, close-up"), ("z", 3, "1girl, comic")):
        with Image.open(root / f"{first:02}.png") as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / f"{name}.png")
        (root / f"{name}.txt").write_text(caption, encoding="utf-8")
    for page in served(tmp_path, ToolHost(tmp_path / "host")):
        opened = page.bench.opened(page.set)
        opened.analyst.wait(30)
        assert {"01.png", "02.png", "03.png", "x.png", "y.png", "z.png"} <= set(opened.kin().flip)
        counts = page.client.get(f"{V1}/dataset/counts", params={"set": page.set}).json()
        assert (counts["main"], counts["face"]) == (16, 5), "x is 01 again, y is a face of its own, z is discarded"
        answer = page.client.post(f"{V1}/dataset/repeats", json={**{name: counts[name] for name in ("main", "face", "others", "groups")}, "flip": True}).json()
        assert answer["feasible"]
        settings = {"folders": {"by": "classes", "concept": "neko"}, "copies": {"flip": True}}
        page.write(settings=settings, repeats={name: n for name, n in answer["repeats"].items() if n and name in ("main", "face")})
        project = page.root.parent / "kazari-project"
        read = scan(DataConfig(folder=str(project), resolution=(192, 256)), CaptionConfig(), BucketConfig())
        assert sum(item.repeats for item in read.items) == answer["weighted_total"]


class TestHosts:
    def test_a_host_without_tools_gets_plain_ones(self, tmp_path: Path) -> None:
        tools = tools_of(StandInHost(tmp_path))
        assert isinstance(tools, Plain) and tools.upscalers() == ("Lanczos",)
        assert tools.upscale(Image.new("RGB", (3, 4)), "Lanczos", (30, 41)).size == (30, 41)
        assert isinstance(WebUIHost(), PictureTools)


class Scaler:
    """An upscaler of the WebUI as modules/upscaler.py runs it."""

    def __init__(self, modules: Any, factor: float, fails: Exception | None = None, interrupts: bool = False) -> None:
        self.modules, self.factor, self.fails, self.interrupts, self.calls = modules, factor, fails, interrupts, 0

    def do_upscale(self, image: Image.Image, path: str) -> Image.Image:
        assert self.modules.queue.locked(), "the queue is not held"
        self.calls += 1
        if self.fails:
            raise self.fails
        if self.interrupts:
            self.modules.state.interrupted = True
        return image.resize((round(image.width * self.factor), round(image.height * self.factor)))

    def upscale(self, image: Image.Image, scale: float, path: str) -> Image.Image:
        wide, high = int(image.width * scale // 8 * 8), int(image.height * scale // 8 * 8)
        for _ in range(3):
            if (image.width >= wide and image.height >= high) or self.modules.state.interrupted:
                break
            before = image.size
            image = self.do_upscale(image, path)
            if image.size == before:
                break
        return image.resize((wide, high))


class TestWebUI:
    @pytest.fixture
    def modules(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        state = SimpleNamespace(interrupted=True, skipped=False, stopping_generation=False, job="", job_count=0)

        def begin(job: str) -> None:
            state.job, state.interrupted = job, False

        state.begin, state.end = begin, lambda: None
        shared = SimpleNamespace(state=state, parallel_processing_allowed=True, sd_upscalers=[])
        found = SimpleNamespace(state=state, queue=threading.Lock(), shared=shared, seen=[])
        package = ModuleType("modules")
        package.shared, package.call_queue = shared, SimpleNamespace(queue_lock=found.queue)  # type: ignore[attr-defined]
        for name, module in {"modules": package, "modules.shared": shared, "modules.call_queue": package.call_queue}.items():  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, name, module)
        return found

    def add(self, modules: Any, name: str, **how: Any) -> Scaler:
        scaler = Scaler(modules, **how)
        modules.shared.sd_upscalers.append(SimpleNamespace(name=name, scaler=scaler, data_path=f"{name}.pth"))
        return scaler

    def test_the_one_that_does_nothing_is_not_offered(self, modules: Any) -> None:
        for name in ("None", "Lanczos", "4x", "4x"):
            self.add(modules, name, factor=4)
        assert WebUIHost().upscalers() == ("Lanczos", "4x")

    @pytest.mark.parametrize("size", [(400, 300), (133, 101), (1599, 1201)])
    def test_a_picture_gets_exactly_that_size_under_the_queue_and_the_queue_is_free_afterwards(self, modules: Any, size: tuple[int, int]) -> None:
        scaler = self.add(modules, "4x", factor=4)
        assert WebUIHost().upscale(Image.new("RGB", (100, 75)), "4x", size).size == size
        assert scaler.calls >= 1 and not modules.queue.locked() and "do_upscale" not in vars(scaler)

    @pytest.mark.parametrize("name", ["", "None"])
    def test_none_and_shrinking_ask_no_upscaler(self, modules: Any, name: str) -> None:
        scaler = self.add(modules, "4x", factor=4)
        assert webui.upscale(Image.new("RGB", (100, 75)), name, (200, 150), lambda: True).size == (200, 150)
        assert webui.upscale(Image.new("RGB", (100, 75)), "4x", (50, 40), lambda: True).size == (50, 40)
        assert scaler.calls == 0

    @pytest.mark.parametrize(
        ("how", "word"),
        [
            ({"factor": 4, "interrupts": True}, "interrupted"),
            ({"factor": 4, "fails": RuntimeError("out of memory")}, "out of memory"),
            ({"factor": 1}, "gave the picture back as it was"),
        ],
    )
    def test_what_the_webui_would_hide_is_an_error(self, modules: Any, how: dict[str, Any], word: str) -> None:
        self.add(modules, "4x", **how)
        with pytest.raises(HostError, match=word):
            webui.upscale(Image.new("RGB", (100, 75)), "4x", (400, 300), lambda: True)
        assert not modules.queue.locked()

    def test_one_that_is_gone_is_named(self, modules: Any) -> None:
        self.add(modules, "4x", factor=4)
        with pytest.raises(HostError, match="4x"):
            webui.upscale(Image.new("RGB", (100, 75)), "gone", (400, 300), lambda: True)

    def test_the_wait_for_a_busy_webui_can_be_given_up(self, modules: Any) -> None:
        self.add(modules, "4x", factor=4)
        with modules.queue, pytest.raises(BusyError):
            webui.upscale(Image.new("RGB", (100, 75)), "4x", (400, 300), lambda: False)


BY_CLASS = {"folders": {"by": "classes"}}


def test_captions_of_a_trigger_alone_are_prepared_as_main_visuals(page: Page) -> None:
    for file in page.root.glob("*.txt"):
        file.write_text("kazari", encoding="utf-8")
    page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root)})
    found = page.post("prepare/plan", settings=BY_CLASS)
    assert found["ready"] and found["numbers"]["originals"] == 3
    assert any("have no class and go to the main visuals" in one for one in found["warnings"])
    written = page.write(settings=BY_CLASS)
    assert [(one["kind"], one["originals"]) for one in written["result"]["folders"]] == [("main", 3)]


def test_guessed_discards_are_named_even_where_nothing_is_left(page: Page) -> None:
    (page.root / "0.txt").write_text("1girl, comic", encoding="utf-8")
    page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root)})
    found = page.post("prepare/plan", settings=BASE)
    assert any("look like one to discard" in one and "0.png" in one for one in found["warnings"])
    for file in page.root.glob("*.txt"):
        file.write_text("1girl, comic", encoding="utf-8")
    page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root)})
    found = page.post("prepare/plan", settings=BASE)
    assert not found["ready"]
    assert any("look like ones to discard" in one for one in found["problems"])


def test_the_class_is_that_of_the_edited_caption(page: Page) -> None:
    page.post("edit", keys=["0.png"], op={"kind": "set", "text": "1girl, portrait"})
    kinds = {one["kind"]: one["originals"] for one in page.post("prepare/plan", settings=BY_CLASS)["folders"]}
    assert kinds == {"main": 2, "face": 1}


def test_exact_copies_are_named_and_count_once_for_the_repeats(page: Page) -> None:
    def plan() -> dict[str, Any]:
        page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root)})
        opened = page.bench.opened(page.set)
        assert opened.analyst.wait(60)
        opened.kin()
        return page.post("prepare/plan", settings=BY_CLASS)

    before = plan()
    (page.root / "again.png").write_bytes((page.root / "0.png").read_bytes())
    (page.root / "again.txt").write_text("1girl, upper body", encoding="utf-8")
    after = plan()
    assert [one["repeats"] for one in after["folders"]] == [one["repeats"] for one in before["folders"]]
    assert any("exact copy of another" in one and "again.png" in one for one in after["warnings"])


def test_a_caption_that_cannot_be_read_is_named_by_the_plan_and_by_check_of_the_project(page: Page) -> None:
    (page.root / "1.txt").write_bytes("1girl, 猫耳少女".encode("gbk"))
    page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root)})
    settings = {**BASE, "files": {"trigger": "neko"}}
    told = [one for one in page.post("prepare/plan", settings=settings)["warnings"] if "cannot be read" in one]
    assert len(told) == 1 and "1.png" in told[0] and "trigger word alone" in told[0]
    page.write(settings=settings)
    page.set = page.client.post(f"{V1}/dataset/open", json={"folder": str(page.root.parent / "kazari-project")}).json()["set"]
    task = page.post("doctor")["task"]
    page.bench.tasks.wait(task, 60)
    groups = page.client.get(f"{V1}/dataset/task", params={"task": task}).json()["result"]["groups"]
    only = next(group for group in groups if group["kind"] == "trigger_only")
    assert [one.rpartition("/")[2] for one in only["files"]] == ["1.png"], "the trigger is known from what Prepare wrote down"
