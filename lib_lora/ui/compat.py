"""What differs between gradio 3.41 and 4.40, in one place."""

from __future__ import annotations

from typing import Any

import gradio as gr


def js(code: str) -> dict[str, Any]:
    """The argument under which an event takes JavaScript. The code returns one value per output."""
    return {("_js" if gr.__version__.startswith("3.") else "js"): code}


def mount(name: str) -> gr.HTML:
    """An empty place that the script fills; it is never given a new value."""
    return gr.HTML(f'<div id="{name}" class="lora_studio"></div>', elem_id=f"{name}_box", elem_classes=["lora_studio_mount"])
