"""The routes: each takes plain data, asks Jobs, and answers plain data or one sentence of what is wrong."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from lib_lora.api.access import LoginError, confine, refuse_other_sites, require_login
from lib_lora.api.body import json_object
from lib_lora.core.errors import ConfigError, LoraError, NotFound
from lib_lora.core.messages import language_of, say, words
from lib_lora.core.settings import json_schema
from lib_lora.hosts.base import Host
from lib_lora.jobs import Jobs
from lib_lora.jobs.documents import config_of, plan_document, status_document
from lib_lora.training.config import TrainConfig

log = logging.getLogger(__name__)
PREFIX = "/lora-studio/v1"
FRESH = {"Cache-Control": "no-store"}
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # an address names one picture of one job


@dataclass(frozen=True)
class Ask:
    """A request as the handlers see it."""

    words: Mapping[str, str]
    query: Mapping[str, str]
    path: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One address. `fields` of a POST's body are (name, required); a `quick` one answers in the event loop."""

    method: str
    path: str
    answer: Callable[[Ask], Any]
    fields: Mapping[str, bool] = field(default_factory=dict)
    quick: bool = False


class Answers:
    """What the routes answer, from Jobs."""

    def __init__(self, jobs: Jobs, host: Host) -> None:
        self.jobs = jobs
        self.host = host
        # Another one after every start of the server: a page sees by it that the jobs it knew are gone.
        self.boot = uuid.uuid4().hex

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        job = {"job": True}
        return (
            Route("GET", "schema", self.schema),
            Route("POST", "plan", self.plan, {"config": True, "probe": False}),
            Route("POST", "start", self.start, {"config": True}),
            Route("GET", "status", self.status, quick=True),
            Route("POST", "stop", self.stop, job),
            Route("POST", "cancel", self.cancel, job),
            Route("GET", "files", self.files),
            Route("GET", "preview/{job}/{number}", self.preview),
            Route("GET", "words", self.words),
        )

    def schema(self, ask: Ask) -> dict[str, Any]:
        """Every setting with its type, default, range and help, in sections; what is read, in the asker's language."""
        found = json_schema(TrainConfig)
        sections = {name: ask.words.get(label, label) for name, label in found["sections"].items()}
        settings = [one | {key: ask.words.get(one[key], one[key]) for key in ("label", "help")} for one in found["settings"]]
        return {"sections": sections, "settings": settings}

    def plan(self, ask: Ask) -> dict[str, Any]:
        """What a job would do: numbers, sentences, and problems that keep it from starting."""
        config = self._config(ask)
        return plan_document(self.jobs.plan(config, probe=_flag(ask, "probe")), config, ask.words)

    def start(self, ask: Ask) -> dict[str, Any]:
        """Start a training: {"job": id}."""
        return {"job": self.jobs.start(self._config(ask))}

    def status(self, ask: Ask) -> dict[str, Any]:
        """What is known of a job (without `job`: of the running or last one); the curve after step `since`."""
        since = ask.query.get("since") or "0"
        if not since.isdecimal() or len(since) > 12:
            raise ConfigError(say("{name}: {value} is no {type}", name="since", value=repr(since), type="int"))
        status = self.jobs.status(ask.query.get("job") or None)
        return status_document(status, ask.words, int(since)) | {"boot": self.boot}

    def stop(self, ask: Ask) -> dict[str, Any]:
        """End a training after the step at hand and save it."""
        self.jobs.stop(_text(ask, "job"))
        return {"job": _text(ask, "job")}

    def cancel(self, ask: Ask) -> dict[str, Any]:
        """End a training after the step at hand and save nothing."""
        self.jobs.cancel(_text(ask, "job"))
        return {"job": _text(ask, "job")}

    def files(self, ask: Ask) -> dict[str, Any]:
        """The network files a job has written."""
        job = ask.query.get("job") or self.jobs.status().job
        return {"job": job, "files": [str(path) for path in self.jobs.files(job)]}

    def preview(self, ask: Ask) -> Response:
        """A preview picture of a job, by its number."""
        job, number = ask.path["job"], ask.path["number"]
        previews = self.jobs.status(job).previews
        # The path is the job's own word; nothing of the address becomes part of it.
        if not number.isdecimal() or len(number) > 6 or int(number) >= len(previews) or not previews[int(number)].path.is_file():
            raise NotFound(say("Job {job} has no preview {number}.", job=job, number=number))
        return FileResponse(previews[int(number)].path, headers=FOREVER)

    def words(self, ask: Ask) -> dict[str, str]:
        """The dictionary of a language: English template → sentence; empty for English."""
        return dict(ask.words)

    def _config(self, ask: Ask) -> TrainConfig:
        config = config_of(ask.body["config"])
        confine(config, self.host.paths().roots)
        return config


def mount(app: FastAPI, jobs: Jobs, host: Host) -> None:
    """Add the routes to an app; an app that has them already stays as it is."""
    if any(getattr(route, "path", "") == f"{PREFIX}/status" for route in app.routes):
        return
    # Read now, so that no status request ever opens a file for its words.
    words(language_of("zh"))
    for route in Answers(jobs, host).routes():
        app.add_api_route(
            f"{PREFIX}/{route.path}",
            _endpoint(route, host),
            methods=[route.method],
            response_model=None,
            name=f"lora_studio_{route.path.split('/')[0]}",
            summary=route.answer.__doc__,
            tags=["LoRA Studio"],
        )


def _endpoint(route: Route, host: Host) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        language = words(language_of(request.query_params.get("lang") or request.headers.get("accept-language", "")))
        try:
            require_login(request, host.access())
            if route.method == "POST":
                refuse_other_sites(request)
            body = await _body(request, route.fields) if route.method == "POST" else {}
            ask = Ask(language, request.query_params, request.path_params, body)
            found = route.answer(ask) if route.quick else await run_in_threadpool(route.answer, ask)
        except LoraError as error:
            headers = {"WWW-Authenticate": "Basic"} if isinstance(error, LoginError) and host.access().basic else {}
            return JSONResponse({"error": error.text(language)}, error.http, FRESH | headers)
        except Exception as error:
            log.exception("%s %s failed", route.method, route.path)
            told = say("This did not work ({kind}: {text}). The server's log says where.", kind=type(error).__name__, text=str(error))
            return JSONResponse({"error": told.text(language)}, 500, FRESH)
        return found if isinstance(found, Response) else JSONResponse(found, headers=FRESH)

    return endpoint


async def _body(request: Request, fields: Mapping[str, bool]) -> dict[str, Any]:
    """The fields of a body: all of the required ones, and no others."""
    body = await json_object(request, list(fields))
    unknown = [say("{name}: unknown field; known here: {known}", name=name, known=list(fields)) for name in body if name not in fields]
    missing = [say("{name}: this field is missing", name=name) for name, required in fields.items() if required and name not in body]
    if unknown or missing:
        raise ConfigError(*unknown, *missing)
    return body


def _text(ask: Ask, name: str) -> str:
    value = ask.body[name]
    if not isinstance(value, str):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value), type="text"))
    return value


def _flag(ask: Ask, name: str) -> bool:
    value = ask.body.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(say("{name}: {value} is no {type}", name=name, value=repr(value), type="bool"))
    return value
