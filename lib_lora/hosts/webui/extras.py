"""Our step in the WebUI's Extras tab: a caption beside each picture that goes through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import LoraError
from lib_lora.core.messages import Message, language_of, say, words
from lib_lora.hosts.base import CaptionRequest
from lib_lora.hosts.webui import queue

if TYPE_CHECKING:
    from PIL import Image

NAME = "LoRA Studio tags"
ORDER = 4050  # after the WebUI's own Caption step, whose text is kept
FIRST = "Default"


# A picture and what is asked → its caption, the tagger that made it, and the device it ran on.
Tag = Callable[["Image.Image", CaptionRequest], tuple[str, str, str]]


def step(tag: Tag, names: Callable[[], Sequence[str]]) -> type:
    """The class the WebUI looks for in a script. `names` are the taggers to choose from."""
    from modules import scripts_postprocessing

    class LoraStudioTags(scripts_postprocessing.ScriptPostprocessing):  # type: ignore[misc]
        """Off until it is switched on."""

        name = NAME
        order = ORDER

        def ui(self) -> dict[str, Any]:
            """Its settings."""
            return _controls(names)

        def process(self, pp: Any, **asked: Any) -> None:
            """One picture. Whatever happens, the picture goes on."""
            if asked.get("enable"):
                _process(tag, pp, asked)

    return LoraStudioTags


def _controls(names: Callable[[], Sequence[str]]) -> dict[str, Any]:
    import gradio as gr
    from modules import ui_common, ui_components

    with ui_components.InputAccordion(False, label=_text(say("LoRA Studio tags")), elem_id="extras_lora_studio_tags") as enable:
        with ui_components.FormRow():
            tagger = gr.Dropdown([FIRST, *names()], value=FIRST, label=_text(say("Tagger")), elem_id="extras_lora_studio_tagger")
            ui_common.create_refresh_button(tagger, lambda: None, lambda: {"choices": [FIRST, *names()]}, "extras_lora_studio_refresh")
            trigger = gr.Textbox("", label=_text(say("Trigger word")), max_lines=1, elem_id="extras_lora_studio_trigger")
        with ui_components.FormRow():
            threshold = gr.Slider(0, 1, 0.5, step=0.01, label=_text(say("Threshold")), elem_id="extras_lora_studio_threshold")
            character = gr.Slider(0, 1, 0.85, step=0.01, label=_text(say("Threshold of characters")), elem_id="extras_lora_studio_character")
        gr.HTML(f'<p class="lora_studio_note">{_text(_about())}</p>')
    return {"enable": enable, "tagger": tagger, "threshold": threshold, "character_threshold": character, "trigger": trigger}


def _about() -> Message:
    return say(
        "Writes a caption file beside each saved picture: the trigger word, then its tags. Where a caption file is there already, the WebUI's setting "
        "“Action for existing captions” decides; its Prepend and Append say where the old text goes, and put a space between, not a comma."
    )


def _process(tag: Tag, pp: Any, asked: dict[str, Any]) -> None:
    language = words(language_of(_language()))
    name = str(asked.get("tagger") or "")
    request = CaptionRequest(
        "" if name == FIRST else name,
        _share(asked.get("threshold"), 0.5),
        _share(asked.get("character_threshold"), 0.85),
        str(asked.get("trigger") or "").strip(),
        str(pp.caption or ""),
    )
    try:
        # The WebUI holds its queue for the whole of Extras.
        with queue.ours():
            caption, tagger, device = tag(pp.image, request)
    except LoraError as error:
        pp.info[NAME] = error.text(language)
        return
    except Exception as error:  # noqa: BLE001 - an error here would cost the user the picture
        pp.info[NAME] = say("Tagging failed ({kind}: {text}); the picture is done all the same.", kind=type(error).__name__, text=str(error)).text(language)
        return
    pp.caption = caption
    pp.info[NAME] = f"{tagger} ({device}): {caption}"


def _share(value: Any, default: float) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _language() -> str:
    from modules import shared

    return str(getattr(shared.opts, "localization", "") or "")


def _text(message: Message) -> str:
    # In English: the WebUI exchanges labels in the browser by our dictionary.
    return message.text()
