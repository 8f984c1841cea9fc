"""The pages as Blocks: the tab in a WebUI, and the whole page where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from lib_lora.hosts.base import Host
from lib_lora.ui.compat import mount
from lib_lora.ui.dataset import DatasetPage
from lib_lora.ui.generate import GeneratePage
from lib_lora.ui.text import tr
from lib_lora.ui.train import Example, TrainPage

if TYPE_CHECKING:
    from fastapi import FastAPI


def tab(host: Host, example: Example | None = None) -> gr.Blocks:
    """What the WebUI shows under *LoRA Studio*."""
    with gr.Blocks(analytics_enabled=False) as blocks, gr.Tabs(elem_id="lora_studio_tabs"):
        _common(host, example)
    return blocks


def mount_page(app: FastAPI, host: Host, example: Example | None = None) -> FastAPI:
    """Put the whole page at the root of an app."""
    return gr.mount_gradio_app(app, page(host, example), path="/")


def page(host: Host, example: Example | None = None) -> gr.Blocks:
    """The stand-alone page: the same tabs, and a place to see what was learnt."""
    # System fonts: the theme's own would be fetched from another site.
    theme = gr.themes.Default(font=["system-ui", "Segoe UI", "Noto Sans CJK SC", "sans-serif"], font_mono=["ui-monospace", "Consolas", "monospace"])
    with gr.Blocks(analytics_enabled=False, title="LoRA Studio", theme=theme) as blocks:
        mount("lora_studio_head")
        with gr.Tabs(elem_id="lora_studio_tabs"):
            _common(host, example)
            with gr.Tab(tr("Generate"), elem_id="lora_studio_tab_generate"):
                GeneratePage().build()
    return blocks


def _common(host: Host, example: Example | None) -> None:
    """The tabs that every host's page has."""
    with gr.Tab(tr("Train"), elem_id="lora_studio_tab_train"):
        TrainPage(host, example).build()
    with gr.Tab(tr("Dataset"), elem_id="lora_studio_tab_dataset"):
        DatasetPage().build()
