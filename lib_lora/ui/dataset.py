"""The Dataset page: an empty place; everything in it is drawn by javascript/lora_studio_dataset*.js from our routes."""

from __future__ import annotations

from lib_lora.ui.compat import mount


class DatasetPage:
    """Builds the place inside an open Blocks. It has no handlers: pictures and captions never pass through gradio."""

    def build(self) -> None:
        """The place that the script fills."""
        mount("lora_studio_dataset")
