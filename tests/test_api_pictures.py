"""The dataset page's routes for pictures, over HTTP: rows, copies, classes, groups, the trash."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from standin import Script, StandInHost

from lib_lora import api
from lib_lora.jobs import Jobs
from lib_lora.pictures.picture import Picture
from lib_lora.tagging import cache
from lib_lora.tagging.labels import Labels
from lib_lora.workbench import Workbench, copies, kin, trash

V1 = api.PREFIX
ME = "browser-1"


def scene(seed: int, size: tuple[int, int] = (640, 640)) -> Image.Image:
    """A picture unlike those of other seeds."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw = ImageDraw.Draw(image)
    for n in range(7):
        x, y = (seed * 97 + n * 131) % size[0], (seed * 61 + n * 173) % size[1]
        draw.rectangle((x, y, x + 40 + 13 * n, y + 30 + 9 * seed % 70), fill=((seed * 40 + n * 30) % 256, (n * 70) % 256, (seed * 90) % 256))
    return image


def draw_set(root: Path) -> Path:
    """A set whose truth is known."""
    main, face = root / "2_main", root / "face"
    for folder in (main, face):
        folder.mkdir(parents=True)
    for n in (1, 2, 10):
        scene(n).save(main / f"{n}.png")
        (main / f"{n}.txt").write_text(f"sks, 1girl, cowboy shot, thing {n}", encoding="utf-8")
    scene(4, (400, 640)).save(face / "near.png")
    (face / "near.txt").write_text("sks, 1girl, close-up", encoding="utf-8")
    scene(5).convert("L").save(face / "grey.png")
    shutil.copy(main / "1.png", face / "again.png")
    scene(6, (300, 300)).save(face / "little.png")
    (face / "broken.png").write_bytes(b"no picture at all")
    return root


@dataclasses.dataclass
class Server:
    """A client, the folder it shows, and what stands behind it."""

    client: TestClient
    bench: Workbench
    root: Path
    state: Path
    id: str = ""

    def get(self, path: str, code: int = 200, **query: Any) -> Any:
        answer = self.client.get(f"{V1}/{path}", params={"set": self.id, **query})
        assert answer.status_code == code, answer.text
        return answer.json()

    def post(self, path: str, code: int = 200, lang: str = "en", **body: Any) -> Any:
        answer = self.client.post(f"{V1}/dataset/{path}?lang={lang}", json={"set": self.id, "client": ME, **body})
        assert answer.status_code == code, answer.text
        return answer.json()

    def open(self) -> Any:
        answer = self.client.post(f"{V1}/dataset/open", json={"folder": str(self.root)})
        assert answer.status_code == 200, answer.text
        self.id = answer.json()["set"]
        return answer.json()

    def settled(self) -> None:
        """Wait until the pixels were looked at and compared."""
        opened = self.bench.opened(self.id)
        assert opened.analyst.wait(60)
        opened.kin()

    def view(self, **body: Any) -> Any:
        return self.post("view", **body)

    def row(self, key: str, lang: str = "en") -> Any:
        return self.view(where={"keys": [key]}, lang=lang)["rows"][0]

    def keys(self, **body: Any) -> list[str]:
        return [row["key"] for row in self.view(**body)["rows"]]


def serve(root: Path, state: Path, roots: tuple[Path, ...] | None = None) -> Server:
    host = StandInHost(state, roots)
    app, bench = FastAPI(), Workbench(host)
    api.mount(app, Jobs(host, Script()), host, bench)
    return Server(TestClient(app), bench, root, state)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = serve(draw_set(tmp_path / "set"), tmp_path / "host")
    found.open()
    yield found
    found.bench.shutdown()


ALL = ["2_main/1.png", "2_main/2.png", "2_main/10.png", "face/again.png", "face/broken.png", "face/grey.png", "face/little.png", "face/near.png"]


def test_rows_are_paged_in_the_order_people_count(server: Server) -> None:
    assert server.keys(sort="folder") == ALL
    assert server.keys(sort="folder", descending=True) == ALL[::-1]
    assert server.keys(sort="folder", offset=2, limit=3) == ALL[2:5]
    assert server.view(offset=0, limit=1)["total"] == len(ALL)
    assert server.keys(sort="folder", offset=8) == []


