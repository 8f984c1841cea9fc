"""Scripts, style and words in the head of the stand-alone page, as a WebUI puts them into its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from lib_lora.core.messages import language_of, words

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "javascript"
STYLE = ROOT / "style.css"
STATIC = "/lora-studio/page"

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Send], Awaitable[None]]


def mount_files(app: FastAPI) -> None:
    """Serve the scripts and the style. Before gradio is mounted at "/", which answers everything after it."""

    async def style() -> FileResponse:
        return FileResponse(STYLE, media_type="text/css")

    app.add_api_route(f"{STATIC}/style.css", style, methods=["GET"], response_model=None)
    app.mount(f"{STATIC}/javascript", StaticFiles(directory=SCRIPTS))


def head(language: str) -> str:
    """The lines for the head of a page in that language. Addresses change with the files, so that no old one is used."""
    known = json.dumps(dict(words(language)), ensure_ascii=False).replace("</", "<\\/")
    lang = json.dumps(language.replace("_", "-"))
    tags = [f"<script>window.loraStudioAlone = {{}}; window.localization = {known}; document.documentElement.lang = {lang};</script>"]
    tags.append(f'<link rel="stylesheet" href="{STATIC[1:]}/style.css?v={STYLE.stat().st_mtime_ns}">')
    tags += [f'<script src="{STATIC[1:]}/javascript/{path.name}?v={path.stat().st_mtime_ns}" defer></script>' for path in sorted(SCRIPTS.glob("*.js"))]
    return "\n".join(tags)


def language_wanted(scope: Scope) -> str:
    """The page's language: `?__lang=` of the address, else what the browser asks for."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
    return language_of(query.get("__lang", [headers.get("accept-language", "")])[0])


class Headed:
    """Middleware that puts `head` into the page at "/" and leaves every other answer alone."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        begun: MutableMapping[str, Any] = {}
        parts: list[bytes] = []

        async def changed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = b"".join(parts)
            if any(name == b"content-type" and value.startswith(b"text/html") for name, value in begun["headers"]):
                body = body.replace(b"</head>", head(language_wanted(scope)).encode() + b"</head>", 1)
            kept = [(name, value) for name, value in begun["headers"] if name not in (b"content-length", b"etag")]
            await send({**begun, "headers": [*kept, (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, changed)
