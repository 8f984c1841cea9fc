"""Saves: only what changed, whole or not at all, nothing of others overwritten, all of it to be taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_lora.core.errors import BusyError, ConfigError, DataError, NotFound
from lib_lora.editor import journal, operations, saving
from lib_lora.editor.filters import Where
from lib_lora.editor.session import Session
from lib_lora.pictures import catalog

TRIG: dict[str, Any] = {"kind": "add", "tags": ["trig"]}
HERE = Path(__file__).resolve().parent


def make(root: Path, texts: dict[str, bytes | None]) -> Path:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
        if text is not None:
            path.with_suffix(".txt").write_bytes(text)
    return root


def edited(root: Path, state: Path, op: dict[str, Any] = TRIG) -> Session:
    one = Session(catalog.read(root), state)
    one.apply(operations.read(op), one.keys)
    return one


def texts(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.txt"))}


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, Path]:
    return make(tmp_path / "set", {f"{i}.png": f"tag{i}, solo".encode() for i in range(5)}), tmp_path / "state"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"solo", b"trig, solo"),
        (b"solo\n", b"trig, solo\n"),
        (b"solo\r\nmore\r\n", b"trig, solo\r\nmore\r\n"),
        (b"\xef\xbb\xbfsolo\r\n", b"\xef\xbb\xbftrig, solo\r\n"),
        (b"solo\nsecond line\n\nthird", b"trig, solo\nsecond line\n\nthird"),
        (b"  solo ,hat \n", b"trig, solo, hat\n"),
        (b"\nsecond", b"trig\nsecond"),
        (b"", b"trig"),
        (None, b"trig"),
        ("山猫, é".encode(), "trig, 山猫, é".encode()),
    ],
)
def test_only_the_first_line_changes(tmp_path: Path, before: bytes | None, after: bytes) -> None:
    root = make(tmp_path / "set", {"a.png": before})
    one = edited(root, tmp_path / "state")
    assert texts(root).get("a.txt") == before, "nothing reaches the disk before it is saved"
    assert one.save().files == 1
    assert texts(root) == {"a.txt": after}
    assert one.unsaved() == 0


def test_only_what_changed_is_written(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = Session(catalog.read(root), state)
    stamps = {path: path.stat().st_mtime_ns for path in root.glob("*.txt")}
    one.apply(operations.read(TRIG), ["1.png", "3.png"])
    saved = one.save()
    assert set(saved.texts) == {"1.txt", "3.txt"}
    assert {path.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp} == {"1.txt", "3.txt"}
    assert one.save().backup is None
    assert len(journal.backups(state)) == 1


def test_a_picture_without_a_caption_gets_no_empty_file(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": None, "b.png": b"solo"})
    one = edited(root, tmp_path / "state", {"kind": "remove", "tags": ["solo"]})
    one.apply(operations.read({"kind": "set", "text": "  "}), ["a.png"])
    assert one.save().files == 1
    assert texts(root) == {"b.txt": b""}


def test_undone_after_the_save_the_file_is_gone_again(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": None})
    one = edited(root, tmp_path / "state")
    one.save()
    one.undo()
    assert (one.unsaved(), one.has_caption("a.png")) == (1, False)
    one.save()
    assert texts(root) == {}
    one.redo()
    one.save()
    assert texts(root) == {"a.txt": b"trig"}


def test_a_backup_restores_all(folder: tuple[Path, Path]) -> None:
    root, state = folder
    before = texts(root)
    Image.new("RGB", (8, 8)).save(root / "new.png")
    one = edited(root, state)
    saved = one.save()
    after = texts(root)
    assert after != before
    assert saved.backup is not None
    kept = state / "backups" / saved.backup / "old"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before, "plain files, to be copied back by hand too"
    restored = one.restore(saved.backup)
    assert texts(root) == before
    assert one.unsaved() == 0
    assert [one.text(key) for key in one.keys] == [*(f"tag{i}, solo" for i in range(5)), ""]
    one.undo()
    assert one.text("0.png") == "trig, tag0, solo"
    assert restored.backup is not None
    one.restore(restored.backup)
    assert texts(root) == after


def test_a_restore_keeps_what_was_not_saved(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = edited(root, state)
    backup = one.save().backup
    one.apply(operations.read({"kind": "set", "text": "mine"}), ["0.png"])
    one.restore(backup or "")
    assert one.text("0.png") == "tag0, solo"
    one.undo()
    assert one.text("0.png") == "mine"


def test_what_others_wrote_is_named_and_left(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = edited(root, state)
    (root / "2.txt").write_text("theirs")
    (root / "3.txt").unlink()
    saved = one.save()
    assert set(saved.texts) == {"0.txt", "1.txt", "4.txt"}
    assert {(found.file, found.mine, found.theirs) for found in saved.conflicts} == {
        ("2.txt", "trig, tag2, solo", "theirs"),
        ("3.txt", "trig, tag3, solo", None),
    }
    assert (root / "2.txt").read_text() == "theirs"
    assert one.unsaved() == 2
    one.follow(catalog.read(root))
    assert len(one.save().conflicts) == 2, "looking at the folder again is no consent"
    assert set(one.save(overwrite=["2.txt"], take=["3.txt"]).texts) == {"2.txt"}
    assert (root / "2.txt").read_text() == "trig, tag2, solo"
    assert (one.unsaved(), one.has_caption("3.png")) == (0, False)
    one.undo()
    assert one.text("3.png") == "trig, tag3, solo"


def test_another_line_end_is_no_conflict(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": b"solo\nmore"})
    one = edited(root, tmp_path / "state")
    (root / "a.txt").write_bytes(b"\xef\xbb\xbfsolo\r\nmore")
    assert not one.save().conflicts
    assert texts(root) == {"a.txt": b"\xef\xbb\xbftrig, solo\r\nmore"}


def test_two_browsers_do_not_see_each_others_edits(folder: tuple[Path, Path]) -> None:
    root, state = folder
    found = catalog.read(root)
    mine, theirs = Session(found, state), Session(found, state)
    mine.apply(operations.read(TRIG), ["0.png", "1.png"])
    theirs.apply(operations.read({"kind": "add", "tags": ["other"]}), ["0.png"])
    assert (mine.text("0.png"), theirs.text("0.png")) == ("trig, tag0, solo", "other, tag0, solo")
    assert "trig" not in theirs.counts()
    mine.save()
    theirs.follow(catalog.read(root))
    assert theirs.text("1.png") == "trig, tag1, solo", "what is saved everybody sees"
    assert theirs.text("0.png") == "other, tag0, solo"
    assert [one.file for one in theirs.save().conflicts] == ["0.txt"]


def test_a_caption_that_is_no_text_is_left_alone(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": b"\xff\xfe\x00bad", "b.png": b"solo"})
    one = Session(catalog.read(root), tmp_path / "state")
    change = one.apply(operations.read(TRIG), one.keys)
    assert [edit.file for edit in change.edits] == ["b.txt"]
    assert "a.txt" in "\n".join(map(str, change.left_out))
    one.save()
    assert texts(root)["a.txt"] == b"\xff\xfe\x00bad"


def test_pictures_that_share_a_caption_change_together(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": b"solo", "a.webp": None})
    one = Session(catalog.read(root), tmp_path / "state")
    assert len(one.apply(operations.read(TRIG), one.keys).edits) == 1
    assert one.text("a.png") == one.text("a.webp") == "trig, solo"
    assert one.counts()["trig"] == 2
    assert one.save().files == 1


def test_edits_outlive_the_trash(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = edited(root, state)
    picture = (root / "0.png").read_bytes()
    (root / "0.png").unlink()
    one.follow(catalog.read(root))
    assert one.unsaved() == 4
    (root / "0.png").write_bytes(picture)
    one.follow(catalog.read(root))
    assert (one.unsaved(), one.text("0.png")) == (5, "trig, tag0, solo")
    assert one.find(Where(changed=True), {}) == one.keys


def test_a_file_that_cannot_be_written_is_named_and_the_rest_saved(folder: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root, state = folder
    write = journal.write_bytes

    def refusing(path: Path, content: bytes) -> None:
        if path.name == "2.txt" and path.parent == root:
            raise PermissionError(13, "Permission denied")
        write(path, content)

    monkeypatch.setattr(journal, "write_bytes", refusing)
    one = edited(root, state)
    saved = one.save()
    assert saved.files == 4
    assert "2.txt" in str(saved.failed[0])
    assert one.unsaved() == 1


def test_without_a_backup_nothing_is_written(folder: tuple[Path, Path]) -> None:
    root, state = folder
    before = texts(root)
    one = edited(root, state)
    state.mkdir()
    (state / "backups").write_text("in the way")
    with pytest.raises(DataError, match="Nothing was saved"):
        one.save()
    assert texts(root) == before
    assert one.unsaved() == 5


def test_one_save_at_a_time(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = edited(root, state)
    with journal.held(state), pytest.raises(BusyError):
        one.save()
    assert one.save().files == 5


def test_old_backups_go_when_there_are_many_newer_ones(folder: tuple[Path, Path]) -> None:
    root, state = folder
    number = journal.KEPT + 4

    def save(n: int) -> str:
        now = journal.read(root / "0.txt")
        return journal.perform(root, state, [journal.Write("0.txt", now, f"text {n}")])[0]

    def age(backup: str, days: float) -> None:
        file = state / "backups" / backup / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "created": time.time() - days * 24 * 3600}))

    made = [save(n) for n in range(number)]
    assert {one.id for one in journal.backups(state)} == set(made), "all of the last days stay"
    for n, backup in enumerate(made):
        age(backup, journal.DAYS + 1 + number - n)
    # A save that was cut off is not forgotten, however old it is.
    (state / "backups" / made[1] / "journal.json").write_text(json.dumps({"files": [{"file": "0.txt", "before": "a", "after": "b"}]}))
    made.append(save(number))
    kept = [made[1], *made[-journal.KEPT :]]
    assert sorted(one.name for one in (state / "backups").iterdir()) == sorted(kept)
    assert saving.restore(root, state, made[-journal.KEPT]).files == 1
    assert (root / "0.txt").read_text() == f"text {number - journal.KEPT}"


def test_a_backup_that_is_not_there(folder: tuple[Path, Path]) -> None:
    root, state = folder
    for id in ("2020-01-01_00-00-00", "../..", ""):
        with pytest.raises(NotFound):
            saving.restore(root, state, id)


def test_a_backup_leads_nowhere_else(folder: tuple[Path, Path]) -> None:
    root, state = folder
    backup = edited(root, state).save().backup or ""
    manifest = state / "backups" / backup / "manifest.json"
    manifest.write_text(json.dumps({"root": "", "created": 1, "files": [{"file": "../../out/x.txt", "old": False}]}))
    with pytest.raises(DataError, match="outside"):
        saving.restore(root, state, backup)


def killed(root: Path, state: Path, writes: int) -> None:
    """Save in another process and kill it when it has written that many captions."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    command = [sys.executable, str(HERE / "editor_save.py"), str(root), str(state), str(writes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "between"
        process.kill()


