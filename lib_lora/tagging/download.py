"""Fetching a tagger's files, when the user says so: resumed where it broke off, checked, and put in place whole."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message as Headers
from pathlib import Path
from typing import Any, Protocol

from lib_lora.core.errors import HostError
from lib_lora.core.messages import Message, say
from lib_lora.tagging.digest import sha256
from lib_lora.tagging.tagger import Missing, Wanted

CHUNK = 1 << 18
PATIENCE = 30.0  # seconds without a byte
ATTEMPTS = 5  # in a row without a byte gained
BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
PAST_THE_END = 416
SHA = re.compile(r"[0-9a-f]{64}")


class Turn(Protocol):
    """Where to say how far it is, and whether to go on."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to end."""
        ...

    def tell(self, done: int, total: int, message: Message | None = None) -> None:
        """How far it is."""
        ...


@dataclass(frozen=True)
class _Ends:
    """What the server says of a file: its size, and its SHA-256 where a hub names it."""

    size: int = 0
    sha256: str = ""


def fetch(missing: Missing, turn: Turn, pause: float = 1.0) -> bool:
    """Have all the files. False where it was cancelled; what was fetched until then stays for the next time."""
    sizes = {file.name: file.bytes for file in missing.files}
    done = 0
    for file in missing.files:
        path = missing.folder / file.name
        if not path.is_file():
            found = _file(file, path, turn, done, sizes, pause)
            if not found:
                return False
        sizes[file.name] = path.stat().st_size
        done += sizes[file.name]
    return True


def _file(file: Wanted, path: Path, turn: Turn, before: int, sizes: dict[str, int], pause: float) -> bool:
    """One file: again and again from where it broke off, while there is any progress."""
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    failures, ends = 0, _Ends(file.bytes, file.sha256)
    while True:
        start = _size(part)
        try:
            for found, at in _pieces(file, part, start, ends):
                ends = found
                sizes[file.name] = ends.size
                turn.tell(before + at, sum(sizes.values()), say("Downloading {file}", file=file.name))
                if turn.cancelled:
                    return False
            break
        except BROKEN as error:
            if start and isinstance(error, urllib.error.HTTPError) and error.code == PAST_THE_END:
                _drop(part)  # it has everything, or more than there is: without a known size nobody can tell
                continue
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            failures = 0 if _size(part) > start else failures + 1
            if refused or failures >= ATTEMPTS:
                raise HostError(say("{url} could not be downloaded: {why}", url=file.url, why=str(error))) from error
            time.sleep(pause * failures)
        except OSError as error:
            raise HostError(say("{file} cannot be written: {why}", file=str(part), why=error.strerror or str(error))) from error
    _check(part, file, ends)
    part.replace(path)
    _version_file(part).unlink(missing_ok=True)
    return True


def _pieces(file: Wanted, part: Path, start: int, known: _Ends) -> Any:
    """Append what is missing to `part`; yields what the server says and how much is there."""
    if known.size and start == known.size:
        yield known, start
        return
    if known.size and start > known.size:
        _drop(part)
        start = 0
    before = _version_kept(part) if start else ""
    with contextlib.closing(_open(file.url, start, before)) as answer:
        resumed, version = answer.status == 206, _version(answer.headers)
        if resumed and before not in ("", version):
            _drop(part)
            raise ConnectionError("another version of the file lies there now")
        start = start if resumed else 0
        ends = _ends(file, answer.headers, answer.seen, start, resumed)
        _room(part, ends.size - start)
        if not resumed:
            _version_file(part).write_text(version, encoding="utf-8")
        at = start
        with part.open("ab" if resumed else "wb") as out:
            yield ends, at
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                at += len(chunk)
                yield ends, at
        if ends.size and at < ends.size:
            raise ConnectionError(f"{at} of {ends.size} bytes")


def _check(part: Path, file: Wanted, ends: _Ends) -> None:
    size = _size(part)
    wrong = bool(ends.size and size != ends.size) or bool(ends.sha256 and sha256(part) != ends.sha256)
    if wrong:
        _drop(part)
        told = say(
            "{url}: what came is not the file that was published (its size or checksum differs). It was thrown away; try again, or use another mirror.",
            url=file.url,
        )
        raise HostError(told)


def _ends(file: Wanted, headers: Headers, seen: Mapping[str, str], start: int, resumed: bool) -> _Ends:
    length = headers.get("Content-Length", "")
    whole = headers.get("Content-Range", "").rpartition("/")[2] if resumed else ""
    size = int(whole) if whole.isdecimal() else int(length) + (start if resumed else 0) if length.isdecimal() else 0
    linked = seen.get("x-linked-size", "")
    etag = seen.get("x-linked-etag", "").strip('W/"')
    found = _Ends(file.bytes or (int(linked) if linked.isdecimal() else size), file.sha256 or (etag if SHA.fullmatch(etag) else ""))
    if file.bytes and size and size != file.bytes:
        told = say(
            "{url}: the server offers {size} bytes where {wanted} were published. Another mirror may have the file.",
            url=file.url,
            size=size,
            wanted=file.bytes,
        )
        raise HostError(told)
    return found


def _room(part: Path, bytes: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if bytes > free:
        told = say("{folder}: {needed} MB are needed and {free} MB are free.", folder=str(part.parent), needed=round(bytes / 1e6), free=round(free / 1e6))
        raise HostError(told)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A hub names size and checksum in the answer that sends us on to where the file really lies."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        self.seen.update({name.lower(): value for name, value in headers.items() if name.lower().startswith("x-linked-")})
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, start: int, version: str) -> Any:
    """The answer from byte `start` on, or all of it where the file is another one than `version` by now."""
    if not url.lower().startswith(("https://", "http://")):
        raise HostError(say("{url}: only http and https addresses are downloaded from", url=url))
    redirects = _Redirects()
    resume = {"Range": f"bytes={start}-", **({"If-Range": version} if version else {})} if start else {}
    headers = {"User-Agent": "lora-studio", "Accept-Encoding": "identity", **resume}
    answer = urllib.request.build_opener(redirects).open(urllib.request.Request(url, headers=headers), timeout=PATIENCE)  # noqa: S310 - checked above
    answer.seen = {**redirects.seen, **{name.lower(): value for name, value in answer.headers.items()}}
    return answer


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _version(headers: Headers) -> str:
    """What a server knows this version of the file by, when it is asked for the rest of it: a weak ETag is no proof."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _version_kept(part: Path) -> str:
    try:
        return _version_file(part).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)
