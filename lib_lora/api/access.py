"""Who may ask and for what: logins of the program around us, other sites, folders that are not opened."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from lib_lora.core.errors import ConfigError, LoraError, PathError
from lib_lora.core.files import is_within, typed_path
from lib_lora.core.messages import say
from lib_lora.core.settings import describe, dump, flatten
from lib_lora.hosts.base import Access
from lib_lora.training.config import TrainConfig

COOKIE = "access-token"  # gradio's, with "-unsecure" or an id of the server behind it


class LoginError(LoraError):
    """The server asks for a login that was not given."""

    exit_code = 2
    http = 401


class SiteError(LoraError):
    """A page of another site tried to change something here."""

    exit_code = 2
    http = 403


def require_login(request: Request, access: Access) -> None:
    """Pass who is logged in on the page (gradio's login) or shows the API's Basic login; everybody where neither is set.

    Either of the two is enough: the page cannot know the API's password, and a program has no cookie of the page.
    """
    doors = [door for door in _pages(request.app) if door.auth is not None]
    if not access.basic and not doors:
        return
    if access.basic and _basic_login(request.headers.get("authorization", ""), access.basic):
        return
    if any(_page_login(request, door) for door in doors):
        return
    raise LoginError(say("Log in first: this server asks for a user name and a password."))


def refuse_other_sites(request: Request) -> None:
    """A browser names the site that a request comes from; programs name none."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    try:
        site = urlsplit(origin).netloc.lower()
    except ValueError:
        site = ""
    if not site or site != request.headers.get("host", "").lower():
        raise SiteError(say("Refused: this was sent by a page of another site ({site}).", site=site or origin))


def confine(config: TrainConfig, roots: Sequence[Path] | None) -> None:
    """Every path among the settings lies in one of `roots`, links and `..` resolved; None lets every path pass."""
    values = flatten(dump(config))
    outside: list[tuple[str, str]] = []
    for name in [setting.name for setting in describe(TrainConfig) if setting.type == "path"]:
        path = values.get(name, "")
        if path.strip() and roots is not None and not is_within(_typed(name, path), list(roots)):
            outside.append((name, path))
    if outside:
        opened = [str(root) for root in roots or ()]
        raise PathError(
            *(say("{name}: {path} is outside the folders this server has opened: {roots}", name=name, path=path, roots=opened) for name, path in outside)
        )


def _typed(name: str, text: str) -> Path:
    try:
        return typed_path(text)
    except ValueError as error:
        raise ConfigError(say("{name}: this is not a path ({why})", name=name, why=str(error))) from error


def _pages(app: Any) -> list[Any]:
    """The gradio apps of a server: the app itself in a WebUI, one mounted on it in the stand-alone page."""
    apps = [app, *(getattr(route, "app", None) for route in app.routes)]
    return [found for found in apps if hasattr(found, "tokens") and hasattr(found, "auth")]


def _page_login(request: Request, door: Any) -> bool:
    return any(name.startswith(COOKIE) and value in door.tokens for name, value in request.cookies.items())


def _basic_login(header: str, pairs: Sequence[tuple[str, str]]) -> bool:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    # Every pair is compared, each in constant time: how long it takes tells nothing about them.
    same = [hmac.compare_digest(given, f"{user}:{password}".encode()) for user, password in pairs]
    return any(same)