@pytest.mark.parametrize("forward", [True, False], ids=["finished", "taken back"])
@pytest.mark.parametrize("writes", [0, 2, 4])
def test_killed_between_two_files(folder: tuple[Path, Path], writes: int, forward: bool) -> None:
    root, state = folder
    before = texts(root)
    wanted = {name: b"trig, " + text for name, text in before.items()}
    killed(root, state, writes)
    now = texts(root)
    assert all(text in (before[name], wanted[name]) for name, text in now.items()), "each caption is the old or the new one"
    assert sum(text == wanted[name] for name, text in now.items()) == writes
    found = journal.interrupted(root, state)
    assert found is not None
    assert (found.new, found.old, found.other) == (writes, 5 - writes, ())
    (root / ".lora-studio-left.tmp").write_bytes(b"half")
    one = Session(catalog.read(root), state)
    assert not one.settle(found.id, forward).failed
    assert texts(root) == (wanted if forward else before)
    assert [one.text(key) for key in one.keys] == [text.decode() for text in texts(root).values()]
    assert not (root / ".lora-studio-left.tmp").exists()
    assert journal.interrupted(root, state) is None
    with pytest.raises(NotFound):
        one.settle(found.id, forward)
    one.restore(found.id)
    assert texts(root) == before, "the backup restores all"


