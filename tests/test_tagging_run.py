"""Many pictures through a tagger: every one gets its row, nothing is asked twice, and nothing whole is lost."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import graphs
import numpy as np
import pytest
from PIL import Image
from standin import StandInHost

from lib_lora.core.errors import BusyError, HostError
from lib_lora.pictures import catalog
from lib_lora.pictures.picture import Picture
from lib_lora.tagging import cache as caches
from lib_lora.tagging import run
from lib_lora.tagging.cache import Cache, Entry
from lib_lora.tagging.labels import Labels
from lib_lora.tagging.service import Taggers
from lib_lora.tagging.tagger import Tagger

LABELS = Labels(tuple(row[0] for row in graphs.ROWS), tuple({9: "rating", 0: "general", 4: "character"}[row[1]] for row in graphs.ROWS))


class Mean:
    """A tagger of the mean colour, as the graphs of tests are, without onnxruntime. `seen` counts the pictures it was given."""

    labels = LABELS
    digest = "d" * 64
    device = "CPU"
    notes = ()

    def __init__(self, batch: int = 3, each: Callable[[int], None] = lambda seen: None) -> None:
        self.batch, self.each = batch, each
        self.seen, self.largest, self.closed = 0, 0, False

    def prepare(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image, dtype=np.float32)

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        self.seen += len(inputs)
        self.largest = max(self.largest, len(inputs))
        self.each(self.seen)
        return np.stack([graphs.truth(tuple(one.mean((0, 1)))) for one in inputs])

    def close(self) -> None:
        self.closed = True


class Turn:
    def __init__(self, until: int | None = None) -> None:
        self.told: list[tuple[int, int]] = []
        self.until = until

    @property
    def cancelled(self) -> bool:
        return self.until is not None and bool(self.told) and self.told[-1][0] >= self.until

    def tell(self, done: int, total: int, message: object = None) -> None:
        self.told.append((done, total))


def colour(index: int) -> tuple[int, int, int]:
    return 255 - 11 * index, 17 * index % 256, 5 * index


def folder(path: Path, number: int = 11) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        Image.new("RGB", (8 + index, 8), colour(index)).save(path / f"{index:02}.png")
    return path


def pictures(path: Path) -> Sequence[Picture]:
    return catalog.read(path).pictures


def kept(state: Path) -> Cache:
    found = Cache(state, Mean.digest)
    found.begin(LABELS, "mean")
    return found


def check(cache: Cache, given: Sequence[Picture], rows: Sequence[int]) -> None:
    """Every picture's row is that of its own colour."""
    for picture, index in zip(given, rows, strict=True):
        pixels = cache.pixels(picture)
        assert pixels is not None, picture.key
        assert cache.table.row(pixels) == pytest.approx(graphs.truth(colour(index)), abs=1e-4), picture.key


