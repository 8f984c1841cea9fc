"""A route: what it is asked, what it may be told, and how an answer or a sentence of what is wrong goes back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.routing import Route as AnyRoute
from starlette.types import Scope

from lib_lora.api.access import LoginError, refuse_other_sites, require_login
from lib_lora.api.body import LONGEST, json_object
from lib_lora.core.errors import ConfigError, LoraError
from lib_lora.core.messages import language_of, say, words
from lib_lora.hosts.base import Host

log = logging.getLogger(__name__)
PREFIX = "/lora-studio/v1"
DATASET = "dataset/"
SENDER = ("set", "client")
LARGEST = 10**15  # of a number
LOWEST, HIGHEST = 256, 2048  # sides of the resolution
FRESH = {"Cache-Control": "no-store"}
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # for an address that names its content


@dataclass(frozen=True)
class Ask:
    """A request as the handlers see it."""

    words: Mapping[str, str]
    query: Mapping[str, str]
    path: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One address. `fields` of a POST's body are (name, required), `longest` its bytes; a `quick` one answers in the event loop.

    A `bare` one needs no body. A path that begins with / is an address of another program's: ours answers there only
    while nothing else does, lets fields pass that it does not know, and calls an error `detail`, too.
    """

    method: str
    path: str
    answer: Callable[[Ask], Any]
    fields: Mapping[str, bool] = field(default_factory=dict)
    quick: bool = False
    longest: int = LONGEST
    bare: bool = False

    @property
    def foreign(self) -> bool:
        """Whether the address is another program's."""
        return self.path.startswith("/")


def add(app: FastAPI, routes: Sequence[Route], host: Host) -> None:
    """Add routes to an app, under PREFIX."""
    for route in routes:
        app.router.add_api_route(
            route.path if route.foreign else f"{PREFIX}/{route.path}",
            _endpoint(route, host),
            methods=[route.method],
            response_model=None,
            name=f"lora_studio_{route.path.split('/{')[0].strip('/').replace('/', '_')}",
            summary=route.answer.__doc__,
            tags=["LoRA Studio"],
            route_class_override=_Yielding if route.foreign else None,
        )


class _Yielding(APIRoute):
    """Steps aside for a route of another extension at the same address, which may be added after ours."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Never before one of theirs."""
        found = super().matches(scope)
        if found[0] is not Match.FULL:
            return found
        theirs = [one for one in scope["app"].routes if isinstance(one, AnyRoute) and not isinstance(one, _Yielding) and one.path == self.path]
        return (Match.NONE, {}) if any(one.matches(scope)[0] is Match.FULL for one in theirs) else found


def text(ask: Ask, name: str, default: str | None = None) -> str:
    """A text of the body; ConfigError where it is something else. Without `default` it has to be there."""
    value = ask.body.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value), type="text"))
    return value


def flag(ask: Ask, name: str, default: bool = False) -> bool:
    """A yes or no of the body."""
    value = ask.body.get(name, default)
    if not isinstance(value, bool):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value), type="bool"))
    return value


def number(ask: Ask, name: str, default: float) -> float:
    """A number of the body that a computer can work with: neither infinite nor of hundreds of digits."""
    value = ask.body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value)[:200], type="float"))
    return value


def resolution(ask: Ask, lowest: int = LOWEST) -> int:
    """The side of the resolution in the body; 0, as where there is none, for the one that is used without asking."""
    value = number(ask, "resolution", 0)
    if value and not (lowest <= value <= HIGHEST and value == int(value)):
        # A picture's bucket is found by counting sides up to this one.
        raise ConfigError(say("resolution: {value} is not between {low} and {high}", value=value, low=lowest, high=HIGHEST))
    return int(value)


def texts(ask: Ask, name: str) -> list[str]:
    """A list of texts of the body; empty where it is not there."""
    value = ask.body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value)[:200], type="list of texts"))
    return value


def _endpoint(route: Route, host: Host) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        language = words(language_of(request.query_params.get("lang") or request.headers.get("accept-language", "")))
        try:
            require_login(request, host.access())
            if route.method == "POST":
                refuse_other_sites(request)
            body = await _body(request, route) if route.method == "POST" and not route.bare else {}
            ask = Ask(language, request.query_params, request.path_params, body)
            found = route.answer(ask) if route.quick else await run_in_threadpool(route.answer, ask)
        except LoraError as error:
            headers = {"WWW-Authenticate": "Basic"} if isinstance(error, LoginError) and host.access().basic else {}
            return JSONResponse(_told(route, error.text(language)), error.http, FRESH | headers)
        except Exception as error:
            log.exception("%s %s failed", route.method, route.path)
            told = say("This did not work ({kind}: {text}). The server's log says where.", kind=type(error).__name__, text=str(error))
            return JSONResponse(_told(route, told.text(language)), 500, FRESH)
        return found if isinstance(found, Response) else JSONResponse(found, headers=FRESH)

    return endpoint


def _told(route: Route, sentence: str) -> dict[str, str]:
    return {"error": sentence, **({"detail": sentence} if route.foreign else {})}


async def _body(request: Request, route: Route) -> dict[str, Any]:
    """The fields of a body: all of the required ones, and no others."""
    # Every page of ours says which set it shows and which browser it is; a route that does not need it lets it pass.
    fields = {**route.fields, **({name: route.fields.get(name, False) for name in SENDER} if route.path.startswith(DATASET) else {})}
    body = await json_object(request, list(fields), route.longest)
    unknown = [say("{name}: unknown field; known here: {known}", name=name, known=list(fields)) for name in body if name not in fields and not route.foreign]
    missing = [say("{name}: this field is missing", name=name) for name, required in fields.items() if required and name not in body]
    if unknown or missing:
        raise ConfigError(*unknown, *missing)
    return body
