"""Registration with the WebUI. Called from scripts/ each time the UI is built, for a reload forgets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.hosts.webui import facts

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

TAB_TITLE, TAB_ID = "LoRA Studio", "lora_studio"


def mount(tab: Callable[[], gr.Blocks], routes: Callable[[FastAPI], None], unload: Callable[[], None]) -> None:
    """Give the WebUI our tab, our routes, and what has to end before it reloads (`unload` joins the job's thread).

    Without a UI (--nowebui) the tab is never built; the routes are there all the same.
    """
    from modules import script_callbacks

    script_callbacks.on_ui_tabs(lambda: [(tab(), TAB_TITLE, TAB_ID)])
    script_callbacks.on_app_started(lambda _demo, app: routes(app))
    script_callbacks.on_script_unloaded(unload)
    script_callbacks.on_model_loaded(_look)


def _look(sd: Any) -> None:
    # The file's header is read now, once, so that no run opens the checkpoint.
    info = getattr(sd, "sd_checkpoint_info", None)
    if info is not None:
        facts.tensor_names(Path(info.filename))
