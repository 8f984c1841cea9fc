"""The analyst: what it sees, what it keeps, and that it never gets stuck."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from pathlib import Path

import drawn
import numpy as np
import pytest
from PIL import Image

from lib_lora.core.errors import DataError
from lib_lora.pictures import analyst, catalog, sight
from lib_lora.pictures.analyst import Analyst
from lib_lora.pictures.seen import Seen, pack, unpack
from lib_lora.pictures.store import NAME, Store

NUMBER = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(NUMBER):
        drawn.save(drawn.draw(drawn.scene(n)).image, tmp_path / "set" / f"{n}.{'png' if n % 2 else 'jpg'}")
    return tmp_path / "set"


def analysed(folder: Path, cache: Path) -> Analyst:
    found = Analyst(cache)
    found.start(catalog.read(folder))
    assert found.wait(60)
    return found


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose pixels were looked into."""
    names: list[str] = []
    real = sight.see

    def see(path: Path) -> Seen:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(analyst.sight, "see", see)
    return names


def test_every_picture_is_seen_as_it_is_seen_alone(folder: Path, tmp_path: Path) -> None:
    found = analysed(folder, tmp_path / "cache")
    assert found.progress() == (NUMBER, NUMBER)
    assert dict(found.seen()) == {path.name: sight.see(path) for path in folder.iterdir()}


def test_pixels_are_those_of_the_upright_picture(folder: Path) -> None:
    path = folder / "1.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    expected = hashlib.sha256(b"%dx%d" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()).hexdigest()
    assert sight.see(path).pixels == expected
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    assert sight.see(folder / "turned.png") == sight.see(path)


def test_what_was_seen_survives_being_written_down(folder: Path) -> None:
    for path in folder.iterdir():
        seen = sight.see(path)
        back = unpack(pack(seen))
        assert back is not None
        assert np.allclose(back.style, seen.style, rtol=1e-6)
        assert back.__class__(**{**back.__dict__, "style": seen.style}) == seen
    assert unpack(b"") is None
    assert unpack(pack(seen)[:-1]) is None


def test_a_second_opening_decodes_nothing(folder: Path, tmp_path: Path, looked_at: list[str]) -> None:
    first = analysed(folder, tmp_path / "cache").seen()
    assert len(looked_at) == NUMBER
    again = analysed(folder, tmp_path / "cache").seen()
    assert len(looked_at) == NUMBER
    assert {key: seen.blocks for key, seen in again.items()} == {key: seen.blocks for key, seen in first.items()}


def test_content_is_known_wherever_it_lies(folder: Path, tmp_path: Path, looked_at: list[str]) -> None:
    first = analysed(folder, tmp_path / "cache").seen()
    shutil.move(folder, tmp_path / "moved")
    (tmp_path / "moved" / "1.png").rename(tmp_path / "moved" / "renamed.png")
    again = analysed(tmp_path / "moved", tmp_path / "cache").seen()
    assert len(looked_at) == NUMBER
    assert again["renamed.png"].pixels == first["1.png"].pixels


def test_a_changed_file_is_looked_into_again(folder: Path, tmp_path: Path, looked_at: list[str]) -> None:
    found = analysed(folder, tmp_path / "cache")
    before = found.seen()
    drawn.save(drawn.draw(drawn.scene(99)).image, folder / "3.png")
    (folder / "5.png").unlink()
    found.start(catalog.read(folder))
    assert found.wait(60)
    assert looked_at[NUMBER:] == ["3.png"]
    assert found.seen()["3.png"] != before["3.png"]
    assert "5.png" not in found.seen()
    assert "5.png" in before
    assert found.progress() == (NUMBER - 1, NUMBER - 1)


def test_damage_in_the_middle_is_told_and_stops_nothing(folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "3.png").read_bytes())
    inside = content.index(b"IDAT") + 200
    content[inside : inside + 40] = bytes(40)
    (folder / "3.png").write_bytes(content)
    found = analysed(folder, tmp_path / "cache")
    assert found.progress() == (NUMBER, NUMBER)
    assert set(found.flaws()) == {"3.png"}
    assert "3.png" in str(found.flaws()["3.png"])
    assert "3.png" not in found.seen()


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100, None], ids=["empty", "text", "a folder"])
def test_a_damaged_cache_is_made_anew(folder: Path, tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "cache").mkdir()
    if content is None:
        (tmp_path / "cache" / NAME).mkdir()
    else:
        (tmp_path / "cache" / NAME).write_bytes(content)
    assert len(analysed(folder, tmp_path / "cache").seen()) == NUMBER


def test_a_cache_of_another_version_is_not_read(folder: Path, tmp_path: Path, looked_at: list[str]) -> None:
    analysed(folder, tmp_path / "cache")
    base = sqlite3.connect(tmp_path / "cache" / NAME)
    base.execute("pragma user_version = 999")
    base.close()
    assert len(analysed(folder, tmp_path / "cache").seen()) == NUMBER
    assert len(looked_at) == 2 * NUMBER


def test_a_record_of_other_bytes_is_no_record(folder: Path, tmp_path: Path, looked_at: list[str]) -> None:
    analysed(folder, tmp_path / "cache")
    base = sqlite3.connect(tmp_path / "cache" / NAME)
    base.execute("update content set record = x'00'")
    base.commit()
    base.close()
    assert len(analysed(folder, tmp_path / "cache").seen()) == NUMBER
    assert len(looked_at) == 2 * NUMBER


def test_stopping_ends_after_the_pictures_at_hand(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Analyst(tmp_path / "cache")
    real = sight.see

    def see(path: Path) -> Seen:
        found._run.asked.set()
        return real(path)

    monkeypatch.setattr(analyst.sight, "see", see)
    found.start(catalog.read(folder))
    assert found.wait(60)
    found.stop()
    assert 1 <= len(found.seen()) <= analyst.WORKERS < NUMBER


def test_no_file_stays_open(folder: Path, tmp_path: Path) -> None:
    found = analysed(folder, tmp_path / "cache")
    listed = Path("/proc/self/fd")
    if not listed.is_dir():
        pytest.skip("this system does not list open files")
    targets = [str(one.resolve()) for one in listed.iterdir() if one.exists()]
    assert not [name for name in targets if name.startswith(str(tmp_path))]
    assert found.progress() == (NUMBER, NUMBER)


def test_nothing_is_lost_without_a_folder_to_write_into(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    assert len(analysed(folder, tmp_path / "cache").seen()) == NUMBER


def test_a_picture_that_cannot_be_read_raises_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.png"):
        sight.see(tmp_path / "a.png")
    with pytest.raises(DataError, match="cannot be opened"):
        sight.see(tmp_path / "gone.png")


def test_pictures_somebody_waits_for_go_first(folder: Path, tmp_path: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "ASIDE", 60.0)
    found = Analyst(tmp_path / "cache")
    with found.aside():
        found.start(catalog.read(folder))
        assert not found.wait(0.3)
        assert looked_at == []
    assert found.wait(60)
    assert len(looked_at) == NUMBER


def test_many_at_once_make_the_tables_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for turn in range(20):
        start = threading.Barrier(6)

        def ask(folder: Path, start: threading.Barrier = start) -> None:
            start.wait(10)
            Store(folder).of_content(b"unknown")

        threads = [threading.Thread(target=ask, args=(tmp_path / str(turn),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not caplog.records
