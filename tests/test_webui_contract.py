"""The promises of `webui_contract`: in the double always, in a real WebUI when there is one.

A real one is named by SD_WEBUI_ROOT and SD_WEBUI_PYTHON, with SD_WEBUI_DATA for its --data-dir, SD_WEBUI_CHECKPOINTS
for a comma list of checkpoints (all it lists otherwise) and SD_WEBUI_FLAGS for its flags. The figures are printed
(pytest -rP shows them).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ldm.modules.diffusionmodules.openaimodel", reason="stable-diffusion-sdkit (the real ldm) is not installed")

import webui_contract
import webui_double

from lib_lora.hosts.webui import WebUIHost

DRIVER = Path(__file__).with_name("webui_driver.py")
REAL = os.environ.get("SD_WEBUI_ROOT") and os.environ.get("SD_WEBUI_PYTHON")
LOADED = {"epsilon": ("eps", ()), "v": ("v", ()), "v_in_the_file": ("eps", ("v_pred", "ztsnr"))}
# The other promises do not depend on what is predicted.
OF_EVERY_KIND = {"facts_come_from_the_loaded_model", "a_preview_is_a_picture_of_the_network"}
# What they are about is not in the double; doubles of it stand beside the tests of upscalers, tokens, logins and Extras.
OF_A_REAL_ONE = {name for name, made in webui_contract.PROMISES.items() if made.__module__ == "webui_contract_dataset"}


CASES = [(kind, name) for kind in LOADED for name in webui_contract.PROMISES if name not in OF_A_REAL_ONE and (kind == "epsilon" or name in OF_EVERY_KIND)]


@pytest.fixture(scope="module")
def double(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    parameterization, tensors = LOADED[request.param]
    with webui_double.running(tmp_path_factory.mktemp(request.param), parameterization, tensors):
        yield


@pytest.mark.parametrize(("double", "name"), CASES, indirect=["double"], scope="module")
def test_in_the_double(double: None, name: str) -> None:
    try:
        print(webui_contract.PROMISES[name](WebUIHost(thorough=True)))
    finally:
        webui_contract.tidy()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    results = tmp_path_factory.mktemp("webui") / "results.jsonl"
    checkpoints = [name for name in os.environ.get("SD_WEBUI_CHECKPOINTS", "").split(",") if name]
    done = subprocess.run([os.environ["SD_WEBUI_PYTHON"], str(DRIVER), str(results), *checkpoints], capture_output=True, text=True, check=False)
    assert results.is_file(), f"the WebUI did not start:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


@pytest.mark.webui
@pytest.mark.skipif(not REAL, reason="SD_WEBUI_ROOT and SD_WEBUI_PYTHON name no real WebUI")
@pytest.mark.parametrize("name", webui_contract.PROMISES)
def test_in_a_real_webui(real: list[dict[str, Any]], name: str) -> None:
    lines = [line for line in real if line["promise"] == name]
    assert lines, "the WebUI ended before this promise was asked"
    for line in lines:
        print(line["checkpoint"], line.get("figures"))
    broken = [f"{line['checkpoint']}:\n{line['error']}" for line in lines if "error" in line]
    assert not broken, "\n".join(broken)
