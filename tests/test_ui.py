"""The form and the pages as data: what is built, read, filled and said, without a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from page_standin import PaintingHost

from lib_lora.core.messages import say, words
from lib_lora.core.settings import describe, dump, flatten, load, merge, unflatten
from lib_lora.model import Family
from lib_lora.networks.registry import networks
from lib_lora.training.config import TrainConfig
from lib_lora.training.optimizers import optimizers
from lib_lora.training.presets import PRESETS, resolution_for
from lib_lora.training.schedulers import schedulers
from lib_lora.ui import head, page, paint
from lib_lora.ui.form import Form, element_id, kind_labels, summary
from lib_lora.ui.train import TrainPage, folds

ROOT = Path(__file__).resolve().parents[1]
CARDS = {"network.kind": networks, "optimizer.kind": optimizers, "scheduler.kind": schedulers}


def built(start: dict[str, Any] | None = None) -> Form:
    form = Form(start)
    with gr.Blocks(analytics_enabled=False):
        for setting in form.settings:
            form.add(setting)
    return form


def shown(form: Form) -> list[Any]:
    return [component.value for component in form.components]


def train_page(folder: Path) -> TrainPage:
    made = TrainPage(PaintingHost(folder), example=lambda: {"data": {"folder": str(folder)}})
    with gr.Blocks(analytics_enabled=False):
        made.build()
    return made


def test_an_untouched_form_reads_as_the_default_job() -> None:
    form = built()
    assert load(TrainConfig, form.read(shown(form))) == TrainConfig()


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, registry in CARDS.items() for kind in registry.entries()])
def test_what_is_filled_is_read_back_for_every_card(name: str, kind: str) -> None:
    job = dump(load(TrainConfig, merge({"data": {"folder": "D:/图 片", "resolution": [640, 896]}}, unflatten({name: kind}))))
    form = built()
    values = [update.get("value", value) for update, value in zip(form.fill(job), shown(form), strict=True)]
    assert load(TrainConfig, form.read(values)) == load(TrainConfig, job)


def test_numbers_come_back_as_their_type() -> None:
    """gradio 3 hands whole numbers over as floats."""
    form = built()
    values = [float(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in shown(form)]
    flat = flatten(form.read(values))
    assert all(type(flat[s.name]) is int for s in form.settings if s.type == "int" and s.name in flat)


def test_a_job_of_another_version_fills_what_still_fits() -> None:
    form = built()
    updates = form.fill({"network": {"kind": "gone", "rank": 4}, "learning": {"epochs": "many", "batch_size": 3}, "new": {"thing": 1}})
    values = {field.setting.name: update.get("value") for field, update in zip(form.fields, updates, strict=True) if field.setting.kind is None}
    assert values["learning.batch_size"] == 3
    assert values["learning.epochs"] is None
    assert values["network.kind"] is None


def test_components_follow_the_declaration() -> None:
    form = built()
    for field in form.fields:
        setting, component = field.setting, field.component
        assert component.label == setting.label
        assert component.interactive is True, "gradio disables a field with a default that no handler reads"
        assert component.do_not_save_to_config is True, "the WebUI would put an old value over the restored one"
        slides = setting.type in ("int", "float") and None not in (setting.min, setting.max, setting.step)
        wanted = gr.Slider if slides else {"bool": gr.Checkbox, "choice": gr.Radio, "int": gr.Number, "float": gr.Number}.get(setting.type, gr.Textbox)
        assert isinstance(component, wanted), setting.name


def test_ids_are_the_dotted_names_and_differ() -> None:
    settings = describe(TrainConfig)
    ids = [element_id(setting) for setting in settings]
    assert len(set(ids)) == len(ids)
    assert {"lora_studio_train_data_folder", "lora_studio_train_network_rank"} <= set(ids)


def test_every_setting_is_on_the_page_once(tmp_path: Path) -> None:
    made = train_page(tmp_path)
    assert sorted(f"{f.setting.name}{f.setting.kind}" for f in made.form.fields) == sorted(f"{s.name}{s.kind}" for s in describe(TrainConfig))
    assert {section for fold in folds() for section in fold.sections} == {s.section for s in describe(TrainConfig)}


def test_a_fold_tells_what_it_holds() -> None:
    named = {s.name: s for s in describe(TrainConfig)}
    told = [named[name] for name in ("network.kind", "network.rank", "network.alpha", "network.conv_rank")]
    job = {"network": {"kind": "lora", "rank": 16, "alpha": 8.0, "conv_rank": 0}}
    assert summary(told, job) == "LoRA, rank 16, alpha 8"
    assert summary(told, job, words("zh_CN")) == "LoRA, 维度 (rank/dim) 16, alpha 8"


@pytest.mark.parametrize("key", PRESETS)
def test_presets_are_jobs_and_name_the_same_settings(key: str, tmp_path: Path) -> None:
    job = train_page(tmp_path).preset(key)
    config = load(TrainConfig, job)
    assert config.data.resolution == (512, 512)
    assert set(flatten(PRESETS[key].settings)) == set(flatten(PRESETS["character"].settings)), "choosing another goal leaves nothing of the one before"


@pytest.mark.parametrize("key", PRESETS)
def test_goals_leave_out_what_the_host_refuses(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train_page(tmp_path)
    usual = flatten(made.preset(key))
    assert usual["learning.text_encoder_lr"] > 0
    monkeypatch.setattr(made.host, "refusals", lambda lease: [say("Only the UNet.")] if lease.trains_text else [])
    assert flatten(made.preset(key)) == {**usual, "learning.text_encoder_lr": 0.0}
    # A host that trains nothing now may train everything when a model is loaded.
    monkeypatch.setattr(made.host, "refusals", lambda lease: [say("No model.")])
    assert flatten(made.preset(key)) == usual


@pytest.mark.parametrize(("family", "side"), [(Family.SD1, 512), (Family.SD2, 768), (Family.SDXL, 1024), (None, 512)])
def test_resolution_begins_with_the_family(family: Family | None, side: int) -> None:
    assert resolution_for(family) == (side, side)


def test_read_answers_job_titles_and_goal(tmp_path: Path) -> None:
    made = train_page(tmp_path)
    answer = json.loads(made.read("zh_CN", "Style", *shown(made.form)))
    assert load(TrainConfig, answer["config"]).learning.epochs == PRESETS["character"].settings["learning.epochs"]
    assert answer["titles"]["network"].startswith("LoRA, 维度")
    assert set(answer["titles"]) == {fold.key for fold in folds()}
    assert answer["goal_help"] == words("zh_CN")[PRESETS["style"].help]


@pytest.mark.parametrize("kept", ["", "{", "[]", '"x"', '{"config": 7, "goal": 3}'])
def test_what_cannot_be_read_restores_nothing(kept: str, tmp_path: Path) -> None:
    updates = train_page(tmp_path).restore(kept)
    assert not [update for update in updates if "value" in update]


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    made = train_page(tmp_path)
    goal, *updates = made.restore(json.dumps({"config": {"caption": {"trigger": "sks"}}, "goal": "Style"}))
    found = {f.setting.name: u["value"] for f, u in zip(made.form.fields, updates, strict=True) if "value" in u}
    assert found == {"caption.trigger": "sks"}
    assert goal["value"] == "Style"


def test_replace_is_not_brought_back(tmp_path: Path) -> None:
    """It was asked for one training; a page that is opened later must not replace files silently."""
    made = train_page(tmp_path)
    _, *updates = made.restore(json.dumps({"config": {"save": {"replace": True, "name": "sks"}}}))
    found = {f.setting.name: u["value"] for f, u in zip(made.form.fields, updates, strict=True) if "value" in u}
    assert found == {"save.name": "sks"}


def test_a_chosen_card_shows_its_options_alone(tmp_path: Path) -> None:
    made = train_page(tmp_path)
    kinds = [kind for section, kind, _ in made.cards if section == "optimizer"]
    assert len(kinds) >= 2
    show = made._shower("optimizer.kind", kinds)
    for chosen in kinds:
        assert [update["visible"] for update in show(kind_labels()["optimizer.kind"][chosen])] == [kind == chosen for kind in kinds]


def test_both_pages_build(tmp_path: Path) -> None:
    """On this gradio, with every argument it has to understand."""
    for blocks in (page.tab(PaintingHost(tmp_path)), page.page(PaintingHost(tmp_path), example=dict)):
        ids = {component["props"].get("elem_id") for component in blocks.get_config_file()["components"]}
        assert {"lora_studio_start", "lora_studio_stop", "lora_studio_cancel", "lora_studio_train_data_folder"} <= ids


def test_ids_of_the_page_are_prefixed(tmp_path: Path) -> None:
    ids = {c["props"].get("elem_id") for c in page.page(PaintingHost(tmp_path), example=dict).get_config_file()["components"]} - {None, ""}
    assert not [name for name in ids if not name.startswith("lora_studio") and not re.fullmatch(r"component-\d+", name)]


def test_scripts_and_style_touch_only_their_own() -> None:
    style = re.sub(r"/\*.*?\*/", "", (ROOT / "style.css").read_text(encoding="utf-8"), flags=re.S)
    selectors = [part.strip() for block in re.findall(r"([^{}]+)\{", style) for part in re.split(r",(?![^(]*\))", block)]
    foreign = [one for one in selectors if "lora_studio" not in one and not one.startswith("@") and one not in ("from", "to")]
    assert not foreign, foreign
    for path in (ROOT / "javascript").glob("*"):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith("lora_studio")
        assert not re.findall(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text), "what comes from files must never become markup"
        assert not re.findall(r"""['"`]/(?:lora-studio|file)""", text), "addresses are relative: a WebUI may live below a path"


@pytest.mark.parametrize(
    ("query", "asked", "language"), [("", "zh-CN,zh;q=0.9", "zh_CN"), ("", "de", "en"), ("__lang=zh_CN", "en", "zh_CN"), ("__lang=en", "zh", "en")]
)
def test_language_of_the_page(query: str, asked: str, language: str) -> None:
    scope = {"query_string": query.encode(), "headers": [(b"accept-language", asked.encode())]}
    assert head.language_wanted(scope) == language


def test_head_carries_words_scripts_and_style() -> None:
    app = FastAPI()
    head.mount_files(app)
    lines = head.head("zh_CN")
    assert words("zh_CN")["Start training"] in lines
    client = TestClient(app)
    for address in re.findall(r'(?:src|href)="([^"]+)"', lines):
        assert client.get("/" + address).status_code == 200


def test_words_cannot_end_the_script_they_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "words", lambda language: {"a": "</script><b>"})
    assert "</script><b>" not in head.head("zh_CN")


