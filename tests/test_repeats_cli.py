"""`python -m lib_lora repeats`: one document on stdout, sentences for people, and how bad words end."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_lora.cli import main

KEYS = ["feasible", "trimmed", "group_size", "repeats", "total", "weighted_total", "ratio", "warnings", "advice", "alternative"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["repeats", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    ended, out, err = run(capsys, *arguments, "--json")
    assert ended == code, err
    return json.loads(out)


def paint(folder: Path, names: list[str], caption: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        Image.new("RGB", (64, 64), (place * 7 % 256, 90, 160)).save(folder / f"{name}.png")
        if caption:
            (folder / f"{name}.txt").write_text(caption, encoding="utf-8")


def numbered(n: int) -> list[str]:
    return [f"{place:03d}" for place in range(n)]


def test_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--main", "60", "--face", "20", "--other", "full=10")
    assert list(found) == KEYS
    assert found["repeats"] == {"main": 6, "face": 5, "full": 4, "differential": None}
    assert (found["feasible"], found["trimmed"], found["group_size"]) == (True, False, None)
    assert (found["total"], found["weighted_total"], found["ratio"]) == (500, 1000, 3.6)
    assert found["alternative"]["repeats"] == {"main": 7, "face": 5, "full": 1, "differential": None}
    assert found["warnings"] == found["advice"] == []


def test_flips_are_made_unless_said_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ("--main", "60", "--face", "20", "--other", "full=10")
    assert document(capsys, *numbers, "--flip") == document(capsys, *numbers)
    found = document(capsys, *numbers, "--no-flip")
    assert found["repeats"] == {"main": 3, "face": 2, "full": 3, "differential": None}
    assert (found["total"], found["weighted_total"], found["ratio"]) == (250, 1000, 4.5)


def test_all_words_together(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--main", "100", "--face", "25", "--other", "full=15", "--other", "b/w=10", "--groups", "2,4", "--mono", "b/w,face")
    assert found["feasible"] is True
    assert found["group_size"] == 4
    assert found["repeats"]["main"] == 4 * found["repeats"]["differential"]
    assert set(found["repeats"]) == {"main", "face", "full", "b/w", "differential"}


def test_no_face_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--main", "30", "--face", "0", "--other", "full=10")
    assert found["repeats"] == {"main": 14, "face": None, "full": 8, "differential": None}
    assert found["ratio"] is None
    assert found == document(capsys, "--main", "30", "--other", "full=10")


def test_what_has_no_answer_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--main", "5", "--face", "300")
    assert list(found) == KEYS
    assert (found["feasible"], found["repeats"], found["total"], found["ratio"]) == (False, None, None, None)
    assert found["advice"]


def test_a_person_reads_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--main", "60", "--face", "20", "--other", "full=10")
    assert (code, err) == (0, "")
    assert out.startswith("Repeats: main visuals 6, face close-ups 5, full body 4;")
    assert "With the other classes at 1: Repeats: main visuals 7" in out
    code, out, _ = run(capsys, "--main", "10", "--face", "10", "--lang", "zh_CN")
    assert any("\u4e00" <= letter <= "\u9fff" for letter in out)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--face", "3"),
        ("--main", "many"),
        ("--main", "-1"),
        ("--main", "10", "--other", "full"),
        ("--main", "10", "--other", "full=x"),
        ("--main", "10", "--other", "face=3"),
        ("--main", "10", "--other", "a=1", "--other", "a=2"),
        ("--main", "10", "--groups", "2,x"),
        ("--main", "10", "--groups", "0"),
        ("--main", "10", "--mono", "nobody"),
        ("--main", "10", "--nothing"),
        ("no such folder",),
        (".", "--main", "10"),
    ],
)
def test_bad_words_end_with_2_and_a_sentence(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert list(document(capsys, *arguments, code=2)) == ["error"]
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.strip()


# ---- folders


def test_folders_named_by_class(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder, n in (("1_main", 60), ("1_face", 20), ("1_full body", 10)):
        paint(tmp_path / folder, numbered(n))
    found = document(capsys, str(tmp_path))
    assert found["repeats"] == {"main": 6, "face": 5, "full": 4, "differential": None}
    assert document(capsys, str(tmp_path), "--no-flip")["repeats"] == {"main": 3, "face": 2, "full": 3, "differential": None}


def test_a_project_names_its_folders_after_the_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder, n in (("4_kazari_main", 60), ("3_kazari_face", 20), ("1_kazari_full", 10), ("1_kazari_discard", 7), ("2_kazari_bw", 3)):
        paint(tmp_path / folder, numbered(n))
    found = document(capsys, str(tmp_path))
    assert {name for name, value in found["repeats"].items() if value} == {"main", "face", "full", "kazari_bw"}
    assert found == document(capsys, "--main", "60", "--face", "20", "--other", "full=10", "--other", "kazari_bw=3", "--mono", "kazari_bw")


def test_differential_groups_by_folder_and_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paint(tmp_path / "1_main", numbered(60))
    paint(tmp_path / "1_face", numbered(20))
    paint(tmp_path / "1_差分", ["beach_1", "beach_2", "room_a", "room_b", "room_c", "room_d"])
    assert document(capsys, str(tmp_path)) == document(capsys, "--main", "60", "--face", "20", "--groups", "2,4")
    paint(tmp_path / "1_差分" / "train", ["x", "y", "z"])
    assert document(capsys, str(tmp_path)) == document(capsys, "--main", "60", "--face", "20", "--groups", "2,3,4")


def test_folders_without_classes_are_read_by_captions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("lib_lora.pictures.classes")
    paint(tmp_path / "6_kazari", numbered(20), "1girl, solo, portrait, close-up, face focus")
    paint(tmp_path / "6_kazari", [f"m{n}" for n in range(60)], "1girl, solo, cowboy shot, smile")
    paint(tmp_path / "6_kazari", [f"f{n}" for n in range(10)], "1girl, solo, full body, standing")
    assert document(capsys, str(tmp_path)) == document(capsys, "--main", "60", "--face", "20", "--other", "full=10")


@pytest.mark.parametrize("caption", ["sks", "kazari, flower crown, smile, school uniform", "a photo of a cat", ""])
def test_captions_that_tell_no_class_count_as_main_visuals(capsys: pytest.CaptureFixture[str], tmp_path: Path, caption: str) -> None:
    paint(tmp_path / "6_kazari", numbered(12), caption)
    assert document(capsys, str(tmp_path)) == document(capsys, "--main", "12")
    out = run(capsys, str(tmp_path))[1]
    assert "Counted: main visuals 12." in out
    assert "12 pictures have no class yet and count as main visuals." in out


def test_guessed_discards_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paint(tmp_path / "6_kazari", numbered(12), "1girl, solo")
    paint(tmp_path / "6_kazari", ["sheet"], "1girl, reference sheet")
    out = run(capsys, str(tmp_path))[1]
    assert "Counted: main visuals 12." in out
    assert "1 picture is not counted because its tags look like one to discard" in out and "6_kazari/sheet.png" in out
    paint(tmp_path / "1_discard", ["other"], "1girl")
    assert "1 discarded picture is not counted." in run(capsys, str(tmp_path))[1]


def test_unreadable_pictures_are_not_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paint(tmp_path / "1_main", numbered(60))
    paint(tmp_path / "1_face", numbered(20))
    (tmp_path / "1_main" / "broken.png").write_bytes(b"")
    code, out, _ = run(capsys, str(tmp_path))
    assert code == 0
    assert "Counted: main visuals 60, face close-ups 20." in out
    assert "1 picture cannot be read and is not counted." in out


def test_the_document_is_strict_json(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    assert main(["repeats", "--main", "40", "--face", "10", "--json"]) == 0
    json.loads(out.getvalue(), parse_constant=pytest.fail)
