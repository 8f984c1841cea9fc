"""Jobs: one training at a time, asked to end from outside, read by anybody at any moment."""

from __future__ import annotations

import dataclasses
import errno
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from fakes import FakeModel
from hypothesis import given, settings
from hypothesis import strategies as st
from standin import FACTS, Script, StandInHost, job_of, jobs_of, pictures

from lib_lora.core.errors import BusyError, ConfigError, DataError, HostError, NotFound
from lib_lora.core.messages import say
from lib_lora.jobs import Jobs, Status
from lib_lora.jobs.documents import config_of, status_document
from lib_lora.jobs.status import CURVE_POINTS, Curve, Tracker
from lib_lora.training.config import TrainConfig
from lib_lora.training.events import Ended, Event, Phase, Phased, Planned, Previewed, Saved, Stepped, Warned

RunOf = Callable[..., Generator[Event, None, None]]


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return job_of(pictures(tmp_path / "pictures"))


def stepped(step: int, loss: float = 0.1, seconds: float = 0.5) -> Stepped:
    return Stepped(step, 1, loss, 1e-4, seconds)


def test_a_job_runs_to_its_end(tmp_path: Path, config: TrainConfig) -> None:
    script = Script(steps=5)
    jobs = jobs_of(tmp_path, script)
    assert jobs.status() == Status()
    job = jobs.start(config)
    assert script.reached.wait(20)
    during = jobs.status()
    assert (during.job, during.name, during.phase, during.step, during.steps) == (job, "sks", "training", 1, 5)
    assert during.running
    assert during.eta_s == pytest.approx(4 * 0.25)
    script.gate.set()
    after = jobs.wait(job, 20)
    assert (after.phase, after.step, after.exit_code, after.eta_s) == ("done", 5, 0, None)
    assert after.ended_at and after.ended_at >= after.started_at
    assert jobs.status() is after, "without an id, the last job"


def test_a_new_server_tells_how_the_last_training_ended(tmp_path: Path, config: TrainConfig) -> None:
    """In the reader's language, with the files that are still there; and only until another one begins."""
    left = tmp_path / "gone.safetensors"

    def told(*_: Any) -> Generator[Event, None, None]:
        left.write_bytes(b"")
        yield Planned(4, 2, 2)
        yield stepped(1, 0.3)
        yield Warned(say("Step {step} gave no finite number and was left out.", step=3))
        yield Saved(left, 1, False, 0.0)
        yield Saved(Path(__file__), 2, True, 0.0)
        yield Previewed(Path(__file__), 1)
        raise DataError(say("{a} of {b}", a=say("inner {n}", n=1), b=["x", say("y")]))

    jobs = jobs_of(tmp_path, told)
    ended = jobs.wait(jobs.start(config), 20)
    anew = jobs_of(tmp_path, Script())
    assert status_document(anew.status()) == status_document(ended)
    assert anew.status(ended.job).error[0].text({"inner {n}": "<{n}>"}) == "<1> of x, y"
    assert jobs_of(tmp_path, Script()).files(ended.job) == (left, Path(__file__)), "found by its id, too"
    left.unlink()
    assert jobs_of(tmp_path, Script()).status().files == (Path(__file__),)
    script = Script()
    anew = jobs_of(tmp_path, script)
    job = anew.start(config)
    assert script.reached.wait(20)
    assert jobs_of(tmp_path, Script()).status() == Status(), "a server that dies now leaves no older end behind"
    script.gate.set()
    assert anew.wait(job, 20).ended
    assert jobs_of(tmp_path, Script()).status().job == job


@pytest.mark.parametrize("held", ["", "{", "[]", "7", '{"job": "x"}', '{"job": "x", "phase": "training", "curve": [], "files": []}'])
def test_an_unreadable_memory_is_none(tmp_path: Path, held: str) -> None:
    jobs = jobs_of(tmp_path, Script())
    jobs.host.paths().state.mkdir(parents=True, exist_ok=True)
    (jobs.host.paths().state / "last_run.json").write_text(held, encoding="utf-8")
    assert jobs.status() == Status()