def test_killed_and_then_written_by_others(folder: tuple[Path, Path]) -> None:
    root, state = folder
    killed(root, state, 2)
    names = sorted(texts(root))
    (root / names[0]).write_text("theirs")
    found = journal.interrupted(root, state)
    assert found is not None
    assert found.other == (names[0],)
    Session(catalog.read(root), state).settle(found.id, True)
    assert (root / names[0]).read_text() == "theirs"
    assert all(text.startswith(b"trig") for name, text in texts(root).items() if name != names[0])


def test_a_save_that_goes_on_is_not_taken_for_cut_off(folder: tuple[Path, Path]) -> None:
    root, state = folder
    killed(root, state, 2)
    with journal.held(state):
        assert journal.interrupted(root, state) is None
    assert journal.interrupted(root, state) is not None


def kept(root: Path, state: Path, client: str = "me") -> Session:
    """What a browser finds after the server was started anew."""
    return Session(catalog.read(root), state, client)


def wait_for_draft(state: Path, there: bool = True) -> None:
    until = time.monotonic() + 30
    while bool(list((state / "drafts").glob("*.json"))) is not there:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_edits_outlive_a_restart(folder: tuple[Path, Path]) -> None:
    root, state = folder
    one = kept(root, state)
    one.apply(operations.read(TRIG), ["0.png", "1.png"])
    wait_for_draft(state)
    assert kept(root, state, "another").unsaved() == 0
    (root / "1.txt").write_text("theirs")
    again = kept(root, state)
    assert (again.unsaved(), again.text("0.png"), again.text("1.png")) == (2, "trig, tag0, solo", "trig, tag1, solo")
    saved = again.save()
    assert (set(saved.texts), [found.file for found in saved.conflicts]) == ({"0.txt"}, ["1.txt"])
    again.undo()
    assert again.text("1.png") == "tag1, solo"
    again.redo()
    again.save(take=["1.txt"])
    wait_for_draft(state, there=False)
    assert kept(root, state).unsaved() == 0


