"""Classes by tags and faces, against sets whose truth is known; crop previews; the face detector's arithmetic."""

from __future__ import annotations

import random
from pathlib import Path

import drawn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_lora.core.errors import DataError, HostError, MissingDependency
from lib_lora.dataset import buckets
from lib_lora.dataset.config import BucketConfig
from lib_lora.pictures import faces, places
from lib_lora.pictures.classes import KINDS, joined, judge

PICTURES = 2000
ALWAYS = (
    "highres",
    "looking at viewer",
    "long hair",
    "smile",
    "dress",
    "blue eyes",
    "simple background",
    "standing",
    "hat",
    "flower",
    "outdoors",
    "open mouth",
)
FRAMING = {
    "face": ["close-up", "portrait"],
    "main": ["cowboy shot", "upper body", ""],
    "full": ["full body", "wide shot", "barefoot", "toes", "very wide shot"],
}
DISCARDED = (
    {"multiple views", "1girl", "full body"},
    {"reference sheet", "1girl"},
    {"comic", "1girl", "upper body"},
    {"4koma", "2girls"},
    {"scenery", "no humans", "sky"},
    {"3girls", "upper body"},
    {"2girls", "1boy", "full body"},
    {"6+girls", "multiple girls"},
    {"1girl", "multiple boys"},
    {"mountain", "sunset"},
)


def tagged(seed: int) -> tuple[str, dict[str, float]]:
    """What a tagger would say of a picture of a known class: its signs, the usual tags, and noise below the threshold."""
    rng = random.Random(seed)
    kind = rng.choice(("face", "main", "main", "full", "discard"))
    people = rng.choice(("1girl", "1girl", "1boy", "2girls"))
    signs = set(rng.choice(DISCARDED)) if kind == "discard" else {people, rng.choice(FRAMING[kind])} - {""}
    tags = {tag: rng.uniform(0.4, 0.99) for tag in signs | set(rng.sample(ALWAYS, 6))}
    others = ("close-up", "full body", "multiple views", "comic", "portrait", "3girls")
    tags.update({tag: rng.uniform(0.01, 0.34) for tag in rng.sample(others, 3) if tag not in tags})
    named = {tag.replace(" ", "_") if rng.random() < 0.5 else tag: sure for tag, sure in tags.items()}
    return kind, dict(sorted(named.items(), key=lambda one: rng.random()))


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_those_of_the_rules(kind: str) -> None:
    pairs = [(true, judge(tags).kind) for true, tags in map(tagged, range(PICTURES))]
    right = sum(true == found == kind for true, found in pairs)
    precision, recall = right / sum(found == kind for _, found in pairs), right / sum(true == kind for true, _ in pairs)
    print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {sum(true == kind for true, _ in pairs)} among {PICTURES}")
    assert precision >= 0.95
    assert recall >= 0.95


RULES = [
    (["1girl", "close-up"], "face"),
    (["1girl", "portrait", "full body"], "face"),
    (["1girl", "face_focus"], "face"),
    (["1girl", "full_body"], "full"),
    (["1girl", "toes", "sitting"], "full"),
    (["1girl", "boots"], "full"),
    (["1girl", "boots", "cowboy shot"], "main"),
    (["1girl", "feet out of frame", "feet"], "main"),
    (["1girl"], "main"),
    (["solo", "sitting"], "main"),
    (["2girls", "upper body"], "main"),
    (["1girl", "multiple_views", "close-up"], "discard"),
    (["3girls"], "discard"),
    (["2girls", "multiple girls"], "main"),
    (["crowd", "1girl"], "discard"),
    (["no humans", "cat"], "discard"),
    (["no humans", "scenery"], "discard"),
    # Captions that leave people to a trigger word, or that are about something else, do not tell the class.
    (["sks"], ""),
    (["ohwx", "blue eyes"], ""),
    (["kazari", "flower crown", "smile", "school uniform"], ""),
    (["kazari", "upper body", "smile"], "main"),
    (["kazari", "full body"], "full"),
    (["kazari", "portrait"], "face"),
    (["kazari", "multiple views"], "discard"),
    (["a photo of a cat"], ""),
    (["a close-up of a red sports car parked in front of a house"], ""),
    (["mountain", "landscape", "sunset"], ""),
    (["sks boots", "boots"], ""),
    (["apple"], ""),
    (["1girl", r"\(close-up\)"], "main"),
    (["a portrait photo of a smiling woman", "orange space suit"], "face"),
    (["a man in a long coat stands on a lawn"], "main"),
    ([], ""),
]