def test_a_snapshot_does_not_change(tmp_path: Path, config: TrainConfig) -> None:
    script = Script()
    jobs = jobs_of(tmp_path, script)
    jobs.start(config)
    assert script.reached.wait(20)
    before = jobs.status()
    copy = dataclasses.replace(before)
    script.gate.set()
    jobs.wait(before.job, 20)
    assert before == copy
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.step = 3  # type: ignore[misc]


def test_a_second_start_is_refused_until_the_first_has_ended(tmp_path: Path, config: TrainConfig) -> None:
    script = Script()
    jobs = jobs_of(tmp_path, script)
    first = jobs.start(config)
    with pytest.raises(BusyError, match="sks is being trained"):
        jobs.start(config)
    script.gate.set()
    jobs.wait(first, 20)
    second = jobs.start(config)
    assert second != first
    assert jobs.wait(second, 20).phase == "done"
    assert jobs.status(first).phase == "done", "an ended job is remembered"


def test_two_starts_at_once_make_one_job(tmp_path: Path, config: TrainConfig) -> None:
    script = Script()
    jobs = jobs_of(tmp_path, script)
    barrier, outcomes = threading.Barrier(4), []

    def start() -> None:
        barrier.wait()
        try:
            outcomes.append(jobs.start(config))
        except BusyError:
            outcomes.append("busy")

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    script.gate.set()
    assert sorted(outcome == "busy" for outcome in outcomes) == [False, True, True, True]
    jobs.shutdown(20)


@pytest.mark.parametrize(("ask", "phase"), [("stop", "stopped"), ("cancel", "cancelled")])
def test_stop_and_cancel(tmp_path: Path, config: TrainConfig, ask: str, phase: str) -> None:
    script = Script(steps=50)
    jobs = jobs_of(tmp_path, script)
    job = jobs.start(config)
    assert script.reached.wait(20)
    getattr(jobs, ask)(job)
    assert jobs.status(job).asked == ask
    script.gate.set()
    status = jobs.wait(job, 20)
    assert (status.phase, status.step, status.exit_code, status.error) == (phase, 1, 0, ())
    getattr(jobs, ask)(job)
    assert jobs.status(job) == status, "an ended job is not changed by being asked again"


def test_ending_the_wait_for_the_model_is_no_failure(tmp_path: Path, config: TrainConfig) -> None:
    def run(_: Any, __: Any, control: Any) -> Generator[Event, None, None]:
        yield Phased("waiting")
        waits.set()
        assert gate.wait(20)
        raise BusyError(say("The wait for the model was ended."))

    for ask, phase in (("stop", "stopped"), ("cancel", "cancelled")):
        waits, gate = threading.Event(), threading.Event()
        jobs = jobs_of(tmp_path, run)
        job = jobs.start(config)
        assert waits.wait(20)
        getattr(jobs, ask)(job)
        gate.set()
        assert jobs.wait(job, 20).phase == phase
        assert not jobs.status(job).error


def test_unknown_jobs_are_not_found(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, Script())
    for ask in (jobs.status, jobs.stop, jobs.cancel, jobs.files, jobs.wait):
        with pytest.raises(NotFound, match="nothere"):
            ask("nothere")


def test_old_jobs_are_forgotten(tmp_path: Path, config: TrainConfig) -> None:
    script = Script()
    script.gate.set()
    jobs = Jobs(StandInHost(tmp_path), script, remembered=2)
    ids = []
    for _ in range(3):
        ids.append(jobs.start(config))
        jobs.wait(ids[-1], 20)
    with pytest.raises(NotFound):
        jobs.status(ids[0])
    assert [jobs.status(id).phase for id in ids[1:]] == ["done", "done"]


def test_shutdown_stops_and_waits(tmp_path: Path, config: TrainConfig) -> None:
    script = Script(steps=50)
    jobs = jobs_of(tmp_path, script)
    job = jobs.start(config)
    assert script.reached.wait(20)
    assert not jobs.shutdown(timeout=0.01), "it says that something still runs"
    script.gate.set()
    assert jobs.shutdown(timeout=20)
    assert jobs.status(job).phase == "stopped"