def test_a_draft_that_cannot_be_read_is_none(folder: tuple[Path, Path]) -> None:
    root, state = folder
    kept(root, state).apply(operations.read(TRIG), ["0.png"])
    wait_for_draft(state)
    draft = next((state / "drafts").glob("*.json"))
    for text in ("", "[]", '{"0.txt": 3}', '{"0.txt": {"read": 1}}'):
        draft.write_text(text)
        assert kept(root, state).unsaved() == 0


# ---- links, special files, folders that are gone


def linked(tmp_path: Path, goal: str) -> tuple[Path, Path]:
    """A set whose caption is a link to a file at `goal`, and that file."""
    root = make(tmp_path / "open" / "set", {"a.png": None, "b.png": b"solo"})
    file = tmp_path / goal / "secret.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"other, words\nmore")
    link(root / "a.txt", file)
    return root, file


def link(path: Path, goal: Path) -> None:
    try:
        path.symlink_to(goal)
    except OSError:
        pytest.skip("this system makes no links for us")


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    root, file = linked(tmp_path, "open/elsewhere")
    one = Session(catalog.read(root, [tmp_path / "open"]), tmp_path / "state")
    one.apply(operations.read(TRIG), one.keys)
    saved = one.save()
    assert (saved.files, saved.failed) == (2, ())
    assert (root / "a.txt").is_symlink()
    assert file.read_bytes() == b"trig, other, words\nmore"
    assert one.restore(saved.backup or "").files == 2
    assert (root / "a.txt").is_symlink()
    assert file.read_bytes() == b"other, words\nmore"


