"""Commands around a job: plan, train, page, demo."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.cli.console import Console, Found
from lib_lora.cli.jobfile import read_job
from lib_lora.cli.progress import follow
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import Message, say
from lib_lora.core.settings import load
from lib_lora.hosts.base import Host, HostPaths
from lib_lora.jobs import Jobs, Status
from lib_lora.jobs.documents import plan_document, status_document
from lib_lora.training.config import TrainConfig

if TYPE_CHECKING:
    from lib_lora.plan import Plan


def plan(values: argparse.Namespace, console: Console) -> Found:
    """What a job would do. Without a checkpoint nothing of torch is needed."""
    config = read_job(values.job, values.set)
    if values.checkpoint:
        found = Jobs(_host(values.checkpoint, values.output)).plan(config, values.probe)
    else:
        from lib_lora import plan as plans

        found = plans.make(config, None, HostPaths(values.output, values.output / ".lora-studio"))
    return Found(plan_document(found, config, console.words), tuple(_plan_lines(found, console)))


def train(values: argparse.Namespace, console: Console) -> Found:
    """Train a job to its end."""
    config = read_job(values.job, values.set)
    checkpoint, warnings = values.checkpoint, []
    if checkpoint is None:
        checkpoint = _default_checkpoint(values.output)
        note = say("No checkpoint was named: this trains on the embedded small model, to see the way. For a LoRA to use, add --checkpoint FILE.")
        warnings.append(console.text(note))
        console.tell(warnings[0])
    status = _trained(Jobs(_host(checkpoint, values.output)), config, console)
    document = status_document(status, console.words)
    document["warnings"] = [*warnings, *document["warnings"]]
    return Found(document, _end_lines(status, console), status.exit_code)


def page(values: argparse.Namespace, console: Console) -> Found:
    """Open the stand-alone page, until Ctrl-C; the document is the last job's."""
    host = _host(values.checkpoint or _default_checkpoint(values.output), values.output)
    jobs = Jobs(host)
    _serve(jobs, host, values, console)
    return Found(status_document(jobs.status(), console.words))


def demo(values: argparse.Namespace, console: Console) -> Found:
    """Train on the embedded default set; its last line names the file."""
    from lib_lora import demo as demos

    made = demos.make(_demo_folder(values.output))
    host = _host(made.checkpoint, values.output)
    jobs = Jobs(host)
    status = _trained(jobs, load(TrainConfig, made.job), console)
    document, lines = status_document(status, console.words), _end_lines(status, console)
    if status.files:
        lines = (*lines, f"lora: {_shown(status.files[-1])}")
    found = Found(document, lines, status.exit_code)
    if status.exit_code or values.headless:
        return found
    # Before the page, which lasts until Ctrl-C; afterwards there is nothing more to say.
    console.show(found)
    _serve(jobs, host, values, console)
    return Found()


def _trained(jobs: Jobs, config: TrainConfig, console: Console) -> Status:
    job = jobs.start(config)
    with _interrupts(jobs, job, console):
        return follow(jobs, job, console)


@contextmanager
def _interrupts(jobs: Jobs, job: str, console: Console) -> Iterator[None]:
    """While open, the first Ctrl-C stops the job and saves, the second cancels it, the third ends the program."""
    asked: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        del frame
        asked.append(number)
        if len(asked) == 1:
            console.tell(console.text(say("Stopping after this step, then saving. Press Ctrl-C again to cancel without saving.")))
            jobs.stop(job)
        elif len(asked) == 2:
            console.tell(console.text(say("Cancelling.")))
            jobs.cancel(job)
        else:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _serve(jobs: Jobs, host: Host, values: argparse.Namespace, console: Console) -> None:
    from lib_lora.app import standalone

    console.note(console.text(say("The page: {address} (Ctrl-C ends it)", address=f"http://127.0.0.1:{values.port}/")))
    # Ctrl-C is how a page is ended, so it is no interruption; newer uvicorns hand it on after they have closed.
    with suppress(KeyboardInterrupt):
        standalone(host, values.port, open_browser=not values.no_browser, jobs=jobs)


def _host(checkpoint: Path, output: Path) -> Host:
    if not checkpoint.is_file():
        raise ConfigError(say("{file}: there is no such file", file=str(checkpoint)))
    from lib_lora.hosts.diffusers import DiffusersHost

    return DiffusersHost(checkpoint.absolute(), output.absolute())


def _default_checkpoint(output: Path) -> Path:
    from lib_lora import demo as demos

    return demos.make(_demo_folder(output)).checkpoint


def _demo_folder(output: Path) -> Path:
    # Out of sight, because every .safetensors directly in the output folder is taken for a LoRA.
    return output / ".lora-studio" / "demo"


def _shown(path: Path) -> str:
    """As a person would type it from here."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _plan_lines(found: Plan, console: Console) -> list[str]:
    def marked(mark: str, messages: tuple[Message, ...]) -> list[str]:
        return [f"{mark} {console.text(message)}" for message in messages]

    return [*marked("✗", found.problems), *marked("•", found.sentences), *marked("!", found.warnings)]


def _end_lines(status: Status, console: Console) -> tuple[str, ...]:
    warnings = [f"! {console.text(message)}" for message in status.warnings]
    errors = [f"✗ {console.text(message)}" for message in status.error]
    files = [_shown(path) for path in status.files]
    return (*warnings, *errors, *files)
