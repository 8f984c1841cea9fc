"""The command line, `python -m lib_lora`: every command's document on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Sequence

from lib_lora.cli.arguments import Arguments, parse
from lib_lora.cli.console import Console
from lib_lora.core.errors import HostError, LoraError
from lib_lora.core.messages import say

log = logging.getLogger(__name__)
INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 for usage and settings, 3 for data, 4 for the model or its host."""
    given = list(sys.argv[1:] if argv is None else argv)
    _speak_utf_8()
    console = Console.of(given)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _run(parse(given), console)
    except LoraError as error:
        console.fail(error.text(console.words))
        return error.exit_code
    except KeyboardInterrupt:
        console.fail(say("Interrupted.").text(console.words))
        return INTERRUPTED
    except Exception as error:
        log.exception("the command failed")
        console.fail(say("This did not work ({kind}: {text}).", kind=type(error).__name__, text=str(error)).text(console.words))
        return HostError.exit_code


def _speak_utf_8() -> None:
    """Whatever a pipe's code page is: JSON is UTF-8, and no sentence or file name may end the program that says it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def _run(arguments: Arguments, console: Console) -> int:
    # A library that prints must not get between a program and its document.
    with contextlib.redirect_stdout(sys.stderr) if console.json else contextlib.nullcontext():
        found = arguments.command(arguments.values, console)
    console.show(found)
    return found.exit_code
