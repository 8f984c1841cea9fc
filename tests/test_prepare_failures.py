"""A project copy where something is in the way: places, disks, broken pictures, cancelling, and kill -9."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from prepared import Doubling, Watching, files, picture, plan_of, prepare, text, tree

from lib_lora.core.errors import BusyError, ConfigError, DataError, HostError
from lib_lora.core.messages import say
from lib_lora.dataset import images
from lib_lora.pictures import catalog
from lib_lora.prepare import build, places, project
from lib_lora.prepare.tools import Plain

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for index in range(4):
        picture(tmp_path / "6_kazari" / f"{index}.png", seed=index)
    return tmp_path / "6_kazari"


class TestRefusals:
    @pytest.mark.parametrize("place", ["6_kazari", "6_kazari/inside", ".", "full", "file", "con", "other"])
    def test_places_that_are_not_free_are_refused_with_a_sentence_and_nothing_changes(self, source: Path, tmp_path: Path, place: str) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "diary.txt").write_text("mine", encoding="utf-8")
        (tmp_path / "file").write_text("mine", encoding="utf-8")
        picture(tmp_path / "else" / "a.png")
        prepare(tmp_path / "else", tmp_path / "other")
        before = tree(tmp_path)
        with pytest.raises(ConfigError) as caught:
            prepare(source, (tmp_path / place).resolve() if place == "." else tmp_path / place)
        assert len(str(caught.value)) > 30
        assert tree(tmp_path) == before

    def test_an_empty_folder_is_taken(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        assert prepare(source, tmp_path / "out").made == 4

    def test_a_strangers_folder_in_the_way_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        way = places.building(tmp_path / "out")
        way.mkdir()
        (way / "diary.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(ConfigError, match="stands in the way"):
            prepare(source, tmp_path / "out")
        assert text(way / "diary.txt") == "mine"

    def test_pictures_that_broke_meanwhile_are_left_out_and_named(self, source: Path, tmp_path: Path) -> None:
        made, found = plan_of(source), catalog.read(source)
        (source / "0.png").write_bytes((source / "0.png").read_bytes()[:300])
        (source / "1.png").unlink()
        done = project.prepare(found, made, tmp_path / "out", Plain(), Watching())
        assert set(done.skipped) == {"0.png", "1.png"} and done.made == 2
        assert [name in " ".join(one.text() for one in done.warnings) for name in ("0.png", "1.png")] == [True, True]

    def test_none_of_them_readable_writes_nothing(self, source: Path, tmp_path: Path) -> None:
        made, found = plan_of(source), catalog.read(source)
        for path in source.glob("*.png"):
            path.write_bytes(b"no picture")
        with pytest.raises(DataError, match="cannot be read"):
            project.prepare(found, made, tmp_path / "out", Plain(), Watching())
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]

    @pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "does not let us write"), (errno.EIO, "did not work")])
    def test_what_the_disk_refuses_is_a_sentence_and_leaves_nothing(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
    ) -> None:
        prepare(source, tmp_path / "old")
        before, real, written = tree(tmp_path), Path.write_bytes, []

        def failing(path: Path, content: bytes) -> int:
            written.append(path)
            if len(written) == 5:
                raise OSError(number, os.strerror(number), str(path))
            return real(path, content)

        monkeypatch.setattr(Path, "write_bytes", failing)
        for target in ("old", "new"):
            written.clear()
            with pytest.raises(DataError, match=word):
                prepare(source, tmp_path / target, copies={"flip": True})
        assert tree(tmp_path) == before

    def test_too_little_room_is_said_before(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        with pytest.raises(ConfigError, match="MB free"):
            prepare(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("end", [0, 1, 3])
    def test_cancelled_it_leaves_what_was(self, source: Path, tmp_path: Path, end: int) -> None:
        prepare(source, tmp_path / "old")
        before = tree(tmp_path)
        for target in ("old", "new"):
            turn = Watching(end=end)
            assert prepare(source, tmp_path / target, turn=turn, copies={"flip": True}).cancelled
            assert len(turn.told) <= end
        assert tree(tmp_path) == before

    def test_cancelling_ends_the_wait_for_a_busy_host(self, source: Path, tmp_path: Path) -> None:
        turn = Watching()

        class Busy(Doubling):
            def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = lambda: True) -> Image.Image:
                turn.end = 0
                assert not waiting()
                raise BusyError(say("The WebUI was still busy when the wait for it was given up. Start again when it is free."))

        assert prepare(source, tmp_path / "out", tools=Busy(), turn=turn, enlarge={"upscaler": "Red", "below": 256}).cancelled
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]

    def test_an_upscaler_that_fails_ends_it_with_its_own_sentence(self, source: Path, tmp_path: Path) -> None:
        tools = Doubling(HostError(say("The upscaling was interrupted; nothing was written. Start again when you like.")))
        with pytest.raises(HostError, match="interrupted"):
            prepare(source, tmp_path / "out", tools=tools, enlarge={"upscaler": "Red", "below": 256})
        assert [path.name for path in tmp_path.iterdir()] == ["6_kazari"]


KILLED = """
import os, signal, sys
from pathlib import Path
from lib_lora.core.settings import load
from lib_lora.pictures import catalog
from lib_lora.prepare import build, places, planning, project
from lib_lora.prepare.config import PrepareConfig
from lib_lora.prepare.tools import Plain

