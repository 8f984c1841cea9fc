"""The Generate panel of the stand-alone page: a prompt, a few numbers, a picture."""

from __future__ import annotations

import gradio as gr

from lib_lora.ui.compat import mount
from lib_lora.ui.text import tr


class GeneratePage:
    """Fields for one picture. The script sends them to the `generate` route and shows what comes back."""

    def build(self) -> None:
        """All components; their values are read in the browser."""
        with gr.Row(elem_id="lora_studio_generate", elem_classes=["lora_studio", "lora_studio_page"], equal_height=False):
            with gr.Column(elem_classes=["lora_studio_left"], scale=5, min_width=320):
                gr.Textbox(
                    "",
                    label=tr("Prompt"),
                    lines=3,
                    interactive=True,
                    elem_id="lora_studio_generate_prompt",
                    info=tr("<lora:name:1> applies a LoRA, the number is its strength. Then its trigger word and whatever else you want to see."),
                )
                gr.Textbox("", label=tr("Negative prompt"), lines=2, interactive=True, elem_id="lora_studio_generate_negative")
                with gr.Row(elem_classes=["lora_studio_pair"]):
                    gr.Slider(1, 60, 20, step=1, label=tr("Steps"), interactive=True, elem_id="lora_studio_generate_steps")
                    gr.Slider(1, 20, 7, step=0.5, label=tr("CFG scale"), interactive=True, elem_id="lora_studio_generate_cfg")
                with gr.Row(elem_classes=["lora_studio_pair"]):
                    gr.Number(1, label=tr("Seed"), precision=0, interactive=True, elem_id="lora_studio_generate_seed")
                    gr.Textbox("512,512", label=tr("Size"), interactive=True, elem_id="lora_studio_generate_size")
            with gr.Column(elem_classes=["lora_studio_right"], scale=6, min_width=320):
                with gr.Row(elem_classes=["lora_studio_actions"]):
                    gr.Button(tr("Generate"), variant="primary", elem_id="lora_studio_generate_go")
                mount("lora_studio_picture")