def test_a_row_says_what_training_would_do(server: Server) -> None:
    row = server.row("face/near.png")
    assert (row["name"], row["folder"], row["size"]) == ("near.png", "face", [400, 640])
    assert (row["caption"], row["tags"], row["changed"]) == ("sks, 1girl, close-up", ["sks", "1girl", "close-up"], False)
    assert row["tokens"] > 0
    # 400×640 at 512²: sd-scripts takes the bucket whose shape is nearest, 384×640, enlarges by what covers it and cuts the rest.
    bucket, box = row["bucket"], row["box"]
    scale = max(bucket[0] / 400, bucket[1] / 640)
    assert row["upscale"] == pytest.approx(scale, abs=0.005)
    kept = (box[2] - box[0]) * (box[3] - box[1]) / (400 * 640)
    assert row["lost"] == pytest.approx(1 - kept, abs=0.005)
    assert box[0] >= 0 <= box[1]
    assert box[2] <= 400.5
    assert box[3] <= 640.5


def test_the_resolution_is_the_models_unless_another_is_asked(server: Server) -> None:
    assert (server.view()["resolution"], server.view()["native"]) == (512, 512)
    assert server.view(resolution=1024)["resolution"] == 1024
    assert server.row("face/near.png")["bucket"] != server.view(where={"keys": ["face/near.png"]}, resolution=1024)["rows"][0]["bucket"]
    assert "256" in server.post("view", 400, resolution=99)["error"]


def test_small_pictures_are_told_for_the_resolution_shown(server: Server) -> None:
    def small(resolution: int) -> list[str]:
        return server.keys(where={"flag": "small"}, resolution=resolution, sort="folder")

    assert small(512) == ["face/little.png"]
    assert small(1024) == [key for key in ALL if key != "face/broken.png"]


def test_each_browser_has_a_resolution_of_its_own(server: Server) -> None:
    def small(client: str, **body: Any) -> list[str]:
        rows = server.post("view", client=client, where={"flag": "small"}, sort="folder", **body)["rows"]
        return [row["key"] for row in rows]

    def edited(client: str) -> int:
        body = {"op": {"kind": "add", "tags": ["x"], "place": "back"}, "where": {"flag": "small"}, "preview": True}
        return int(server.post("edit", client=client, **body)["changed"])

    server.settled()
    large = [key for key in ALL if key != "face/broken.png"]
    assert small("one", resolution=1024) == large
    assert small("two") == ["face/little.png"]
    # Whatever the other looks at: what is done to "all that is small" is done to what this one sees.
    assert (edited("one"), edited("two")) == (len(large), 1)
    opened = server.bench.opened(server.id)
    held = opened.flags(session=opened.session("one"))
    assert small("two", resolution=0) == ["face/little.png"]
    assert opened.flags(session=opened.session("one")) is held, "it is not made anew because of the other"


def test_what_pixels_say_is_found_and_filtered(server: Server) -> None:
    server.settled()
    assert server.keys(where={"flag": "grey"}) == ["face/grey.png"]
    assert server.keys(where={"flag": "exact"}, sort="folder") == ["2_main/1.png", "face/again.png"]
    assert server.keys(where={"flag": "flaw"}) == ["face/broken.png"]
    assert sorted(server.keys(where={"flag": "no_caption"})) == ["face/again.png", "face/grey.png", "face/little.png"]
    assert server.view()["flags"]["exact"] == 2
    flag = next(flag for flag in server.row("face/again.png")["flags"] if flag["kind"] == "exact")
    assert "2_main/1.png" in flag["text"]
    assert server.row("face/again.png")["others"] == ["2_main/1.png"]


def test_folders_and_classes_are_counted_and_filtered(server: Server) -> None:
    found = server.view()
    assert {one["key"]: (one["repeats"], one["count"]) for one in found["folders"]} == {"2_main": (2, 3), "face": (None, 5)}
    assert sum(found["kinds"].values()) == found["images"] == len(ALL)
    assert server.keys(where={"folder": "face"}, sort="folder") == ALL[3:]
    assert server.keys(where={"kind": "face"}) == ["face/near.png"]
    assert set(server.keys(where={"kind": "main"})) >= set(ALL[:3])