class TestRun:
    @pytest.mark.parametrize("batch", [1, 3, 4, 64])
    def test_every_picture_gets_its_own_row(self, tmp_path: Path, batch: int) -> None:
        given, tagger, turn = pictures(folder(tmp_path / "p")), Mean(batch), Turn()
        outcome = run.tag(tagger, kept(tmp_path / "s"), given, turn)
        assert (outcome.tagged, outcome.known, outcome.broken) == (11, 0, {})
        assert tagger.largest == min(batch, 11)
        assert turn.told[-1] == (11, 11)
        check(Cache(tmp_path / "s", Mean.digest), given, range(11))

    def test_what_is_known_is_not_even_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        given = pictures(folder(tmp_path / "p"))
        run.tag(Mean(), kept(tmp_path / "s"), given, Turn())
        monkeypatch.setattr(run.pixels, "whole", lambda path: pytest.fail("a known picture was opened"))
        outcome = run.tag(Mean(), kept(tmp_path / "s"), given, Turn())
        assert (outcome.tagged, outcome.known) == (0, 11)

    def test_the_same_pixels_under_another_name_are_not_asked_again(self, tmp_path: Path) -> None:
        path, tagger = folder(tmp_path / "p"), Mean()
        run.tag(tagger, kept(tmp_path / "s"), pictures(path), Turn())
        (path / "00.png").rename(path / "zz.png")
        Image.open(path / "01.png").save(path / "y.bmp")
        outcome = run.tag(tagger, kept(tmp_path / "s"), pictures(path), Turn())
        assert tagger.seen == 11
        assert (outcome.tagged, outcome.known) == (0, 12)
        check(kept(tmp_path / "s"), pictures(path), [*range(1, 11), 1, 0])

    def test_a_picture_that_changes_is_asked_again(self, tmp_path: Path) -> None:
        path, tagger = folder(tmp_path / "p"), Mean()
        run.tag(tagger, kept(tmp_path / "s"), pictures(path), Turn())
        Image.new("RGB", (50, 50), colour(20)).save(path / "03.png")
        outcome = run.tag(tagger, kept(tmp_path / "s"), pictures(path), Turn())
        assert (outcome.tagged, outcome.known) == (1, 10)
        check(kept(tmp_path / "s"), pictures(path), [0, 1, 2, 20, *range(4, 11)])

    def test_what_cannot_be_read_is_named_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        path = folder(tmp_path / "p")
        (path / "02.png").write_bytes((path / "02.png").read_bytes()[:-30])
        (path / "05.png").write_bytes(b"")
        given, turn = pictures(path), Turn()
        outcome = run.tag(Mean(), kept(tmp_path / "s"), given, turn)
        assert sorted(outcome.broken) == ["02.png", "05.png"]
        assert all("cannot be read" in str(why) for why in outcome.broken.values())
        assert outcome.tagged == 9
        assert turn.told[-1] == (11, 11)
        assert "02.png" in " ".join(map(str, run.told(outcome)))

    def test_cancelling_keeps_what_is_whole(self, tmp_path: Path) -> None:
        given, tagger = pictures(folder(tmp_path / "p")), Mean(2)
        outcome = run.tag(tagger, kept(tmp_path / "s"), given, Turn(until=4))
        assert outcome.tagged == tagger.seen == 4
        check(Cache(tmp_path / "s", Mean.digest), given[:4], range(4))
        again = run.tag(Mean(), kept(tmp_path / "s"), given, Turn())
        assert (again.tagged, again.known) == (7, 4)

    def test_a_tagger_that_fails_loses_nothing_of_before(self, tmp_path: Path) -> None:
        def fails(seen: int) -> None:
            if seen > 4:
                raise HostError()

        given = pictures(folder(tmp_path / "p"))
        with pytest.raises(HostError):
            run.tag(Mean(2, fails), kept(tmp_path / "s"), given, Turn())
        check(Cache(tmp_path / "s", Mean.digest), given[:4], range(4))

    def test_it_is_kept_while_it_runs_and_parts_become_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "FLUSH_FULL", 1)
        monkeypatch.setattr(caches, "PARTS", 4)
        given = pictures(folder(tmp_path / "p"))
        run.tag(Mean(1), kept(tmp_path / "s"), given, Turn())
        files = list((tmp_path / "s").rglob("rows-*.npz"))
        assert 1 < len(files) <= 5
        check(Cache(tmp_path / "s", Mean.digest), given, range(11))


