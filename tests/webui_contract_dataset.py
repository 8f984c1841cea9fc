"""Promises of the Dataset page inside a WebUI: its upscalers, its tokenizer, its login, its Extras tab."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from webui_bench import TEXTS, Figures, promise

from lib_lora.hosts.webui import WebUIHost, facts

SIZES = ((200, 120), (128, 333))  # what a picture of 64 × 48 becomes: wider and higher than its own shape
LOGIN = ("me", "secret")


def _free() -> bool:
    from modules.call_queue import queue_lock

    taken = queue_lock.acquire(blocking=False)
    if taken:
        queue_lock.release()
    return taken


@promise
def upscalers_give_exact_sizes_and_the_queue_back(host: WebUIHost) -> Figures:
    """Those that need no file of weights, for others would be downloaded."""
    from modules import shared, upscaler

    names = [
        one.name for one in shared.sd_upscalers if one.name in host.upscalers() and isinstance(one.scaler, (upscaler.UpscalerLanczos, upscaler.UpscalerNearest))
    ]
    assert len(names) == 2, [one.name for one in shared.sd_upscalers]
    picture = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    for name in names:
        for size in SIZES:
            found = host.upscale(picture, name, size)
            assert found.size == size and found.mode == "RGB", (name, size, found)
            assert found.getextrema() != ((0, 0),) * 3, name
            assert _free(), name
    assert picture.size == (64, 48)
    return {"upscalers": names, "listed": list(host.upscalers())}


@promise
def tokens_are_counted_as_the_prompt_box_counts(host: WebUIHost) -> Figures:
    sd = facts.loaded()
    encoder = sd.conditioner.embedders[0] if sd.is_sdxl else sd.cond_stage_model
    texts = [*TEXTS, "", "long sleeves, " * 40]
    theirs = [encoder.tokenize_line(text)[1] for text in texts]
    ours = host.count_tokens(texts)
    # A prompt's comma may be moved into the next chunk of 75 with the words after it, so only one chunk is comparable.
    assert ours[:3] == theirs[:3], (ours, theirs)
    assert ours[3] >= 75
    return {"tokens": ours}


@promise
def the_page_of_pictures_answers_behind_the_login(host: WebUIHost) -> Figures:
    """In an app of this WebUI's own gradio, with the login of --gradio-auth on."""
    import gradio
    from fastapi.testclient import TestClient

    from lib_lora import api
    from lib_lora.jobs import Jobs
    from lib_lora.workbench import Workbench

    with gradio.Blocks() as blocks:
        gradio.HTML("")
    blocks.auth, blocks.auth_message = [LOGIN], None
    app = gradio.routes.App.create_app(blocks)
    jobs, bench = Jobs(host), Workbench(host)
    api.mount(app, jobs, host, bench)
    with tempfile.TemporaryDirectory() as place:
        folder = _set(Path(place))
        try:
            stranger = TestClient(app)
            assert stranger.post(f"{api.PREFIX}/dataset/open", json={"folder": str(folder)}).status_code == 401
            assert stranger.get(f"{api.PREFIX}/taggers").status_code == 401
            client = TestClient(app)
            assert client.post("/login", data={"username": LOGIN[0], "password": LOGIN[1]}).status_code == 200
            return _answers(client, folder)
        finally:
            bench.shutdown()
            jobs.shutdown()


def _set(folder: Path) -> Path:
    for n in range(3):
        Image.linear_gradient("L").rotate(n * 40).resize((96, 80)).convert("RGB").save(folder / f"{n}.png")
        (folder / f"{n}.txt").write_text(TEXTS[1], encoding="utf-8")
    return folder


def _answers(client: Any, folder: Path) -> Figures:
    from lib_lora import api

    def asked(answer: Any) -> Any:
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer

    base = f"{api.PREFIX}/dataset"
    opened = asked(client.post(f"{base}/open", json={"folder": str(folder)})).json()
    mine = {"set": opened["set"], "client": "me"}
    view = asked(client.post(f"{base}/view", json=mine)).json()
    assert [row["key"] for row in view["rows"]] == ["0.png", "1.png", "2.png"]
    thumb = asked(client.get(f"{base}/thumb", params={"set": opened["set"], "key": "0.png"}))
    assert thumb.headers["content-type"] == "image/jpeg" and len(thumb.content) > 100
    task = asked(client.post(f"{base}/doctor", json=mine)).json()["task"]
    for _ in range(600):
        state = asked(client.get(f"{base}/task", params={"task": task})).json()
        if state["phase"] != "running":
            break
        time.sleep(0.05)
    assert state["phase"] == "done", state
    taggers = asked(client.get(f"{api.PREFIX}/taggers")).json()
    nothing = client.post(f"{api.PREFIX}/tag", json={"image": "no picture"})
    assert nothing.status_code == 400 and nothing.json()["error"]
    return {"native": view["native"], "tokens": view["rows"][0]["tokens"], "doctor": state["phase"], "taggers": len(taggers["taggers"])}


@promise
def the_step_in_extras_is_listed(host: WebUIHost) -> Figures:
    """Loaded as the WebUI loads an extension's script, and made as its Extras tab makes every step."""
    import gradio
    from modules import script_loading, scripts, scripts_postprocessing

    script = Path(__file__).resolve().parents[1] / "scripts" / "lora_studio_extras.py"
    module = script_loading.load_module(str(script))
    steps = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, scripts_postprocessing.ScriptPostprocessing)]
    assert len(steps) == 1, steps
    runner = scripts_postprocessing.ScriptPostprocessingRunner()
    runner.initialize_scripts([scripts.ScriptClassData(steps[0], str(script), str(script.parents[1]), module)])
    with gradio.Blocks():
        runner.setup_ui()
    (step,) = runner.scripts
    assert step.controls and "enable" in step.controls, step.controls
    return {"step": step.name, "order": step.order, "controls": list(step.controls)}