def test_a_link_out_of_the_roots_is_neither_read_nor_written(tmp_path: Path) -> None:
    root, file = linked(tmp_path, "secret")
    found = catalog.read(root, [tmp_path / "open"])
    assert found.by_key()["a.png"].text is None
    assert "leads out" in str(found.by_key()["a.png"].text_flaw)
    assert any("a.txt" in str(problem) and "leads out" in str(problem) for problem in found.problems)
    one = Session(found, tmp_path / "state")
    change = one.apply(operations.read(TRIG), one.keys)
    assert any("leads out" in str(message) for message in change.left_out)
    assert one.save().files == 1
    assert one.text("a.png") == ""
    assert file.read_bytes() == b"other, words\nmore"
    assert catalog.read(root).by_key()["a.png"].caption == "other, words", "without roots links lead anywhere"


def test_a_caption_that_becomes_a_link_out_is_left_alone(tmp_path: Path) -> None:
    root = make(tmp_path / "open" / "set", {"a.png": b"solo", "b.png": b"solo"})
    file = tmp_path / "secret.txt"
    file.write_bytes(b"other")
    one = Session(catalog.read(root, [tmp_path / "open"]), tmp_path / "state")
    one.apply(operations.read(TRIG), one.keys)
    (root / "a.txt").unlink()
    link(root / "a.txt", file)
    saved = one.save(overwrite=["a.txt"])
    assert saved.files == 1
    assert ["a.txt" in str(one) and "leads out" in str(one) for one in saved.failed] == [True]
    assert file.read_bytes() == b"other"
    assert one.save(take=["a.txt"]).taken == {}
    assert one.text("a.png") == "trig, solo"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_caption_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": b"solo"})
    one = edited(root, tmp_path / "state")
    (root / "a.txt").unlink()
    os.mkfifo(root / "a.txt")
    saved = one.save()
    assert saved.files == 0
    assert "no ordinary file" in str(saved.failed[0])


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"in/a.png": None, "in/b.png": b"solo", "c.png": None})
    one = edited(root, tmp_path / "state")
    (root / "in").rename(tmp_path / "away")
    saved = one.save(overwrite=["in/b.txt"])
    assert saved.files == 1
    assert sorted(str(message).split(":")[0] for message in saved.failed) == ["in/a.txt", "in/b.txt"]
    assert all("folder is not there" in str(message) for message in saved.failed)
    assert not (root / "in").exists()
    assert one.unsaved() == 2
    (tmp_path / "away").rename(root / "in")
    assert one.save().files == 2
    assert texts(root) == {"c.txt": b"trig", "in/a.txt": b"trig", "in/b.txt": b"trig, solo"}


# ---- what a batch leaves out


def test_one_caption_that_is_too_long_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": b"solo, hat", "long.png": b"hat, " + b"x" * 24_000, "b.png": b"solo"})
    one = Session(catalog.read(root), tmp_path / "state")
    change = one.apply(operations.read(TRIG), one.keys)
    assert [edit.file for edit in change.edits] == ["a.txt", "b.txt"]
    assert ["long.txt" in str(message) for message in change.left_out] == [True]
    assert one.save().files == 2
    with pytest.raises(ConfigError, match=r"longer than 20000 characters: .*long\.txt"):
        one.preview(operations.read(TRIG), ["long.png"])
    shorter = one.apply(operations.read({"kind": "remove", "tags": ["hat"]}), one.keys)
    assert [edit.file for edit in shorter.edits] == ["a.txt", "long.txt"], "what makes it shorter is done"


def test_pictures_that_cannot_be_read_get_no_caption_files(tmp_path: Path) -> None:
    root = make(tmp_path / "set", {"a.png": None, "cut.png": None, "old.png": b"solo"})
    for name in ("cut.png", "old.png"):
        (root / name).write_bytes(b"no picture")
    one = Session(catalog.read(root), tmp_path / "state")
    change = one.apply(operations.read(TRIG), one.keys)
    assert ["cut.txt" in str(message) for message in change.left_out] == [True]
    assert one.save().files == 2
    assert texts(root) == {"a.txt": b"trig", "old.txt": b"trig, solo"}