def test_what_is_wrong_with_a_job_is_said_before_a_thread_begins(tmp_path: Path, config: TrainConfig) -> None:
    jobs = jobs_of(tmp_path, Script())
    with pytest.raises(DataError, match="nowhere"):
        jobs.start(job_of(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="Both learning rates are 0"):
        jobs.start(job_of(tmp_path / "pictures", learning={"unet_lr": 0, "text_encoder_lr": 0}))
    refusing = jobs_of(tmp_path, Script(), refused=(say("Start the WebUI without --lowvram."),))
    with pytest.raises(HostError, match="lowvram"):
        refusing.start(config)
    for of in (jobs, refusing):
        assert of.status() == Status()


def test_an_error_raised_on_purpose_is_told_in_its_words(tmp_path: Path, config: TrainConfig) -> None:
    script = Script(fails=HostError(say("The model was unloaded ({n}).", n=1), say("Load it again.")))
    script.gate.set()
    jobs = jobs_of(tmp_path, script)
    status = jobs.wait(jobs.start(config), 20)
    assert (status.phase, status.exit_code) == ("failed", 4)
    chinese = {"The model was unloaded ({n}).": "模型已被卸载 ({n})。", "Load it again.": "请重新加载。"}
    assert status_document(status)["error"] == "The model was unloaded (1).\nLoad it again."
    assert status_document(status, chinese)["error"] == "模型已被卸载 (1)。\n请重新加载。"
    assert not (tmp_path / "state" / "logs").exists(), "there is nothing to be mended by a programmer"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "not enough memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})(), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "x.safetensors"), "disk is full (x.safetensors)"),
        (PermissionError(errno.EACCES, "Permission denied", "x.safetensors"), "could not be read or written"),
    ],
)
def test_an_unexpected_end_is_told_with_where_the_details_are(tmp_path: Path, config: TrainConfig, error: Exception, words: str) -> None:
    script = Script(fails=error)
    script.gate.set()
    jobs = jobs_of(tmp_path, script)
    job = jobs.start(config)
    status = jobs.wait(job, 20)
    assert (status.phase, status.exit_code) == ("failed", 4)
    report = tmp_path / "state" / "logs" / f"{job}.log"
    told = status_document(status)["error"]
    assert words in told and str(report) in told
    assert "Traceback" in report.read_text(encoding="utf-8") and "standin.py" in report.read_text(encoding="utf-8")
    assert jobs.start(config), "the next one may start"
    jobs.shutdown(20)


def test_a_report_that_cannot_be_written_is_no_second_error(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "state").write_text("a file where a folder should be", encoding="utf-8")
    script = Script(fails=ZeroDivisionError("x"))
    script.gate.set()
    jobs = jobs_of(tmp_path, script)
    status = jobs.wait(jobs.start(config), 20)
    assert status.phase == "failed" and "the console" in status_document(status)["error"]


def test_no_exception_is_held(tmp_path: Path, config: TrainConfig) -> None:
    """The frames of a traceback hold the tensors of a run; a job that failed must not keep them."""
    import gc
    import weakref

    class Big:
        pass

    kept: list[weakref.ref] = []

    def run(*_: Any) -> Generator[Event, None, None]:
        big = Big()
        kept.append(weakref.ref(big))
        yield Phased("training")
        raise RuntimeError("boom")

    jobs = jobs_of(tmp_path, run)
    assert jobs.wait(jobs.start(config), 20).phase == "failed"
    for thread in threading.enumerate():
        if thread.name.startswith("lora-studio-"):
            thread.join(20)
    gc.collect()
    assert kept[0]() is None


def test_a_run_is_closed_when_an_event_cannot_be_taken(tmp_path: Path, config: TrainConfig) -> None:
    closed = threading.Event()

    def run(*_: Any) -> Generator[Event, None, None]:
        try:
            yield Stepped("not a number", 1, "x", 0, "y")  # type: ignore[arg-type]
        finally:
            closed.set()

    jobs = jobs_of(tmp_path, run)
    assert jobs.wait(jobs.start(config), 20).phase == "failed"
    assert closed.is_set(), "the model would stay borrowed"


