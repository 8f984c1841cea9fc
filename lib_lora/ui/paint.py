"""The route behind the Generate panel: a request for a picture in, the picture as a data address out."""

from __future__ import annotations

import base64
import io
import logging
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from lib_lora.api.access import refuse_other_sites, require_login
from lib_lora.api.body import json_object
from lib_lora.core.errors import LoraError
from lib_lora.core.messages import language_of, say, words
from lib_lora.core.settings import load, opt
from lib_lora.hosts.base import Host, PictureRequest

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)
ADDRESS = "/lora-studio/v1/generate"


class Painter(Host, Protocol):
    """A host that samples pictures outside of a training."""

    def generate(self, request: PictureRequest) -> Image.Image:
        """The picture that is asked for."""
        ...


@dataclass(frozen=True)
class PaintConfig:
    """What the panel sends."""

    prompt: str = opt("", "Prompt", "What the picture shows.")
    negative: str = opt("", "Negative prompt", "What it should not show.")
    seed: int = opt(1, "Seed", "The same seed gives the same picture.", min=0, max=2**32 - 1)
    steps: int = opt(20, "Steps", "Sampling steps.", min=1, max=150)
    cfg: float = opt(7.0, "CFG scale", "How closely it follows the prompt.", min=1, max=30)
    size: tuple[int, int] = opt((512, 512), "Size", "Width and height.", min=64, max=2048)


def mount(app: FastAPI, host: Painter) -> None:
    """Add the route to an app."""

    async def generate(request: Request) -> JSONResponse:
        language = words(language_of(request.query_params.get("lang") or request.headers.get("accept-language", "")))
        try:
            require_login(request, host.access())
            refuse_other_sites(request)
            wanted = load(PaintConfig, await json_object(request, [one.name for one in fields(PaintConfig)]))
            return JSONResponse(await run_in_threadpool(_painted, host, wanted))
        except LoraError as error:
            return JSONResponse({"error": error.text(language)}, error.http)
        except Exception as error:
            log.exception("a picture failed")
            told = say("This did not work ({kind}: {text}). The server's log says where.", kind=type(error).__name__, text=str(error))
            return JSONResponse({"error": told.text(language)}, 500)

    app.add_api_route(ADDRESS, generate, methods=["POST"], response_model=None, tags=["LoRA Studio"])


def _painted(host: Painter, wanted: PaintConfig) -> dict[str, Any]:
    begun = time.monotonic()
    # A model's latents are an eighth of the picture, and its UNet halves those three times.
    width, height = (max(64, side // 64 * 64) for side in wanted.size)
    picture = host.generate(PictureRequest(wanted.prompt, wanted.negative, wanted.seed, wanted.steps, wanted.cfg, (width, height)))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"picture": address, "seconds": round(time.monotonic() - begun, 1)}