def test_a_class_that_was_chosen_stays_and_is_taken_back(server: Server) -> None:
    guessed = server.row("2_main/1.png")["kind"]
    assert guessed["by"] == "tags"
    before = server.post("kind", keys=["2_main/1.png", "face/near.png"], kind="full")["before"]
    assert server.row("2_main/1.png")["kind"] | {"why": ""} == {"name": "full", "confidence": 1, "why": "", "by": "hand"}
    assert sorted(server.keys(where={"kind": "full"})) == ["2_main/1.png", "face/near.png"]
    again = serve(server.root, server.state)
    again.open()
    assert again.row("2_main/1.png")["kind"]["name"] == "full"
    again.bench.shutdown()
    assert server.post("kind", before=before)["before"] == {"2_main/1.png": "full", "face/near.png": "full"}
    assert server.row("2_main/1.png")["kind"] == guessed


def test_what_a_tagger_says_sorts_a_picture_without_a_caption(server: Server) -> None:
    key = "face/grey.png"
    assert server.row(key)["kind"]["name"] == ""
    opened = server.bench.opened(server.id)
    kept = cache.at(opened.state, "d" * 64)
    kept.begin(Labels(("general", "1girl", "full_body"), ("rating", "general", "general")), "a tagger")
    kept.add([cache.Entry(opened.pictures[key], "ab" * 32, np.array([0.9, 0.98, 0.93], np.float32))])
    assert server.row(key)["kind"]["name"] == "full"
    assert key in server.keys(where={"kind": "full"})
    server.post("kind", keys=[key], kind="face")
    assert server.row(key)["kind"]["name"] == "face"


def test_flags_follow_edits_that_are_not_saved(server: Server) -> None:
    key = "face/grey.png"

    def edit(text: str) -> None:
        server.post("edit", client=ME, keys=[key], op={"kind": "set", "text": text})

    def flags() -> set[str]:
        return {flag["kind"] for flag in server.row(key)["flags"]}

    assert "no_caption" in flags() and key in server.keys(where={"flag": "no_caption"})
    before = server.view()["flags"]["no_caption"]
    edit("sks, cat ears, Cat Ears")
    assert "no_caption" not in flags() and "lint" in flags()
    assert key not in server.keys(where={"flag": "no_caption"}) and key in server.keys(where={"flag": "lint"})
    assert server.view()["flags"]["no_caption"] == before - 1
    edit("sks, cat ears")
    assert not {"no_caption", "lint"} & flags()


def test_only_known_classes_of_known_pictures(server: Server) -> None:
    told = server.post("kind", 400, keys=["2_main/1.png"], kind="portrait")["error"]
    assert "discard" in told
    assert server.post("kind", 404, keys=["../secret.png"], kind="main")["error"]
    assert server.post("kind", 400, before=["2_main/1.png"])["error"]
    assert server.post("kind", 400, before={"2_main/1.png": 3})["error"]


def test_groups_are_made_and_unmade_by_hand(server: Server) -> None:
    server.settled()
    keys = ["2_main/10.png", "2_main/2.png"]
    assert server.row(keys[0])["group"] is None
    before = server.post("group", keys=keys, group=keys[0])["before"]
    assert server.row(keys[1])["group"] == {"name": keys[0], "keys": sorted(keys)}
    assert sorted(server.keys(where={"flag": "group"})) == sorted(keys)
    server.post("group", keys=[keys[1]], group="")
    assert server.row(keys[0])["group"] is None  # one alone is none
    server.post("group", before=before)
    assert server.keys(where={"flag": "group"}) == []


