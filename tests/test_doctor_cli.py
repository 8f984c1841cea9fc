"""The command doctor: one document for a program, groups for a person, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import doctored
import pytest
from doctored import TRIGGER, clean, drawing, write

from lib_lora.cli import main


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["doctor", *argv, "--resolution", f"{doctored.SIDE},{doctored.SIDE}"])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_answers_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clean(tmp_path / "a set 😺")
    write(folder / "2_girl" / "empty.png", drawing(70), b"")
    code, out, err = run(capsys, str(folder), "--trigger", TRIGGER, "--json")
    document = json.loads(out)
    assert (code, err, list(document)) == (0, "", ["images", "captions", "problems"])
    assert (document["images"], document["captions"]) == (41, 41)
    assert [list(one) for one in document["problems"]] == [["severity", "file", "what", "fix"]]
    assert document["problems"][0] == {
        "severity": "error",
        "file": "2_girl/empty.png",
        "what": "its caption is empty",
        "fix": "Tag the picture, or write what it shows.",
    }


def test_a_person_reads_it_in_groups_and_in_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clean(tmp_path / "set")
    for index in range(30):
        (folder / "2_girl" / f"{index:03}.txt").write_text("cat")
    code, out, _ = run(capsys, str(folder), "--trigger", TRIGGER)
    lines = out.splitlines()
    assert code == 0
    assert lines[:4] == ["40 pictures, 40 captions: 30 findings", "", "30 warnings: worth mending before a long run", "  Trigger word"]
    assert sum(line.startswith("    2_girl/") for line in lines) == 20
    assert lines[-2:] == ["    … and 10 more of this kind", "    → Put the trigger word first."]
    _, chinese, _ = run(capsys, str(folder), "--trigger", TRIGGER, "--lang", "zh_CN")
    assert len(chinese.splitlines()) == len(lines)
    assert "触发词" in chinese and "Trigger" not in chinese


def test_a_clean_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, str(clean(tmp_path / "set")), "--trigger", TRIGGER) == (0, "40 pictures: nothing is wrong with them.\n", "")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nowhere"], 3, "there is no such folder"),
        (["a.txt"], 3, "this is a file"),
        (["."], 0, ""),
        ([".", "--reg", "nowhere"], 3, "there is no such folder"),
        ([".", "--batch", "0"], 2, "batch_size"),
        ([], 2, "FOLDER"),
    ],
)
def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, words: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    got, out, _ = run(capsys, *argv, "--json")
    assert got == code
    assert words in json.loads(out).get("error", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_named_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clean(tmp_path / "set")
    for name in ("pipe.png", "alone.txt", "000.txt"):
        (folder / "2_girl" / name).unlink(missing_ok=True)
        os.mkfifo(folder / "2_girl" / name)
    code, out, _ = run(capsys, str(folder), "--trigger", TRIGGER)
    assert code == 0
    for name in ("2_girl/pipe.png: ", "2_girl/alone.txt: ", "2_girl/000.png: its caption cannot be used"):
        assert name in out