def test_the_model_is_back_before_a_job_is_called_done(tmp_path: Path, config: TrainConfig) -> None:
    ended, back = threading.Event(), threading.Event()

    def run(*_: Any) -> Generator[Event, None, None]:
        yield Planned(1, 1, 1)
        yield Ended("done", 1)
        ended.set()
        assert back.wait(20)

    jobs = jobs_of(tmp_path, run)
    job = jobs.start(config)
    assert ended.wait(20)
    assert jobs.status(job).running
    back.set()
    assert jobs.wait(job, 20).phase == "done"


def test_reading_waits_for_nothing_a_training_does(tmp_path: Path, config: TrainConfig) -> None:
    """The training's thread stands still, inside an event, for the whole of this test."""
    script = Script(steps=3)
    jobs = jobs_of(tmp_path, script)
    job = jobs.start(config)
    assert script.reached.wait(20)
    seen: list[Any] = []
    reader = threading.Thread(target=lambda: seen.extend([jobs.status(job), jobs.status(), jobs.files(job), jobs.stop(job)]))
    reader.start()
    reader.join(5)
    assert not reader.is_alive() and seen[0].step == 1
    script.gate.set()
    jobs.wait(job, 20)


# --- events → Status ---


def test_files_previews_and_warnings_gather() -> None:
    tracker = Tracker("j", "n", now=1.0)
    first, last = Path("a.safetensors"), Path("b.safetensors")
    for event in (Saved(first, 1, False, 0.0), Warned(say("careful")), Saved(last, 2, True, 0.0), Saved(first, 3, False, 0.0), Previewed(Path("p.png"), 1)):
        tracker.take(event)
    assert tracker.status.files == (last, first)
    assert tracker.status.previews == (Previewed(Path("p.png"), 1),)
    assert [message.text() for message in tracker.status.warnings] == ["careful"]


def test_time_left_counts_steps_and_not_what_came_before() -> None:
    tracker = Tracker("j", "n", now=0.0)
    tracker.take(Phased("caching", say("Encoding pictures"), 10, 40))
    assert tracker.status.eta_s is None and (tracker.status.done, tracker.status.total) == (10, 40)
    tracker.take(Planned(100, 50, 2))
    tracker.take(stepped(1, seconds=60.0))
    for step in range(2, 12):
        tracker.take(stepped(step, seconds=0.5))
    assert tracker.status.eta_s == pytest.approx(89 * 0.5), "the slow first step does not count"
    assert tracker.status.speed == pytest.approx(2.0)
    assert (tracker.status.done, tracker.status.total) == (0, 0)


def test_loss_is_smoothed_without_a_slow_start() -> None:
    tracker = Tracker("j", "n", now=0.0)
    for step in range(1, 20):
        assert tracker.take(stepped(step, loss=0.25)).loss == pytest.approx(0.25)
    jump = tracker.take(stepped(20, loss=10.0)).loss
    assert jump is not None and 0.25 < jump < 2.0


@given(st.integers(1, 9000), st.sampled_from([4, 50, CURVE_POINTS]))
@settings(max_examples=40, deadline=None)
def test_a_curve_is_bounded_and_keeps_its_shape(steps: int, limit: int) -> None:
    curve = Curve(limit)
    for step in range(1, steps + 1):
        curve.add(step, float(step))
    points = curve.points
    assert len(points) < max(limit, 2)
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    if steps < limit:
        assert points == tuple((step, float(step)) for step in range(1, steps + 1))
    width = points[0][0]
    for step, loss in points:
        assert loss == pytest.approx(step - (width - 1) / 2), "each point is the mean of the steps it stands for"
    assert steps - points[-1][0] < width, "nothing but the open point is missing at the end"


def test_a_loss_that_ran_away_is_still_json() -> None:
    tracker = Tracker("j", "n", now=0.0)
    tracker.take(Planned(2, 2, 1))
    tracker.take(stepped(1, loss=float("nan")))
    document = json.loads(json.dumps(status_document(tracker.status), allow_nan=False))
    assert document["loss"] is None and document["curve"] == [[1, None]]


# --- plans and their time ---


class LendingHost(StandInHost):
    """A stand-in that has a small real model to lend, when it is free."""

    taken = False

    @contextmanager
    def borrow(self, lease: Any, waiting: Callable[[], bool]) -> Any:
        self.leases.append(lease)
        if self.taken and not waiting():
            raise BusyError(say("The wait for the model was ended."))
        yield FakeModel()


