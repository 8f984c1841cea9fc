"""The body of a write: a JSON object of bounded length, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi import Request

from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say

LONGEST = 1024 * 1024  # bytes: a job is a few thousand


async def json_object(request: Request, known: Sequence[str], longest: int = LONGEST) -> dict[str, Any]:
    """Read it. Other types than JSON are refused: a page of another site can send those without being asked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ConfigError(say("Send a JSON body, with Content-Type application/json."))
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > longest:
            raise ConfigError(say("The body is too long: at most {bytes} bytes.", bytes=longest))
    try:
        body = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigError(say("The body is no JSON: {text}", text=str(error))) from error
    if not isinstance(body, dict):
        raise ConfigError(say("The body is no JSON object; its fields are {known}", known=list(known)))
    return body


def _no_number(name: str) -> Any:
    """Infinity and NaN, which Python reads and JSON does not have."""
    raise ValueError(name)