class TestCache:
    def test_scores_are_of_the_tagger_asked_last(self, tmp_path: Path) -> None:
        path = folder(tmp_path / "p", 1)
        (picture,) = pictures(path)
        assert caches.scores(tmp_path / "s", picture) == {}
        run.tag(Mean(), kept(tmp_path / "s"), [picture], Turn())
        found = caches.scores(tmp_path / "s", picture)
        assert found["red_hair"] == pytest.approx(1, abs=1e-4)
        assert "sensitive" not in found, "ratings are no tags"
        assert "blue_hair" not in found, "what is unlikely is not told"
        assert caches.last(tmp_path / "s") == ("mean", Mean.digest)
        other = Cache(tmp_path / "s", "e" * 64)
        other.begin(LABELS, "other")
        assert caches.scores(tmp_path / "s", picture) == {}
        other.add([Entry(picture, run.pixels_of(Image.open(picture.path)), np.full(len(LABELS.names), 0.5, np.float32))])
        assert caches.scores(tmp_path / "s", picture)["blue_hair"] == 0.5

    def test_scores_of_nothing_and_of_a_changed_file(self, tmp_path: Path) -> None:
        path = folder(tmp_path / "p", 1)
        run.tag(Mean(), kept(tmp_path / "s"), pictures(path), Turn())
        Image.new("RGB", (9, 99)).save(path / "00.png")
        assert caches.scores(tmp_path / "s", pictures(path)[0]) == {}
        assert caches.scores(tmp_path / "s", None) == {}

    def test_another_process_is_seen(self, tmp_path: Path) -> None:
        given = pictures(folder(tmp_path / "p"))
        mine = kept(tmp_path / "s")
        run.tag(Mean(), kept(tmp_path / "s"), given, Turn())
        assert mine.pixels(given[0]) is None
        mine.look()
        check(mine, given, range(11))

    @pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
    def test_damaged_files_cost_their_rows_and_no_more(self, tmp_path: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "FLUSH_FULL", 3)
        given = pictures(folder(tmp_path / "p"))
        run.tag(Mean(3), kept(tmp_path / "s"), given, Turn())
        sorted((tmp_path / "s").rglob("rows-*.npz"))[0].write_bytes(damage)
        again = kept(tmp_path / "s")
        assert [again.pixels(picture) is None for picture in given] == [True] * 3 + [False] * 8
        outcome = run.tag(Mean(), again, given, Turn())
        assert (outcome.tagged, outcome.known) == (3, 8)
        check(kept(tmp_path / "s"), given, range(11))

    @pytest.mark.parametrize("name", ["pictures.json", "last.json"])
    @pytest.mark.parametrize("damage", ["{", "[1]", '{"00.png": 3}'])
    def test_damaged_lists_cost_only_time(self, tmp_path: Path, name: str, damage: str) -> None:
        given = pictures(folder(tmp_path / "p"))
        run.tag(Mean(), kept(tmp_path / "s"), given, Turn())
        (tmp_path / "s" / "tags" / name).write_text(damage, encoding="utf-8")
        tagger = Mean()
        run.tag(tagger, kept(tmp_path / "s"), given, Turn())
        assert tagger.seen == 0, "the rows are there, by their pixels"
        check(kept(tmp_path / "s"), given, range(11))

    def test_no_pickle_is_ever_loaded(self, tmp_path: Path) -> None:
        run.tag(Mean(), kept(tmp_path / "s"), pictures(folder(tmp_path / "p", 1)), Turn())
        (file,) = (tmp_path / "s").rglob("rows-*.npz")
        np.savez(file, pixels=np.array([object()]), rows=np.array([object()]))
        assert len(kept(tmp_path / "s").table) == 0

    def test_another_list_of_tags_begins_anew(self, tmp_path: Path) -> None:
        run.tag(Mean(), kept(tmp_path / "s"), pictures(folder(tmp_path / "p")), Turn())
        other = Cache(tmp_path / "s", Mean.digest)
        other.begin(Labels(("a",), ("general",)), "mean")
        assert len(other.table) == 0
        assert len(Cache(tmp_path / "s", Mean.digest).table) == 0

    def test_what_is_no_number_counts_as_nothing(self, tmp_path: Path) -> None:
        (picture,) = pictures(folder(tmp_path / "p", 1))
        cache = kept(tmp_path / "s")
        row = np.array([np.nan, np.inf, -np.inf, 2.0, -1.0, 0.5, *[0.0] * (len(LABELS.names) - 6)], dtype=np.float32)
        cache.add([Entry(picture, "ab" * 32, row)])
        assert cache.table.row("ab" * 32).tolist()[:6] == [0, 1, 0, 1, 0, 0.5]


