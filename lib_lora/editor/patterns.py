"""Regular expressions that users write, run so that a bad one costs seconds and never the server.

Python's engine can take ages for a few characters ("(a+)+b") and holds the interpreter's lock meanwhile: no thread can end
it. Whatever could backtrack therefore runs in a small process of its own that is ended when its time is over.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say

LONGEST = 500  # characters of a pattern or a replacement
SECONDS = 2.0
LONGEST_RESULT = 20_000
# Without these a pattern has one way to match at a place, and takes a time proportional to the text.
BRANCHING = re.compile(r"[*+?{|(]")
CHILD = """
import json, re, sys
asked = json.loads(sys.stdin.buffer.read())
try:
    pattern = re.compile(asked["pattern"], asked["flags"])
    if asked["replacement"] is None:
        found = [pattern.search(text) is not None for text in asked["texts"]]
    else:
        found = [pattern.sub(asked["replacement"], text) for text in asked["texts"]]
    answer = {"found": found}
except (re.error, IndexError) as error:
    answer = {"error": str(error)}
sys.stdout.buffer.write(json.dumps(answer).encode("ascii"))
"""


def check(pattern: str, replacement: str = "") -> None:
    """ConfigError where a pattern is none, or is longer than anybody writes by hand."""
    if max(len(pattern), len(replacement)) > LONGEST:
        raise ConfigError(say("This pattern is too long: at most {n} characters.", n=LONGEST))
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(say("{pattern}: this is no regular expression ({why})", pattern=pattern, why=str(error))) from error


def search(pattern: str, texts: Sequence[str], ignore_case: bool = True) -> list[bool]:
    """Whether the pattern is found in each text."""
    return _run(pattern, None, texts, ignore_case)


def substitute(pattern: str, replacement: str, texts: Sequence[str], ignore_case: bool = False) -> list[str]:
    """Each text with what the pattern finds replaced; the replacement may name groups as \\1 or \\g<name>."""
    found = _run(pattern, replacement, texts, ignore_case)
    if any(len(text) > LONGEST_RESULT for text in found):
        raise ConfigError(say("The result would be longer than {n} characters: look at the replacement.", n=LONGEST_RESULT))
    return found


def _run(pattern: str, replacement: str | None, texts: Sequence[str], ignore_case: bool) -> list[Any]:
    check(pattern, replacement or "")
    flags = int(re.IGNORECASE) if ignore_case else 0
    # The same tag stands in many captions: each different text is looked at once.
    different = list(dict.fromkeys(texts))
    if replacement is None and not BRANCHING.search(pattern):
        compiled = re.compile(pattern, flags)
        found: list[Any] = [compiled.search(text) is not None for text in different]
    else:
        found = _in_child({"pattern": pattern, "replacement": replacement, "flags": flags, "texts": different}) if different else []
    known = dict(zip(different, found, strict=True))
    return [known[text] for text in texts]


def _in_child(asked: dict[str, Any]) -> list[Any]:
    command = [sys.executable, "-I", "-S", "-c", CHILD]
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        ended = subprocess.run(command, input=json.dumps(asked).encode("ascii"), capture_output=True, timeout=SECONDS, check=False, creationflags=hidden)  # noqa: S603 - our own program; what the user wrote is data
        answer = json.loads(ended.stdout)
    except subprocess.TimeoutExpired as error:
        told = say("This pattern takes longer than {n} seconds and was ended: write it without repeats inside of repeats, such as (a+)+.", n=f"{SECONDS:g}")
        raise ConfigError(told) from error
    except (OSError, ValueError) as error:
        raise ConfigError(say("This pattern could not be run ({why}).", why=str(error))) from error
    if "error" in answer:
        raise ConfigError(say("{pattern}: this is no regular expression ({why})", pattern=asked["pattern"], why=answer["error"]))
    return answer["found"]
