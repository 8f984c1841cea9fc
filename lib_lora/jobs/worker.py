"""Jobs(host): starts a training on a thread of its own, asks it to end, remembers how it ended."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.core.errors import BusyError, ConfigError, DataError, HostError, NotFound
from lib_lora.core.messages import say
from lib_lora.hosts.base import Host, Lease
from lib_lora.jobs import memory
from lib_lora.jobs.failure import failure_of
from lib_lora.jobs.pace import Pace
from lib_lora.jobs.status import Status, Tracker
from lib_lora.model import ModelFacts
from lib_lora.training.config import TrainConfig
from lib_lora.training.control import Control
from lib_lora.training.events import Event

if TYPE_CHECKING:
    from lib_lora.dataset.scan import Looks
    from lib_lora.plan import Plan, Prepared

log = logging.getLogger(__name__)
REMEMBERED = 20
Run = Callable[[TrainConfig, Host, Control], Generator[Event, None, None]]


@dataclass(frozen=True)
class Job:
    """One training: what it was asked to do and on which model, how to ask it to end, and what is known of it.

    `report` is where the details of an unexpected end go.
    """

    config: TrainConfig
    facts: ModelFacts | None
    control: Control
    tracker: Tracker
    report: Path
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def id(self) -> str:
        """What it is asked for by."""
        return self.tracker.status.job


class Jobs:
    """The trainings of one host, one at a time. Reading never waits for the training: a Status is swapped whole.

    `run` is what a job does; only tests give another than `lib_lora.train.train`.
    """

    def __init__(self, host: Host, run: Run | None = None, remembered: int = REMEMBERED) -> None:
        self.host = host
        self._run = run or _train
        self._remembered = remembered
        self._jobs: dict[str, Job] = {}
        self._last: str | None = None
        self._recalled = False
        self._starting = threading.Lock()
        self._pace = Pace()
        self._looks: Looks | None = None

    def start(self, config: TrainConfig) -> str:
        """Begin a training and return its id. Raises for what can be known before: a problem of the plan, or a job that runs."""
        self._refuse_second()
        facts = self.host.facts(_lease(config).overrides)
        name = self._checked_plan(config, facts).name
        with self._starting:
            self._refuse_second()
            id = uuid.uuid4().hex[:12]
            job = Job(config, facts, Control(), Tracker(id, name, trigger=config.caption.trigger.strip()), self.host.paths().state / "logs" / f"{id}.log")
            self._recalled = True
            memory.forget(self.host.paths().state)
            # A daemon, so that a console that is closed does not hang on a step; an orderly end goes through `shutdown`.
            threading.Thread(target=self._work, args=(job,), name=f"lora-studio-{id}", daemon=True).start()
            # The order matters to readers without a lock: a job can be found before it is the last one.
            self._jobs = {**self._kept(), job.id: job}
            self._last = job.id
        return job.id

    def status(self, job: str | None = None) -> Status:
        """The Status of a job, or of the running or last one, even of an earlier server; an idle one when nothing was started yet."""
        self._recall()
        if job is None and self._last is None:
            return Status()
        found = self._found(job or self._last or "")
        status = found.tracker.status
        return replace(status, asked=found.control.request) if status.running else status

    def stop(self, job: str) -> None:
        """End after the step at hand and save. Nothing happens to a job that has ended."""
        self._found(job).control.stop()

    def cancel(self, job: str) -> None:
        """End after the step at hand and save nothing."""
        self._found(job).control.cancel()

    def files(self, job: str) -> tuple[Path, ...]:
        """The network files a job has written so far."""
        return self._found(job).tracker.status.files

    def plan(self, config: TrainConfig, probe: bool = False) -> Plan:
        """What the job would do. With `probe`, a few steps are measured where the model is free and nothing is known yet."""
        from lib_lora import plan as plans

        lease = _lease(config)
        facts = self.host.facts(lease.overrides)
        prepared = self._prepared(config)
        refusals = self.host.refusals(lease)
        seconds = self._pace.known(config, facts)
        if seconds is None and probe and prepared and prepared.placed and not refusals and not self.busy() and not self.host.busy():
            seconds = self._pace.measure(config, facts, self.host, prepared.placed)
        return plans.make(config, facts, self.host.paths(), refusals, seconds, prepared)

    def busy(self) -> bool:
        """Whether a training runs."""
        return self.status().running

    def wait(self, job: str, timeout: float | None = None) -> Status:
        """Wait until a job has ended or `timeout` seconds have passed; returns its Status either way."""
        self._found(job).ended.wait(timeout)
        return self.status(job)

    def shutdown(self, timeout: float = 30.0) -> bool:
        """Stop what runs, saving it, and wait for its end. Returns whether everything has ended."""
        running = [job for job in self._jobs.values() if not job.ended.is_set()]
        for job in running:
            job.control.stop()
        for job in running:
            job.ended.wait(timeout)
        left = [job.id for job in running if not job.ended.is_set()]
        if left:
            log.warning("still running after %s s: %s", timeout, left)
        return not left

    def _checked_plan(self, config: TrainConfig, facts: ModelFacts | None) -> Plan:
        """The plan, or one error that names everything in its way."""
        from lib_lora import plan as plans

        refusals = self.host.refusals(_lease(config))
        prepared = self._prepared(config)
        plan = plans.make(config, facts, self.host.paths(), refusals, prepared=prepared)
        if prepared and prepared.problems:
            raise DataError(*plan.problems)
        if plan.problems:
            raise (HostError if len(refusals) == len(plan.problems) else ConfigError)(*plan.problems)
        return plan

    def _prepared(self, config: TrainConfig) -> Prepared | None:
        """The scanned folder. A plan is asked for at every change of the form, so unchanged files are not opened again."""
        if not config.data.folder.strip():
            return None
        from lib_lora import plan as plans
        from lib_lora.dataset.scan import Looks  # not at the top: it brings Pillow and numpy, and `--help` needs neither

        self._looks = self._looks or Looks()
        return plans.prepare(config, self._looks.look)

    def _work(self, job: Job) -> None:
        try:
            with closing(self._run(job.config, self.host, job.control)) as events:
                for event in events:
                    job.tracker.take(event)
        except BaseException as error:  # noqa: BLE001 - the boundary of the thread: nothing above it could say what happened
            self._failed(job, error)
        else:
            self._pace.learn(job.config, job.facts, job.tracker.seconds_per_step())
            job.tracker.end(job.tracker.ending or "done")
        finally:
            try:
                memory.remember(self.host.paths().state, job.tracker.status)
            finally:
                job.ended.set()

    def _failed(self, job: Job, error: BaseException) -> None:
        asked = job.control.request
        if isinstance(error, BusyError) and asked:
            # It was asked to end while it still waited for the model.
            job.tracker.end("cancelled" if asked == "cancel" else "stopped")
            return
        failure = failure_of(error, job.report, job.config)
        job.tracker.end("failed", failure.messages, failure.exit_code)

    def _recall(self) -> None:
        """Once: the last training of the server before, as a job that has ended."""
        if self._recalled:
            return
        with self._starting:
            if self._recalled:
                return
            status = memory.recall(self.host.paths().state)
            if status is not None:
                tracker = Tracker(status.job, status.name)
                tracker.status = status
                job = Job(TrainConfig(), None, Control(), tracker, self.host.paths().state / "logs" / f"{status.job}.log")
                job.ended.set()
                self._jobs = {**self._jobs, job.id: job}
                self._last = job.id
            self._recalled = True

    def _refuse_second(self) -> None:
        status = self.status()
        if status.running:
            raise BusyError(say("{name} is being trained: wait for its end, or stop it first.", name=status.name or status.job))

    def _found(self, job: str) -> Job:
        self._recall()
        found = self._jobs.get(job)
        if found is None:
            raise NotFound(say("There is no job {job}: it was never started here, or it is too long ago.", job=job))
        return found

    def _kept(self) -> dict[str, Job]:
        """The jobs that stay in memory when another one is added: the newest."""
        return dict(list(self._jobs.items())[-(self._remembered - 1) :]) if self._remembered > 1 else {}


def _lease(config: TrainConfig) -> Lease:
    from lib_lora import plan

    return plan.lease_of(config)


def _train(config: TrainConfig, host: Host, control: Control) -> Generator[Event, None, None]:
    from lib_lora.train import train

    yield from train(config, host, control)