class TestService:
    def taggers(self, tmp_path: Path, busy: Callable[[], bool] = lambda: False, **made: Mean) -> tuple[Taggers, list[tuple[str, bool]]]:
        started: list[tuple[str, bool]] = []

        class Host(StandInHost):
            def busy(self) -> bool:
                return busy()

        def starting(name: str) -> Callable[[bool], Mean]:
            def start(cpu: bool) -> Mean:
                started.append((name, cpu))
                return made[name]

            return start

        service = Taggers(Host(tmp_path), idle=60)
        cards = {name: Tagger(name, name, "test", starting(name), lambda: "", place=name) for name in made}
        service.chosen = lambda name="": cards[name]  # type: ignore[method-assign]
        return service, started

    def test_one_is_loaded_once_and_stays(self, tmp_path: Path) -> None:
        service, started = self.taggers(tmp_path, a=Mean())
        for index in range(3):
            found = service.ask(Image.new("RGB", (4, 4), colour(index)), "a")
            assert found.row == pytest.approx(graphs.truth(colour(index)), abs=1e-6)
        assert started == [("a", False)]
        assert service.loaded == "a"

    def test_the_same_picture_is_not_asked_again(self, tmp_path: Path) -> None:
        mean = Mean()
        service, _ = self.taggers(tmp_path, a=mean)
        for _ in range(3):
            service.ask(Image.new("RGB", (4, 4), "red"), "a")
        assert mean.seen == 1

    def test_weights_that_were_replaced_are_asked_anew(self, tmp_path: Path) -> None:
        old, new = Mean(), Mean()
        service, started = self.taggers(tmp_path, a=old)
        card = service.chosen("a")
        now = {"digest": "1", "mean": old}

        def start(cpu: bool) -> Mean:
            started.append(("a", cpu))
            return now["mean"]  # type: ignore[return-value]

        service.chosen = lambda name="": dataclasses.replace(card, start=start, identity=lambda: str(now["digest"]))  # type: ignore[method-assign]
        service.ask(Image.new("RGB", (4, 4), "red"), "a")
        now.update(digest="2", mean=new)
        for _ in range(2):
            service.ask(Image.new("RGB", (4, 4), "red"), "a")
        assert (old.seen, new.seen, old.closed, len(started)) == (1, 1, True, 2)

    def test_another_one_takes_its_place(self, tmp_path: Path) -> None:
        first, second = Mean(), Mean()
        service, _ = self.taggers(tmp_path, a=first, b=second)
        service.ask(Image.new("RGB", (4, 4)), "a")
        service.ask(Image.new("RGB", (4, 4)), "b")
        assert (first.closed, second.closed, service.loaded) == (True, False, "b")

    def test_one_at_work_is_not_taken_away(self, tmp_path: Path) -> None:
        first = Mean()
        service, _ = self.taggers(tmp_path, a=first, b=Mean())
        with service.use(service.chosen("a")):
            with pytest.raises(BusyError, match="a is at work"):
                service.ask(Image.new("RGB", (4, 4)), "b")
            assert not service.unload()
            assert not first.closed
            service.ask(Image.new("RGB", (4, 4)), "a")
        assert service.unload()
        assert first.closed

    def test_while_the_model_is_in_use_it_tags_on_the_cpu_and_says_so(self, tmp_path: Path) -> None:
        busy = threading.Event()
        mean = Mean()
        mean.device = "CUDA"
        service, started = self.taggers(tmp_path, busy.is_set, a=mean)
        service.ask(Image.new("RGB", (4, 4), "red"), "a")
        busy.set()
        mean.device = "CPU"
        service.unload()
        found = service.ask(Image.new("RGB", (4, 4), "blue"), "a")
        busy.clear()
        service.ask(Image.new("RGB", (4, 4), "green"), "a")
        assert started == [("a", False), ("a", True), ("a", False)]
        assert "on the CPU meanwhile" in str(found.notes[0])

    def test_a_training_that_begins_takes_it_off_the_card(self, tmp_path: Path) -> None:
        busy, mean = threading.Event(), Mean()
        mean.device = "CUDA"
        service, started = self.taggers(tmp_path, busy.is_set, a=mean)
        service.ask(Image.new("RGB", (4, 4), "red"), "a")
        busy.set()
        service.ask(Image.new("RGB", (4, 4), "blue"), "a")
        assert started == [("a", False), ("a", True)]

    def test_one_on_the_cpu_stays_when_a_training_begins(self, tmp_path: Path) -> None:
        busy = threading.Event()
        service, started = self.taggers(tmp_path, busy.is_set, a=Mean())
        service.ask(Image.new("RGB", (4, 4), "red"), "a")
        busy.set()
        found = service.ask(Image.new("RGB", (4, 4), "blue"), "a")
        assert started == [("a", False)]
        assert "on the CPU meanwhile" in str(found.notes[0])

    def test_it_goes_when_nobody_asks(self, tmp_path: Path) -> None:
        gone = threading.Event()
        mean = Mean()
        mean.close = gone.set  # type: ignore[method-assign]
        service, _ = self.taggers(tmp_path, a=mean)
        service._idle = 0.01
        service.ask(Image.new("RGB", (4, 4)), "a")
        assert gone.wait(20)
        assert service.loaded == ""


def test_a_folder_that_moved_keeps_its_rows_by_pixels(tmp_path: Path) -> None:
    """The state of a set may be copied along; keys and dates change, pixels do not."""
    run.tag(Mean(), kept(tmp_path / "s"), pictures(folder(tmp_path / "p")), Turn())
    shutil.copytree(tmp_path / "p", tmp_path / "q" / "inner", copy_function=shutil.copyfile)
    tagger = Mean()
    outcome = run.tag(tagger, kept(tmp_path / "s"), pictures(tmp_path / "q"), Turn())
    assert (tagger.seen, outcome.known) == (0, 11)
