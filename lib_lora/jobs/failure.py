"""What went wrong in a job → sentences for the user, and a log file for who mends it."""

from __future__ import annotations

import errno
import json
import logging
import platform
import traceback
from dataclasses import dataclass
from pathlib import Path

from lib_lora import __version__
from lib_lora.core.errors import HostError, LoraError
from lib_lora.core.files import write_text
from lib_lora.core.messages import Message, say
from lib_lora.core.settings import dump
from lib_lora.training.config import TrainConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in words, and the exit code a command line ends with. Holds no exception: its frames hold tensors."""

    messages: tuple[Message, ...]
    exit_code: int


def failure_of(error: BaseException, report: Path, config: TrainConfig) -> Failure:
    """Turn whatever ended a job into words. What was not raised on purpose is logged with its traceback in `report`."""
    if isinstance(error, LoraError):
        log.warning("the job ended: %s", error)
        return Failure(error.messages, error.exit_code)
    # As text: a log record that holds the exception holds its frames, and those hold the tensors of the run.
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    log.error("the job ended unexpectedly\n%s", trace)
    where = _written(report, trace, config)
    return Failure((_cause(error, where),), HostError.exit_code)


def short_of_memory(error: BaseException, where: str | Message) -> Message | None:
    """What to do when the memory did not suffice; None when that is not what happened. `where` is where the details are."""
    if not isinstance(error, MemoryError) and not _is_out_of_memory(error):
        return None
    return say(
        "The device has not enough memory for this: lower the batch size or the resolution, or tick Gradient checkpointing. Details are in {log}.",
        log=where,
    )


def _cause(error: BaseException, where: str | Message) -> Message:
    memory = short_of_memory(error, where)
    if memory is not None:
        return memory
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return say("The disk is full ({file}): make room and start again. Details are in {log}.", file=error.filename or "?", log=where)
    if isinstance(error, OSError):
        return say("A file could not be read or written: {text}. Details are in {log}.", text=str(error), log=where)
    return say("The training ended unexpectedly with {kind}: {text}. Details are in {log}.", kind=type(error).__name__, text=_first_line(error), log=where)


def _is_out_of_memory(error: BaseException) -> bool:
    # torch names its own class so, and says so in a plain RuntimeError on the CPU and on MPS; jobs does not import torch.
    text = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "not enough memory" in text or "can't allocate memory" in text)
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300].rstrip(".") or "?"


def _written(report: Path, trace: str, config: TrainConfig) -> str | Message:
    """Where the details are: the report, or the console where it cannot be written."""
    system = f"LoRA Studio {__version__}, Python {platform.python_version()}, {platform.platform()}"
    try:
        write_text(report, f"{system}\n\n{trace}\n{json.dumps(dump(config), indent=2, ensure_ascii=False)}\n")
    except OSError:
        log.exception("the report could not be written")
        return say("the console")
    return str(report)
