"""Composition: which host, which jobs, which page belong together, in a WebUI and without one."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lib_lora.hosts.base import Host
from lib_lora.jobs import Jobs
from lib_lora.workbench import Workbench

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lib_lora.core.registry import Entry
    from lib_lora.hosts.registry import Build
    from lib_lora.ui.paint import Painter

log = logging.getLogger(__name__)
PORT = 7861
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Studio:
    """What the scripts of one WebUI share."""

    card: Entry[Build]
    host: Host
    jobs: Jobs
    bench: Workbench


@lru_cache(maxsize=1)
def _around() -> Studio | None:
    """What runs inside the program around us, until that unloads it; None in a program that we do not know."""
    from lib_lora.hosts import detect

    card = detect.around()
    if card is None:
        return None
    host = card.build(None, None)
    return Studio(card, host, Jobs(host), Workbench(host))


def register_webui() -> None:
    """Make the tab and the routes known to the WebUI. Called by scripts/, anew at each Reload UI."""
    from lib_lora import api
    from lib_lora.ui import page

    studio = _around()
    if studio is None:
        log.warning("LoRA Studio works inside AUTOMATIC1111's WebUI; this one is not known to it yet, so there is no tab.")
        return
    card, host, jobs, bench = studio.card, studio.host, studio.jobs, studio.bench

    def unload() -> None:
        _around.cache_clear()
        bench.shutdown()
        jobs.shutdown()

    card.traits["mount"](
        tab=lambda: page.tab(host, example=lambda: example(host)),
        routes=lambda app: api.mount(app, jobs, host, bench),
        unload=unload,
    )


def extras_step() -> type | None:
    """The class of our step in the WebUI's Extras tab; None where there is no such tab. Called by scripts/."""
    from lib_lora.workbench import captioning

    studio = _around()
    step = studio.card.traits.get("extras") if studio else None
    return step(captioning.of(studio.bench), captioning.names(studio.bench)) if studio and step else None


def alone(host: Painter, jobs: Jobs, bench: Workbench | None = None) -> FastAPI:
    """The stand-alone page with its routes as an app."""
    from fastapi import FastAPI

    from lib_lora import api
    from lib_lora.ui import head, page, paint

    app = FastAPI(title="LoRA Studio")
    api.mount(app, jobs, host, bench or Workbench(host))
    paint.mount(app, host)
    head.mount_files(app)
    # Last, because a mount at "/" answers whatever no route before it does.
    app = page.mount_page(app, host, example=lambda: example(host))
    app.add_middleware(head.Headed)
    return app


def standalone(host: Painter, port: int = PORT, open_browser: bool = True, jobs: Jobs | None = None, address: str = LOCAL) -> None:
    """Serve the stand-alone page until Ctrl+C. `jobs` brings runs along that were started before; what runs at the end is saved."""
    import uvicorn

    jobs, bench = jobs or Jobs(host), Workbench(host)
    app = alone(host, jobs, bench)
    server = uvicorn.Server(uvicorn.Config(app, host=address, port=port, log_level="warning"))
    log.info("LoRA Studio: http://%s:%s", address, port)
    if open_browser:
        app.router.on_startup.append(lambda: webbrowser.open(f"http://{LOCAL}:{port}/") and None)
    try:
        server.run()
    finally:
        bench.shutdown()
        jobs.shutdown()


def example(host: Host) -> Mapping[str, Any]:
    """A small captioned picture set, made on this machine, and the settings it is trained with on the loaded model."""
    from lib_lora import demo
    from lib_lora.demo import checkpoint

    facts = host.facts()
    if facts is not None and facts.file is not None and facts.file.stem == checkpoint.NAME:
        return demo.make(facts.file.parent.parent).job  # the embedded model is smaller than any other, and so are its settings
    return demo.pictures(host.paths().state / "example").job