source, target, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Turn:
    cancelled = False
    def tell(self, done, total, message=None):
        if where == f"picture {done}":
            die()

if where == "manifest":
    project.Builder.finish = die
elif where == "swap":
    real = Path.rename
    def rename(path, goal):
        return die() if path.name.endswith("-part") else real(path, goal)
    Path.rename = rename
elif where == "removal":
    real = project.Builder.finish
    def finish(builder):
        real(builder)
        Turn.cancelled = True
    project.Builder.finish = finish
    import shutil
    def partly(path, **__):
        min(path.rglob('*.png')).unlink()
        die()
    shutil.rmtree = partly
found = catalog.read(source)
plan = planning.make(found, load(PrepareConfig, {"folders": {"by": "one"}, "copies": {"flip": True}, "shape": {"kind": "centre", "size": "64,64"}}))
project.prepare(found, plan, target, Plain(), Turn())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
class TestCrash:
    @pytest.mark.parametrize("where", ["picture 1", "picture 3", "picture 7", "manifest", "swap", "removal"])
    @pytest.mark.parametrize("update", [False, True])
    def test_after_kill_9_the_project_is_the_old_one_or_none_and_the_next_run_goes_on(self, source: Path, tmp_path: Path, where: str, update: bool) -> None:
        target, before = tmp_path / "out", tree(source)
        if update:
            prepare(source, target, folders={"by": "one"}, copies={"flip": True})
            (target / "1_kazari" / "0.txt").write_text("by hand", encoding="utf-8")
        old = tree(target) if update else {}
        killed = subprocess.run([sys.executable, "-c", KILLED, str(source), str(target), where], cwd=ROOT, check=False)
        assert killed.returncode == -9
        assert tree(source) == before
        if where == "swap" and update:
            assert not target.exists()  # between two renames: both states lie beside it
        else:
            assert (tree(target) if target.exists() else {}) == old
        done = prepare(source, target, folders={"by": "one"}, copies={"flip": True}, shape={"kind": "centre", "size": "64,64"})
        assert len(files(target)) == 16 and all(Image.open(path).size == (64, 64) for path in target.rglob("*.png"))
        assert text(target / "1_kazari" / "0.txt") == ("by hand" if update else "smile, left hand up")
        left = [path.name for path in tmp_path.iterdir() if path.name not in ("6_kazari", "out", places.TRASH)]
        assert not left, left
        assert done.made + done.same == 8

    def test_finished_pictures_of_a_killed_run_are_not_made_again(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        subprocess.run([sys.executable, "-c", KILLED, str(source), str(tmp_path / "out"), "picture 7"], cwd=ROOT, check=False)
        journal = (places.building(tmp_path / "out") / build.JOURNAL).read_text(encoding="utf-8")
        finished = {json.loads(line)["file"] for line in journal.splitlines()}
        assert len(finished) == 7
        # A last line that was cut off is no entry, and a picture that was cut off is made anew.
        (places.building(tmp_path / "out") / build.JOURNAL).write_text(journal + '{"file": "1_ka', encoding="utf-8")
        broken = places.building(tmp_path / "out") / sorted(finished)[0]
        broken.write_bytes(broken.read_bytes()[:100])
        rendered: list[str] = []
        real = build.render

        def counted(copy: Any, *rest: Any) -> Any:
            rendered.append(copy.stem)
            return real(copy, *rest)

        monkeypatch.setattr(build, "render", counted)
        prepare(source, tmp_path / "out", folders={"by": "one"}, copies={"flip": True}, shape={"kind": "centre", "size": "64,64"})
        assert len(rendered) == 2 and broken.stem in rendered
        for path in (tmp_path / "out").rglob("*.png"):
            images.open_picture(path)