def test_decisions_weigh_more_than_what_was_found() -> None:
    found = [("a", "b", "c"), ("d", "e")]
    keys = ["a", "b", "c", "d", "e", "f"]
    assert kin.decided(found, {}, keys) == {"a": ("a", "b", "c"), "d": ("d", "e")}
    assert kin.decided(found, {"c": "", "f": "d"}, keys) == {"a": ("a", "b"), "d": ("d", "e", "f")}
    assert kin.decided(found, {"b": "x", "c": "x"}, keys) == {"d": ("d", "e"), "x": ("b", "c")}
    assert kin.decided(found, {}, ["a", "d", "e"]) == {"d": ("d", "e")}


def test_what_is_left_of_the_kin_is_what_would_be_found_anew(server: Server) -> None:
    scene(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(server.root / "mirrored.png")
    server.open()
    server.settled()
    server.post("trash", keys=["2_main/1.png", "2_main/2.png"])
    opened = server.bench.opened(server.id)
    assert server.get("dataset/progress")["settled"]
    assert opened.kin() == kin.find({key: seen for key, seen in opened.analyst.seen().items() if key in opened.pictures})
    assert server.row("face/again.png")["others"] == []
    assert server.row("mirrored.png")["others"] == []


# ---- copies


def loaded(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert "immutable" in answer.headers["cache-control"]
    return Image.open(io.BytesIO(answer.content))


def test_copies_are_small_upright_and_kept_for_ever(server: Server) -> None:
    turned = scene(8, (1200, 2400))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned clockwise: seen, it is 2400 wide
    turned.save(server.root / "turned.jpg", exif=exif)
    server.open()
    row = server.row("turned.jpg")
    assert row["size"] == [2400, 1200]
    assert loaded(server.client.get(f"{V1}/{row['thumb']}")).size == (256, 128)
    assert loaded(server.client.get(f"{V1}/{row['picture']}")).size == (1600, 800)


def test_an_address_changes_with_its_picture(server: Server) -> None:
    before = server.row("2_main/1.png")["thumb"]
    scene(9, (320, 640)).save(server.root / "2_main" / "1.png")
    server.open()
    after = server.row("2_main/1.png")["thumb"]
    assert after != before
    assert loaded(server.client.get(f"{V1}/{after}")).size == (128, 256)


@pytest.mark.parametrize("key", ["../secret.png", "2_main/../../secret.png", "/etc/passwd", "", "2_main/1.txt", "C:\\secret.png"])
@pytest.mark.parametrize("path", ["dataset/thumb", "dataset/picture"])
def test_only_what_the_catalogue_holds_has_an_address(server: Server, path: str, key: str) -> None:
    scene(1).save(server.root.parent / "secret.png")
    assert "error" in server.get(path, 404, key=key)


def test_a_broken_picture_has_a_row_and_no_copy(server: Server) -> None:
    row = server.row("face/broken.png")
    assert (row["thumb"], row["picture"], row["bucket"]) == ("", "", None)
    assert row["flaw"]
    assert "error" in server.get("dataset/thumb", 400, key="face/broken.png")


def test_a_folder_is_shown_as_it_was_typed_and_is_one_set(server: Server) -> None:
    typed = f"{server.root}/../set"
    answer = server.client.post(f"{V1}/dataset/open", json={"folder": typed}).json()
    assert (answer["set"], answer["root"]) == (server.id, str(Path(typed)))
    assert server.open()["root"] == str(server.root)


def test_folders_outside_of_the_opened_ones_stay_closed(tmp_path: Path) -> None:
    root = draw_set(tmp_path / "set")
    closed = serve(root, tmp_path / "host", (tmp_path / "elsewhere",))
    answer = closed.client.post(f"{V1}/dataset/open", json={"folder": str(root)})
    assert answer.status_code in (400, 403)
    assert "elsewhere" in answer.json()["error"]


# ---- the trash


def test_of_copies_the_one_with_the_work_in_it_is_kept(server: Server) -> None:
    server.settled()
    # 2_main/1.png has a caption, face/again.png is the same picture without one.
    assert server.post("copies", flag="exact") == {"keep": ["2_main/1.png"], "go": ["face/again.png"]}
    row = next(one for one in server.view()["rows"] if one["key"] == "face/again.png")
    assert [(one["key"], one["caption"]) for one in row["copies"]] == [("2_main/1.png", True), ("face/again.png", False)]
    assert server.post("copies", flag="near") == {"keep": [], "go": []}
    # The larger file does not make up for a caption, and a copy of a copy is a copy.
    others = {"a": ("b",), "b": ("a", "c"), "c": ("b",), "d": ("gone",)}
    assert copies.sets(others, {"a", "b", "c", "d"}) == [("a", "b", "c")]
    pictures = {key: Picture(key, Path(key), size, "", None, (100, 0)) for key, size in {"a": (10, 10), "b": (20, 20), "c": (20, 20)}.items()}
    assert copies.best("abc", pictures, lambda key: key == "a", ()) == "a"
    assert copies.best("abc", pictures, lambda key: False, {"c"}) == "c"
    assert copies.best("abc", pictures, lambda key: False, ()) == "b"


def texts(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_was_thrown_away_comes_back_as_it_was(server: Server) -> None:
    before = texts(server.root)
    found = server.post("trash", keys=["2_main/2.png", "face/grey.png", "face/broken.png"])
    assert found["images"] == len(ALL) - 3
    assert set(before) - set(texts(server.root)) == {"2_main/2.png", "2_main/2.txt", "face/grey.png", "face/broken.png"}
    assert server.keys(sort="folder") == [key for key in ALL if key not in ("2_main/2.png", "face/grey.png", "face/broken.png")]
    assert {one["key"]: one["count"] for one in server.view()["folders"]} == {"2_main": 2, "face": 3}
    listed = server.get("dataset/trash/list")["trash"]
    assert [(one["trash"], sorted(one["keys"])) for one in listed] == [(found["trash"], ["2_main/2.png", "face/broken.png", "face/grey.png"])]
    back = server.post("trash/undo", trash=found["trash"])
    assert (back["images"], back["problems"]) == (len(ALL), [])
    assert texts(server.root) == before
    assert server.get("dataset/trash/list")["trash"] == []


def test_a_shared_caption_stays_with_the_picture_that_stays(server: Server) -> None:
    scene(3).save(server.root / "2_main" / "1.jpg")
    server.open()
    before = texts(server.root)
    first = server.post("trash", keys=["2_main/1.png"])["trash"]
    assert (server.root / "2_main" / "1.txt").read_text(encoding="utf-8") == "sks, 1girl, cowboy shot, thing 1"
    second = server.post("trash", keys=["2_main/1.jpg"])["trash"]
    assert not (server.root / "2_main" / "1.txt").exists()
    server.post("trash/undo", trash=second)
    server.post("trash/undo", trash=first)
    assert texts(server.root) == before


def test_both_pictures_of_a_caption_go_and_come_together(server: Server) -> None:
    scene(3).save(server.root / "2_main" / "1.jpg")
    server.open()
    before = texts(server.root)
    found = server.post("trash", keys=["2_main/1.png", "2_main/1.jpg"])
    assert not any(name.startswith("2_main/1.") for name in texts(server.root))
    server.post("trash/undo", trash=found["trash"])
    assert texts(server.root) == before


def test_nothing_that_lies_there_meanwhile_is_overwritten(server: Server) -> None:
    found = server.post("trash", keys=["2_main/2.png"])
    other = scene(77)
    other.save(server.root / "2_main" / "2.png")
    told = server.post("trash/undo", 400, trash=found["trash"])["error"]
    assert "2_main/2.png" in told
    assert Image.open(server.root / "2_main" / "2.png").tobytes() == other.tobytes()
    assert server.get("dataset/trash/list")["trash"][0]["keys"] == ["2_main/2.png"]


def test_a_picture_that_cannot_be_moved_stays_whole(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = texts(server.root)
    real = trash._move

    def held(source: Path, target: Path) -> None:
        if source.name == "2.png":
            raise PermissionError(13, "in use by another program")
        real(source, target)

    monkeypatch.setattr(trash, "_move", held)
    found = server.post("trash", keys=["2_main/1.png", "2_main/2.png"])
    assert found["keys"] == ["2_main/1.png"]
    assert "2_main/2.png" in found["problems"][0]
    assert "in use by another program" in found["problems"][0]
    assert set(before) - set(texts(server.root)) == {"2_main/1.png", "2_main/1.txt"}
    assert server.post("trash", 400, keys=["2_main/2.png"])["error"]
    monkeypatch.undo()
    server.post("trash/undo", trash=found["trash"])
    assert texts(server.root) == before


def test_across_disks_a_picture_is_copied_whole_first(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename between disks fails: then nothing is removed before all of it is there."""
    before = texts(server.root)

    def never(self: Path, target: Path) -> Path:
        raise OSError(18, "Invalid cross-device link")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", never)
        found = server.post("trash", keys=["2_main/2.png"])
        assert "2_main/2.png" not in texts(server.root)
        server.post("trash/undo", trash=found["trash"])
    assert texts(server.root) == before


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("relative", [True, False])
def test_pictures_that_are_links_come_back_as_the_links_they_were(server: Server, relative: bool) -> None:
    elsewhere = server.root.parent / "elsewhere"
    elsewhere.mkdir()
    scene(21).save(elsewhere / "far.png")
    (elsewhere / "far.txt").write_text("far away", encoding="utf-8")
    leads = "../../elsewhere/far" if relative else str(elsewhere / "far")
    for suffix in (".png", ".txt"):
        (server.root / "face" / f"link{suffix}").symlink_to(leads + suffix)
    (server.root / "face" / "dead.png").symlink_to("../nowhere.png")
    server.open()
    before = texts(server.root)
    found = server.post("trash", keys=["face/link.png", "face/dead.png"])
    assert not any(path.stem in ("link", "dead") for path in (server.root / "face").iterdir())
    listed = server.get("dataset/trash/list")["trash"]
    assert sorted(listed[0]["keys"]) == ["face/dead.png", "face/link.png"]
    kept = server.bench.opened(server.id).trash.folder / found["trash"] / "face"
    assert (kept / "link.png").read_bytes() == (elsewhere / "far.png").read_bytes(), "it can be looked at in the trash"
    back = server.post("trash/undo", trash=found["trash"])
    assert (sorted(back["keys"]), back["problems"]) == (["face/dead.png", "face/link.png"], [])
    assert (server.root / "face" / "link.png").readlink() == Path(f"{leads}.png")
    assert (server.root / "face" / "link.txt").readlink() == Path(f"{leads}.txt")
    assert (server.root / "face" / "dead.png").readlink() == Path("../nowhere.png")
    assert texts(server.root) == before
    assert server.get("dataset/trash/list")["trash"] == []
    assert (elsewhere / "far.png").is_file()


def test_nothing_is_deleted_with_the_trash_while_something_lies_in_it(server: Server) -> None:
    found = server.post("trash", keys=["2_main/1.png", "2_main/2.png"])
    kept = server.bench.opened(server.id).trash.folder / found["trash"]
    # What the list does not know any more, as an older or newer program may have left it.
    (kept / "2_main" / "2.png").rename(kept / "2_main" / "other.png")
    assert server.post("trash/undo", trash=found["trash"])["keys"] == ["2_main/1.png"]
    assert (kept / "2_main" / "other.png").is_file()
    assert (kept / "2_main" / "2.txt").is_file()
    assert server.post("trash/undo", 404, trash=found["trash"])["error"]
    assert (kept / "2_main" / "other.png").is_file()


def test_a_caption_written_meanwhile_stays_and_the_old_one_is_kept(server: Server) -> None:
    text = server.root / "2_main" / "2.txt"
    old = text.read_bytes()
    found = server.post("trash", keys=["2_main/2.png"])
    text.write_text("a newer one", encoding="utf-8")
    back = server.post("trash/undo", trash=found["trash"])
    assert back["keys"] == ["2_main/2.png"]
    assert text.read_text(encoding="utf-8") == "a newer one"
    kept = server.bench.opened(server.id).trash.folder / found["trash"] / "2_main" / "2.txt"
    assert kept.read_bytes() == old
    assert str(kept) in back["problems"][0]


def test_a_caption_that_is_the_same_is_not_kept_twice(server: Server) -> None:
    text = server.root / "2_main" / "2.txt"
    old = text.read_bytes()
    found = server.post("trash", keys=["2_main/2.png"])
    text.write_bytes(old)
    assert server.post("trash/undo", trash=found["trash"])["problems"] == []
    assert not (server.bench.opened(server.id).trash.folder / found["trash"]).exists()


@pytest.mark.parametrize("name", ["", "..", "../../set", "20200101-000000-abcdef", "/etc"])
def test_only_our_own_trash_is_brought_back(server: Server, name: str) -> None:
    assert "error" in server.post("trash/undo", 404, trash=name)


# ---- following the work


def test_progress_tells_when_to_ask_again(server: Server) -> None:
    server.settled()
    found = server.get("dataset/progress")
    assert found["settled"]
    assert found["done"] == found["total"] == len(ALL) - 1
    assert server.view()["version"] == found["version"]
    server.post("kind", keys=["2_main/1.png"], kind="face")
    assert server.get("dataset/progress")["version"] != found["version"]


def test_a_server_that_was_restarted_asks_for_the_folder(server: Server) -> None:
    other = serve(server.root, server.state)
    other.id = server.id
    assert "open it again" in other.get("dataset/progress", 404)["error"]
    other.open()
    assert other.keys(sort="folder") == ALL
    other.bench.shutdown()


def test_every_sentence_speaks_chinese(server: Server) -> None:
    server.settled()
    server.post("kind", keys=["2_main/2.png"], kind="face")
    rows = server.view(lang="zh")["rows"]
    said = [flag["text"] for row in rows for flag in row["flags"]] + [row["kind"]["why"] for row in rows] + [row["flaw"] for row in rows if row["flaw"]]
    assert len(said) > len(ALL)
    assert not [one for one in said if one and not any("\u4e00" <= letter <= "\u9fff" for letter in one)]


def test_what_a_page_says_of_itself_is_refused_by_no_route(server: Server) -> None:
    """A page sends its set and its browser with everything; a field that nobody knows is refused all the same."""
    assert "no task" in server.post("task/cancel", 404, task="x")["error"]
    assert "colour" in server.post("kind", 400, keys=[], kind="main", colour="red")["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"sort": "beauty"},
        {"where": {"kinds": "face"}},
        {"where": 3},
        {"offset": "many"},
        {"where": {"search": {"text": "(", "mode": "regex"}}},
        {"resolution": -1},
    ],
)
def test_a_bad_question_gets_a_sentence(server: Server, body: dict[str, Any]) -> None:
    assert len(server.post("view", 400, **body)["error"]) > 10


def test_sorts_put_what_wants_a_look_first(server: Server) -> None:
    lost = [row["lost"] for row in server.view(sort="lost")["rows"] if row["lost"] is not None]
    assert lost == sorted(lost, reverse=True)
    sizes = [row["size"][0] * row["size"][1] for row in server.view(sort="size")["rows"]]
    assert sizes == sorted(sizes)
    tokens = [row["tokens"] for row in server.view(sort="tokens")["rows"]]
    assert tokens == sorted(tokens, reverse=True)
    kinds = [row["kind"]["name"] or "none" for row in server.view(sort="kind")["rows"]]
    order = ["face", "main", "full", "discard", "none"]
    assert kinds == sorted(kinds, key=order.index)


def test_a_picture_that_leads_out_by_now_is_not_shown(tmp_path: Path) -> None:
    root, secret = draw_set(tmp_path / "open" / "set"), tmp_path / "secret.png"
    scene(9).save(secret)
    server = serve(root, tmp_path / "open" / "state", (tmp_path / "open",))
    try:
        server.open()
        ask = {"set": server.id, "key": "2_main/1.png"}
        assert server.client.get(f"{V1}/dataset/thumb", params=ask).status_code == 200
        path = root / "2_main" / "1.png"
        path.unlink()
        try:
            path.symlink_to(secret)
        except OSError:
            pytest.skip("this system makes no links for us")
        for address in ("thumb", "picture"):
            assert server.client.get(f"{V1}/dataset/{address}", params=ask).status_code == 404
    finally:
        server.bench.shutdown()