def test_a_plan_measures_only_when_it_is_asked_to(tmp_path: Path, config: TrainConfig) -> None:
    host = LendingHost(tmp_path)
    jobs = Jobs(host, Script())
    assert jobs.plan(config).seconds is None and not host.leases
    measured = jobs.plan(config, probe=True)
    assert measured.seconds is not None and measured.seconds > 0 and len(host.leases) == 1
    again = jobs.plan(config, probe=True)
    assert again.seconds == measured.seconds and len(host.leases) == 1, "what is known is not measured again"
    other = dataclasses.replace(config, learning=dataclasses.replace(config.learning, batch_size=3))
    assert jobs.plan(other).seconds is None


def test_a_busy_model_is_not_waited_for(tmp_path: Path, config: TrainConfig) -> None:
    host = LendingHost(tmp_path)
    host.taken = True
    assert Jobs(host, Script()).plan(config, probe=True).seconds is None


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), MemoryError()])
def test_a_probe_without_enough_memory_says_what_to_do(
    tmp_path: Path, config: TrainConfig, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("lib_lora.training.loop.run", full)
    with pytest.raises(HostError, match="lower the batch size or the resolution"):
        Jobs(LendingHost(tmp_path), Script()).plan(config, probe=True)
    assert type(error).__name__ in caplog.text, "who mends it finds where it happened"


def test_a_probe_that_fails_otherwise_is_not_said_to_lack_memory(tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("lib_lora.training.loop.run", broken)
    with pytest.raises(ZeroDivisionError):
        Jobs(LendingHost(tmp_path), Script()).plan(config, probe=True)


def test_a_run_teaches_the_next_plan(tmp_path: Path, config: TrainConfig) -> None:
    script = Script(steps=6)
    script.gate.set()
    jobs = jobs_of(tmp_path, script)
    jobs.wait(jobs.start(config), 20)
    plan = jobs.plan(config)
    assert plan.seconds == pytest.approx(0.25 * plan.steps)


def test_a_plan_needs_no_model(tmp_path: Path, config: TrainConfig) -> None:
    plan = jobs_of(tmp_path, Script(), model=None).plan(config, probe=True)
    assert (plan.images, plan.steps, plan.problems) == (3, 300, ())
    assert jobs_of(tmp_path, Script()).plan(config).sentences[0].text() == f"Trains on {FACTS.name} (SD1)."


# --- jobs as plain data ---


def test_the_document_knows_only_the_phases_that_are_promised() -> None:
    promised = {"preparing", "caching", "training", "saving", "done", "stopped", "cancelled", "failed"}
    assert {status_document(Status(phase=phase))["phase"] for phase in get_args(Phase)} == promised


def test_a_job_that_waits_says_what_for() -> None:
    tracker = Tracker("x", "sks")
    tracker.take(Phased("waiting", say("Waiting until the model is free")))
    found = status_document(tracker.status)
    assert (found["phase"], found["message"], found["running"]) == ("preparing", "Waiting until the model is free", True)


def test_a_job_may_be_nested_or_dotted() -> None:
    nested = config_of({"network": {"kind": "lora", "rank": 4}, "data": {"folder": "x"}})
    assert nested == config_of({"network.rank": 4, "network.kind": "lora", "data.folder": "x"}) == config_of({"network": {"rank": 4}, "data.folder": "x"})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "object of settings"),
        ("x", "object of settings"),
        ({"network": 3, "network.rank": 4}, "network.rank"),
        ({"network.rank": 4, "network": 3}, "network"),
        ({"netwrk": {"rank": 4}}, "netwrk"),
        ({"network": {"kind": []}}, "network.kind"),
        ({"learning": {"epochs": float("inf")}}, "learning.epochs"),
        ({"learning": {"epochs": None, "unet_lr": "fast"}}, "learning.unet_lr"),
        ({"data": {"resolution": [1, 2, 3]}}, "data.resolution"),
    ],
)
def test_a_wrong_job_is_told_what_is_wrong(raw: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config_of(raw)
