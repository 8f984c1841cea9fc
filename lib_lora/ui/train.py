"""The Train page: one question first, everything else folded; what lives is drawn by javascript/ into empty mounts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from lib_lora.core.messages import Message, words
from lib_lora.core.settings import KIND, Setting, flatten, merge, section_labels, unflatten
from lib_lora.dataset import folders
from lib_lora.hosts.base import Host, Lease
from lib_lora.training.config import TrainConfig
from lib_lora.training.presets import FIRST, PRESETS, resolution_for
from lib_lora.ui.compat import js, mount
from lib_lora.ui.form import Form, summary
from lib_lora.ui.text import tr

Example = Callable[[], Mapping[str, Any]]
FIRST_FIELDS = ("data.folder", "save.name", "caption.trigger")
# gradio 4 hands the outputs over too, after the inputs: only the inputs go on. What a handler reads it reads at this moment.
READ = "(...all) => { window.loraStudio?.taken('%s'); return [window.loraStudio ? window.loraStudio.language() : 'en', ...all.slice(1, %d)]; }"
CHOOSE = "(...all) => { window.loraStudio?.taken('choose'); return all.slice(0, 1); }"
KEPT = "() => { window.loraStudio?.taken('restore'); return [window.loraStudio ? window.loraStudio.kept() : '']; }"
TOUCHED = "() => { window.loraStudio?.touched(); return []; }"
FILLED = "() => { window.loraStudio?.filled('%s'); return []; }"
EXAMPLE = "(shown) => { window.loraStudio?.exampled(shown); return []; }"
BY_NAMES = tr("repeats as the folders are named")
ONCE = "save.replace"  # asked for one training: a browser must not bring it back for the next


@dataclass(frozen=True)
class Fold:
    """A folded group: the sections it holds, the settings that its title tells, and what it says when they tell nothing."""

    key: str
    title: str
    sections: tuple[str, ...]
    told: tuple[str, ...]
    nothing: str = ""


FOLDS = (
    Fold("pictures", tr("Pictures"), ("data", "bucket"), ("data.resolution", "data.repeats", "bucket.enabled")),
    Fold("captions", tr("Captions"), ("caption",), ("caption.shuffle", "caption.keep_tokens")),
    Fold("network", tr("Network"), ("network",), ("network.kind", "network.rank", "network.alpha", "network.conv_rank")),
    Fold(
        "learning",
        tr("Learning"),
        ("learning", "optimizer", "scheduler"),
        ("learning.epochs", "learning.batch_size", "learning.unet_lr", "optimizer.kind", "scheduler.kind"),
    ),
    Fold("noise", tr("Noise and loss"), ("noise", "loss"), ("noise.offset", "loss.min_snr_gamma"), tr("off")),
    Fold("previews", tr("Previews"), ("preview",), ("preview.every_epochs",), tr("off")),
    Fold("file", tr("File"), ("save",), ("save.every_epochs", "save.precision", "save.replace")),
    Fold("device", tr("Model and device"), ("model", "run"), ("model.prediction", "run.precision", "run.checkpointing"), tr("automatic")),
)


def folds() -> tuple[Fold, ...]:
    """FOLDS, and one more for each section that none of them names: a new section shows up by existing."""
    held = {section for fold in FOLDS for section in fold.sections}
    labels = section_labels(TrainConfig)
    return FOLDS + tuple(Fold(name, label, (name,), ()) for name, label in labels.items() if name not in held)


class TrainPage:
    """Builds the page inside an open Blocks and answers its handlers. Starting and stopping go through the routes."""

    def __init__(self, host: Host, example: Example | None = None) -> None:
        self.host = host
        self.example = example
        self.form = Form(self.preset(FIRST))
        self.cards: list[tuple[str, str, Component]] = []

    def build(self) -> None:
        """All components and their events."""
        with gr.Row(elem_id="lora_studio_train", elem_classes=["lora_studio", "lora_studio_page"], equal_height=False):
            with gr.Column(elem_id="lora_studio_form", elem_classes=["lora_studio_left"], scale=5, min_width=320):
                self._questions()
                for fold in folds():
                    self._fold(fold)
            with gr.Column(elem_id="lora_studio_side", elem_classes=["lora_studio_right"], scale=6, min_width=320):
                self._actions()
                mount("lora_studio_panel")
        self._hidden()
        self._events()

    # ---- layout

    def _questions(self) -> None:
        by_name = {setting.name: setting for setting in self.form.settings}
        self.form.add(by_name["data.folder"], label=tr("Where are your pictures?"), placeholder=tr("Path of a folder, e.g. D:\\pictures\\my character"))
        if self.example is not None:
            self.example_button = gr.Button(tr("No pictures at hand? Try it with the example set"), elem_id="lora_studio_example", size="sm")
        self.goal = gr.Radio(
            choices=[preset.label for preset in PRESETS.values()],
            value=PRESETS[FIRST].label,
            label=tr("What should it learn?"),
            elem_id="lora_studio_goal",
            interactive=True,
        )
        self.goal.do_not_save_to_config = True
        mount("lora_studio_goal_help")
        with gr.Row(elem_classes=["lora_studio_pair"]):
            self.form.add(by_name["save.name"])
            self.form.add(by_name["caption.trigger"])

    def _fold(self, fold: Fold) -> None:
        settings = [s for s in self.form.settings if s.section in fold.sections and s.name not in FIRST_FIELDS]
        if not settings:
            return
        # An id of its own, so that the script can write into the title what the group holds now.
        with gr.Accordion(fold.title, open=False, elem_id=f"lora_studio_fold_{fold.key}", elem_classes=["lora_studio_fold"]):
            for section in fold.sections:
                self._section([s for s in settings if s.section == section and not s.advanced])
            advanced = [s for s in settings if s.advanced]
            if advanced:
                with gr.Accordion(tr("More"), open=False, elem_classes=["lora_studio_more"]):
                    for section in fold.sections:
                        self._section([s for s in advanced if s.section == section])

    def _section(self, settings: list[Setting]) -> None:
        always = [s for s in settings if s.kind is None]
        for pair in range(0, len(always), 2):
            with gr.Row(elem_classes=["lora_studio_pair"]):
                for setting in always[pair : pair + 2]:
                    self.form.add(setting)
        for kind in dict.fromkeys(s.kind for s in settings if s.kind is not None):
            options = [s for s in settings if s.kind == kind]
            section = options[0].section
            with gr.Column(visible=kind == self._chosen(section), elem_classes=["lora_studio_card"]) as card:
                for pair in range(0, len(options), 2):
                    with gr.Row(elem_classes=["lora_studio_pair"]):
                        for setting in options[pair : pair + 2]:
                            self.form.add(setting)
            self.cards.append((section, kind, card))

    def _chosen(self, section: str) -> str:
        job = self.preset(FIRST)
        usual = next(s.default for s in self.form.settings if s.name == f"{section}.{KIND}")
        return flatten(job).get(f"{section}.{KIND}", usual)

    def _actions(self) -> None:
        with gr.Row(elem_id="lora_studio_actions", elem_classes=["lora_studio_actions"]):
            self.start = gr.Button(tr("Start training"), variant="primary", elem_id="lora_studio_start")
            gr.Button(tr("Stop and save"), elem_id="lora_studio_stop")
            gr.Button(tr("Cancel"), variant="stop", elem_id="lora_studio_cancel")

    def _hidden(self) -> None:
        """Fields and buttons that the script reads and presses; see `window.loraStudio`."""
        self.lang = gr.Textbox("en", visible=False, elem_id="lora_studio_lang", interactive=True)
        self.read_button = gr.Button("read", visible=False, elem_id="lora_studio_read")
        self.choose_button = gr.Button("choose", visible=False, elem_id="lora_studio_choose")
        self.kept = gr.Textbox("", visible=False, elem_id="lora_studio_kept", interactive=True)
        self.restore_button = gr.Button("restore", visible=False, elem_id="lora_studio_restore")
        self.job = gr.Textbox("", visible=False, elem_id="lora_studio_job", interactive=True)
        self.begun = gr.Textbox("", visible=False, elem_id="lora_studio_begun", interactive=True)
        self.shown = gr.Textbox("", visible=False, elem_id="lora_studio_shown", interactive=True)
        for component in (self.lang, self.kept, self.job, self.begun, self.shown):
            component.do_not_save_to_config = True

    def _events(self) -> None:
        fields, inputs = self.form.components, [self.lang, self.goal, *self.form.components]
        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_name": False}
        for component in fields:
            component.change(None, None, None, **js(TOUCHED))
        told = self.read_button.click(self.read, inputs, [self.job], **quiet, **js(READ % ("read", len(inputs))))
        told.then(None, [self.job], None, **js("(job) => { window.loraStudio?.told(job); return []; }"))
        # A box of its own: what is read at Start is not mixed up with what was read before it.
        begun = self.start.click(self.read, inputs, [self.begun], **quiet, **js(READ % ("start", len(inputs))))
        begun.then(None, [self.begun], None, **js("(job) => { window.loraStudio?.start(job); return []; }"))
        # Not the radio's own events: gradio 4 fires them for values set from here, too, and what was restored would be lost.
        chosen = self.choose_button.click(self.choose_goal, [self.goal], fields, **quiet, **js(CHOOSE))
        chosen.then(None, None, None, **js(FILLED % "choose"))
        kept = self.restore_button.click(self.restore, [self.kept], [self.goal, *fields], **quiet, **js(KEPT))
        kept.then(None, None, None, **js(FILLED % "restore"))
        if self.example is not None:
            shown = self.example_button.click(self.fill_example, None, [self.shown, *fields], api_name=False)
            shown.success(None, [self.shown], None, **js(EXAMPLE))
        for section in dict.fromkeys(section for section, _, _ in self.cards):
            cards = [(kind, card) for of, kind, card in self.cards if of == section]
            chooser = self.form.component(f"{section}.{KIND}")
            chooser.change(self._shower(f"{section}.{KIND}", [kind for kind, _ in cards]), [chooser], [card for _, card in cards], **quiet)

    # ---- handlers: plain values in, plain values out

    def read(self, lang: str, goal: str, *values: Any) -> str:
        """The form as JSON: the job, the folds' titles in that language, and the goal with its sentence."""
        job, known = self.form.read(values), words(lang)
        titles = {fold.key: self._title(fold, job, known) for fold in folds()}
        preset = next((preset for preset in PRESETS.values() if preset.label == goal), PRESETS[FIRST])
        return json.dumps({"config": job, "titles": titles, "goal": goal, "goal_help": Message(preset.help).text(known)})

    def choose_goal(self, label: str) -> list[Any]:
        """The fields as that goal begins with them."""
        key = next((key for key, preset in PRESETS.items() if preset.label == label), FIRST)
        return self.form.fill(self.preset(key))

    def restore(self, kept: str) -> list[Any]:
        """The goal and the fields as a browser kept them; what cannot be read leaves everything as it is."""
        try:
            held = json.loads(kept or "{}")
            job, goal = held.get("config", {}), held.get("goal")
        except (ValueError, AttributeError):
            job, goal = {}, None
        known = goal in [preset.label for preset in PRESETS.values()]
        flat = {name: value for name, value in flatten(job if isinstance(job, dict) else {}).items() if name != ONCE}
        return [gr.update(value=goal) if known else gr.update(), *self.form.fill(flat)]

    def fill_example(self) -> list[Any]:
        """What is the example's own, as JSON, and the fields as the example set wants them."""
        job = self.example() if self.example is not None else {}
        flat = flatten(job)
        own = {"folder": flat.get("data.folder", ""), "name": flat.get("save.name", ""), "trigger": flat.get("caption.trigger", "")}
        return [json.dumps({key: str(value).strip() for key, value in own.items()}), *self.form.fill(job)]

    def preset(self, key: str) -> dict[str, Any]:
        """A goal's settings on the model that is loaded now, as far as its host can train them."""
        facts = self.host.facts()
        sized = {"data": {"resolution": resolution_for(facts.family if facts else None)}}
        job = merge(sized, unflatten(PRESETS[key].settings))
        return merge(job, {"learning": {"text_encoder_lr": 0.0}}) if self._unet_only() else job

    def _unet_only(self) -> bool:
        """Whether all that this host refuses is training the text encoder: nobody who changed nothing should be told so."""
        return bool(self.host.refusals(Lease(trains_text=True))) and not self.host.refusals(Lease())

    def _title(self, fold: Fold, job: Mapping[str, Any], known: Mapping[str, str]) -> str:
        told = [setting for setting in self.form.settings if setting.name in fold.told and setting.kind in (None, kind_of(job, setting.section))]
        if "data.repeats" not in fold.told or not folders.name_repeats(str(job.get("data", {}).get("folder", ""))):
            return summary(told, job, known, self.form.labels) or known.get(fold.nothing, fold.nothing)
        # The number in the form says nothing where the folders' names say it.
        rest = summary([setting for setting in told if setting.name != "data.repeats"], job, known, self.form.labels)
        return ", ".join(part for part in (rest, known.get(BY_NAMES, BY_NAMES)) if part)

    def _shower(self, name: str, kinds: list[str]) -> Callable[[str], Any]:
        labels = self.form.labels[name]

        def show(chosen: str) -> Any:
            updates = [gr.update(visible=labels.get(kind) == chosen) for kind in kinds]
            return updates if len(updates) > 1 else updates[0]

        return show


def kind_of(job: Mapping[str, Any], section: str) -> str | None:
    """The card a job chooses in a section, if that section is a choice of cards."""
    return flatten(job).get(f"{section}.{KIND}")
