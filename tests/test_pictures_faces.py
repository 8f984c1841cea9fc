"""A real graph of the YOLO layout at work: what it finds reaches the classes, once, and is remembered."""

from __future__ import annotations

from pathlib import Path

import drawn
import numpy as np
import pytest

from lib_lora.bench import wire
from lib_lora.pictures import catalog, faces
from lib_lora.pictures.analyst import FACES, Analyst
from lib_lora.pictures.classes import judge
from lib_lora.pictures.faces import Detector

SIDE = 320
SIZES = {"square.png": (400, 400), "wide.jpg": (800, 400), "tall.png": (300, 600)}


def graph(path: Path, boxes: list[tuple[float, float, float, float, float]]) -> Path:
    """A detector that finds these boxes (centre x and y, width, height, score) in whatever it is shown."""
    found = np.zeros((1, 5, 64), np.float32)
    for n, box in enumerate(boxes):
        found[0, :, n] = box
    nodes = [
        wire.Node("ReduceMean", ["images"], ["mean"], {"axes": [1, 2, 3], "keepdims": 1}),
        wire.Node("Reshape", ["mean", "shape"], ["one"]),
        wire.Node("Mul", ["one", "zero"], ["nothing"]),
        wire.Node("Add", ["nothing", "found"], ["output0"]),
    ]
    constants = {"shape": np.array([1, 1, 1], np.int64), "zero": np.zeros((1,), np.float32), "found": found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wire.model(nodes, constants, ("images", [1, 3, SIDE, SIDE]), ("output0", [1, 5, 64])))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, (name, size) in enumerate(SIZES.items()):
        drawn.save(drawn.draw(drawn.scene(n, size)).image, tmp_path / "set" / name)
    return tmp_path / "set"


def analysed(folder: Path, cache: Path) -> Analyst:
    found = Analyst(cache)
    found.start(catalog.read(folder))
    assert found.wait(60)
    return found


def test_without_a_detector_nothing_is_loaded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_session", lambda *_: pytest.fail("a detector was loaded"))
    found = analysed(folder, tmp_path / "cache")
    assert found.progress() == (3, 3)
    assert (dict(found.faces()), found.face_ratio("square.png"), found.problem) == ({}, None, None)


def test_faces_reach_the_classes(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    graph(tmp_path / "cache" / FACES / "faces.onnx", [(160, 160, 80, 144, 0.9), (162, 160, 80, 144, 0.7), (10, 10, 5, 5, 0.1)])
    found = analysed(folder, tmp_path / "cache")
    assert found.progress() == (6, 6)
    assert {key: len(one) for key, one in found.faces().items()} == dict.fromkeys(SIZES, 1)
    boxes = {key: one[0].box for key, one in found.faces().items()}
    expected = {"square.png": (150, 110, 250, 290), "wide.jpg": (300, 20, 500, 380), "tall.png": (75, 165, 225, 435)}
    for key, box in expected.items():
        assert boxes[key] == pytest.approx(box, abs=0.6)
    assert found.face_ratio("square.png") == pytest.approx(0.45, abs=0.005)
    assert judge(["1girl", "full body"], found.face_ratio("square.png")).kind == "face"


def test_faces_are_remembered_and_found_anew_by_another_detector(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    path = graph(tmp_path / "cache" / FACES / "faces.onnx", [(160, 160, 80, 144, 0.9)])
    first = dict(analysed(folder, tmp_path / "cache").faces())
    asked: list[Path] = []

    class Counted(Detector):
        def __init__(self, path: Path) -> None:
            asked.append(path)
            super().__init__(path)

    monkeypatch.setattr("lib_lora.pictures.facing.Detector", Counted)
    assert dict(analysed(folder, tmp_path / "cache").faces()) == first
    assert asked == []
    path.unlink()
    graph(path.with_name("other.onnx"), [(160, 160, 20, 20, 0.9)])
    again = analysed(folder, tmp_path / "cache")
    assert asked == [path.with_name("other.onnx")]
    assert again.face_ratio("square.png") == pytest.approx(0.0625, abs=0.001)


def test_a_changed_picture_is_looked_at_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    graph(tmp_path / "cache" / FACES / "faces.onnx", [(160, 160, 80, 144, 0.9)])
    found = analysed(folder, tmp_path / "cache")
    drawn.save(drawn.draw(drawn.scene(9, (1000, 1000))).image, folder / "square.png")
    (folder / "wide.jpg").unlink()
    found.start(catalog.read(folder))
    assert found.wait(60)
    assert set(found.faces()) == {"square.png", "tall.png"}
    assert found.faces()["square.png"][0].box == pytest.approx((375, 275, 625, 725), abs=1)
    assert found.progress() == (4, 4)


@pytest.mark.parametrize("content", [b"", b"this is no graph"])
def test_a_file_that_is_no_detector_is_told_and_stops_nothing(folder: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache" / FACES / "broken.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    found = analysed(folder, tmp_path / "cache")
    assert len(found.seen()) == 3
    assert found.progress() == (3, 3)
    assert found.problem is not None
    assert "onnx" in str(found.problem)
    assert found.face_ratio("square.png") is None
