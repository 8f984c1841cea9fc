"""The routes: each takes plain data, asks Jobs, and answers plain data or one sentence of what is wrong."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response

from lib_lora.api import bench as bench_routes
from lib_lora.api import checks, editing, older, pictures, preparing, repeats, tagging
from lib_lora.api.access import confine
from lib_lora.api.endpoint import FOREVER, PREFIX, Ask, Route, add, flag, text
from lib_lora.core.errors import ConfigError, NotFound
from lib_lora.core.messages import language_of, say, words
from lib_lora.core.settings import json_schema
from lib_lora.hosts.base import Host
from lib_lora.jobs import Jobs
from lib_lora.jobs.documents import config_of, plan_document, status_document
from lib_lora.training.config import TrainConfig
from lib_lora.workbench import Workbench


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
        return plan_document(self.jobs.plan(config, probe=flag(ask, "probe")), config, ask.words)

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
        self.jobs.stop(text(ask, "job"))
        return {"job": text(ask, "job")}

    def cancel(self, ask: Ask) -> dict[str, Any]:
        """End a training after the step at hand and save nothing."""
        self.jobs.cancel(text(ask, "job"))
        return {"job": text(ask, "job")}

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


def mount(app: FastAPI, jobs: Jobs, host: Host, bench: Workbench | None = None) -> None:
    """Add the routes to an app; an app that has them already stays as it is."""
    if any(getattr(route, "path", "") == f"{PREFIX}/status" for route in app.routes):
        return
    # Read now, so that no status request ever opens a file for its words.
    words(language_of("zh"))
    add(app, Answers(jobs, host).routes(), host)
    for room in (bench_routes, pictures, editing, tagging, older, preparing, repeats, checks) if bench else ():
        add(app, room.routes(bench), host)