@pytest.mark.parametrize(("tags", "kind"), RULES)
def test_the_rules(tags: list[str], kind: str) -> None:
    found = judge(tags)
    assert found.kind == kind
    assert (found.confidence > 0) == bool(kind)
    assert str(found.why)


def test_a_tagger_would_have_seen_a_person() -> None:
    assert judge({"apple": 0.9}).kind == "discard"
    assert judge({"scenery": 0.9, "sky": 0.8}).kind == "discard"
    assert judge({"boots": 0.9, "1girl": 0.2}).kind == "discard"


def test_a_face_box_has_the_last_word_on_faces() -> None:
    assert judge(["1girl", "full body"], 0.45).kind == "face"
    assert judge(["1girl", "portrait"], 0.2).kind == "main"
    assert judge(["1girl", "portrait", "full body"], 0.1).kind == "full"
    assert judge([], 0.5).kind == "face"
    assert judge([], 0.2).kind == "main"
    assert judge(["multiple views"], 0.5).kind == "discard"
    assert judge(["apple"], 0.5).kind == "face"


def test_confidence_falls_where_tags_disagree_and_follows_the_tagger() -> None:
    assert judge({"1girl": 0.9, "full body": 0.95}).confidence > judge({"1girl": 0.9, "full body": 0.5}).confidence
    assert judge(["1girl", "portrait"]).confidence > judge(["1girl", "portrait", "full body"]).confidence
    assert judge(["1girl", "full body"]).confidence > judge(["1girl"]).confidence
    assert judge(["1girl"], 0.8).confidence > judge(["1girl"], 0.41).confidence


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.floats(0, 1)), st.none() | st.floats(0, 1))
def test_any_tags_are_judged(tags: dict[str, float], ratio: float | None) -> None:
    found = judge(tags, ratio)
    assert found.kind in (*KINDS, "")
    assert 0 <= found.confidence <= 1
    assert judge(dict(reversed(tags.items())), ratio) == found


@pytest.mark.parametrize(
    ("size", "no_upscale", "bucket", "lost"),
    [
        ((1000, 1500), False, (640, 896), 0.067),
        ((832, 1216), False, (640, 896), 0.042),
        ((500, 700), False, (640, 896), 0.0),
        ((500, 700), True, (448, 640), 0.181),
        ((1920, 1080), False, (1024, 576), 0.0),
    ],
)
def test_previews_are_sd_scripts_crops(size: tuple[int, int], no_upscale: bool, bucket: tuple[int, int], lost: float) -> None:
    """At 768² with buckets from 256 to 1024."""
    found = places.preview(size, 768, BucketConfig(min=256, max=1024, no_upscale=no_upscale))
    assert (found.bucket, round(found.lost, 3)) == (bucket, lost)


@settings(deadline=None)
@given(st.integers(64, 4000), st.integers(64, 4000), st.sampled_from([512, 768, 1024]), st.booleans())
def test_a_preview_shows_what_training_keeps(width: int, height: int, resolution: int, no_upscale: bool) -> None:
    config = BucketConfig(no_upscale=no_upscale)
    try:
        found = places.preview((width, height), (resolution, resolution), config)
    except DataError:
        return
    placed = buckets.place((width, height), (resolution, resolution), config)
    assert (found.bucket, found.resized) == (placed.bucket, placed.resized)
    left, top, right, bottom = found.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    kept = (right - left) * (bottom - top) / (width * height)
    assert abs(1 - kept - found.lost) < 1e-6
    assert found.upscale <= 1 or not no_upscale


def test_what_has_no_bucket_is_told() -> None:
    with pytest.raises(DataError, match="too small"):
        places.preview((40, 700), 512, BucketConfig())