def painting(folder: Path, host: PaintingHost | None = None) -> TestClient:
    app = FastAPI()
    paint.mount(app, host or PaintingHost(folder))
    return TestClient(app)


def test_generate_answers_a_picture(tmp_path: Path) -> None:
    answer = painting(tmp_path).post(paint.ADDRESS, json={"prompt": "x", "seed": 3, "size": [70, 129]})
    assert answer.status_code == 200
    assert answer.json()["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("body", [{"size": [1, 1]}, {"steps": "many"}, {"sed": 1}, []])
def test_generate_refuses_in_words(body: Any, tmp_path: Path) -> None:
    answer = painting(tmp_path).post(paint.ADDRESS, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_generate_takes_no_form_of_another_site(kind: str, tmp_path: Path) -> None:
    answer = painting(tmp_path).post(paint.ADDRESS, content=b"{}", headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 400
    assert "application/json" in answer.json()["error"]


def test_generate_honours_login_and_origin(tmp_path: Path) -> None:
    assert painting(tmp_path, PaintingHost(tmp_path, basic=(("user", "word"),))).post(paint.ADDRESS, json={}).status_code == 401
    assert painting(tmp_path).post(paint.ADDRESS, json={}, headers={"origin": "http://evil.example"}).status_code == 403


def test_the_fold_of_pictures_says_where_the_folders_names_rule(tmp_path: Path) -> None:
    from PIL import Image

    made, pictures = train_page(tmp_path), next(fold for fold in folds() if fold.key == "pictures")
    (tmp_path / "set" / "6_cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "set" / "6_cat" / "a.png")
    job = {"data": {"folder": str(tmp_path / "set"), "repeats": 10}}
    assert made._title(pictures, job, {}).endswith("repeats as the folders are named")
    # Pictures beside the folders have the number of the form.
    Image.new("RGB", (8, 8)).save(tmp_path / "set" / "b.png")
    assert "repeats 10" in made._title(pictures, job, {})