def output(boxes: list[tuple[float, float, float, float, float]], newer: bool) -> np.ndarray:
    rows = np.zeros((50, 5 if newer else 6), np.float32)
    for n, (left, top, right, bottom, score) in enumerate(boxes):
        rows[n, :5] = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, score)
    if not newer:
        rows[:, 5] = 1
    return (rows.T if newer else rows)[None]


class Session:
    """Stands for a graph: says where a face is that `drawn` put there, twice and with noise."""

    def __init__(self, boxes: list[tuple[float, float, float, float, float]], newer: bool, shape: list[object]) -> None:
        self.boxes, self.newer, self.shape, self.asked = boxes, newer, shape, []

    name = "images"

    def get_inputs(self) -> list[Session]:
        return [self]

    def run(self, _: None, values: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.asked.append(values["images"])
        return [output(self.boxes, self.newer)]


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("size", [(300, 400), (400, 300), (1000, 500)])
def test_boxes_come_back_in_pixels_of_the_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, newer: bool, size: tuple[int, int]) -> None:
    shown = drawn.draw(drawn.scene(3, size))
    scale = 320 / max(size)
    left, top = (320 - size[0] * scale) / 2, (320 - size[1] * scale) / 2
    box = tuple(value * scale + (left if n % 2 == 0 else top) for n, value in enumerate(shown.face))
    beside = tuple(value + 3 for value in box)
    session = Session([(*box, 0.9), (*beside, 0.8), (5, 5, 9, 9, 0.2)], newer, [1, 3, 320, 320])
    monkeypatch.setattr(faces, "_session", lambda *_: session)
    found = faces.Detector(tmp_path).faces(shown.image)
    assert len(found) == 1
    inside = [min(max(value, 0), size[n % 2]) for n, value in enumerate(shown.face)]
    assert np.abs(np.array(found[0].box) - inside).max() < 2
    assert found[0].score == pytest.approx(0.9)
    assert session.asked[0].shape == (1, 3, 320, 320)
    assert 0 <= session.asked[0].min() <= session.asked[0].max() <= 1
    assert faces.ratio(found, size[1]) == pytest.approx((inside[3] - inside[1]) / size[1], abs=0.01)


def test_a_free_size_is_640_and_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    session = Session([], True, ["batch", 3, "height", "width"])
    monkeypatch.setattr(faces, "_session", lambda *_: session)
    detector = faces.Detector(tmp_path)
    assert detector.faces(drawn.draw(drawn.scene(1)).image) == ()
    assert session.asked[0].shape == (1, 3, 640, 640)
    session.shape = [1, 448, 448, 3]
    with pytest.raises(HostError, match="YOLO"):
        faces.Detector(tmp_path)


def test_no_detector_is_no_ratio(tmp_path: Path) -> None:
    assert faces.found_in(tmp_path / "none") is None
    assert faces.found_in(tmp_path) is None
    (tmp_path / "b.onnx").write_bytes(b"no graph")
    (tmp_path / "a.onnx").write_bytes(b"no graph")
    assert faces.found_in(tmp_path) == tmp_path / "a.onnx"
    assert faces.ratio((), 100) is None
    with pytest.raises((HostError, MissingDependency)):
        faces.Detector(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("caption", "scores", "kind"),
    [
        ("1girl, cowboy shot", {"hat": 0.9, "smile": 0.8}, "main"),
        ("1girl, cowboy shot", {"full body": 0.99, "shoes": 0.9, "1girl": 0.99}, "main"),
        ("1girl, solo", {"full_body": 0.9, "multiple girls": 0.9, "no humans": 0.6}, "full"),
        ("neko, smile", {"1girl": 0.99, "portrait": 0.9}, "face"),
        ("neko, smile", {"no humans": 0.9}, "discard"),
        ("1girl, cowboy shot", {"multiple views": 0.9}, "discard"),
        ("", {"1girl": 0.99, "close-up": 0.9}, "face"),
    ],
)
def test_a_caption_has_the_word_before_a_tagger(caption: str, scores: dict[str, float], kind: str) -> None:
    tags = [tag for tag in caption.split(", ") if tag]
    assert judge(joined(tags, scores)).kind == kind
    assert joined(tags, {}) == tuple(tags), "without a tagger a caption is judged as one"
