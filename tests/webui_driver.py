"""Boots a real WebUI in this process, without its web server, and runs the promises of `webui_contract` on checkpoints.

    SD_WEBUI_ROOT=… [SD_WEBUI_DATA=…] [SD_WEBUI_FLAGS=…] $SD_WEBUI_PYTHON tests/webui_driver.py RESULTS [CHECKPOINT …] [--only PROMISE]

Writes a line of JSON for each promise to RESULTS: {"checkpoint", "promise", "figures" or "error"}. Without names all
checkpoints are taken that the WebUI lists. Not pytest: the WebUI's environment need not have it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


def boot(root: Path, data: Path | None, flags: list[str]) -> None:
    """The steps of the WebUI's launch.py up to before the UI is built, with our place in `sys.path` kept."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", GRADIO_ANALYTICS_ENABLED="False")
    wanted = ["--skip-prepare-environment", "--skip-torch-cuda-test", "--no-download-sd-model", "--skip-load-model-at-start", *flags]
    sys.argv = [str(root / "webui.py"), *wanted, *(["--data-dir", str(data)] if data else [])]
    os.chdir(root)
    sys.path.insert(0, str(root))
    importlib.import_module("modules.launch_utils")  # parses the flags
    from modules import initialize, initialize_util

    initialize_util.configure_sigint_handler = lambda: None  # its own ends the process without a word
    initialize.imports()
    initialize.initialize()
    from modules import script_callbacks

    script_callbacks.before_ui_callback()
    script_callbacks.ui_settings_callback()


def load(name: str) -> None:
    """Have the WebUI load a checkpoint, as choosing it in the list does."""
    from modules import devices, sd_hijack, sd_models, shared

    info = sd_models.get_closet_checkpoint_match(name)
    if info is None:
        raise SystemExit(f"no checkpoint {name!r}; there are {sorted(sd_models.checkpoints_list)}")
    shared.opts.data["sd_model_checkpoint"] = info.title
    # "Original" divides by the mean of the encoding, which is nothing but rounding where weights are random: 0/0 at times.
    shared.opts.data["emphasis"] = "No norm"
    if sd_models.model_data.sd_model is None:
        sd_models.load_model(info)
        if sd_hijack.current_optimizer is None:
            sd_hijack.apply_optimizations()
        devices.first_time_calculation()
    else:
        sd_models.reload_model_weights(info=info)


def run(results: Path, names: list[str], only: list[str]) -> int:
    import webui_contract
    from modules import sd_models

    from lib_lora.hosts.webui import WebUIHost

    failed = 0
    for name in names or sorted(sd_models.checkpoints_list):
        load(name)
        for title, promise in webui_contract.PROMISES.items():
            if only and title not in only:
                continue
            started = time.perf_counter()
            line: dict[str, Any] = {"checkpoint": name, "promise": title}
            try:
                line["figures"] = promise(WebUIHost())
            except Exception:  # noqa: BLE001 - a promise that fails in any way is a line of the report
                line["error"] = traceback.format_exc()
                failed += 1
                webui_contract.tidy()
            line["seconds"] = round(time.perf_counter() - started, 2)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, default=str) + "\n")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("checkpoints", nargs="*")
    parser.add_argument("--only", action="append", default=[])
    asked = parser.parse_args()
    results = asked.results.resolve()
    data = os.environ.get("SD_WEBUI_DATA")
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]
    flags = shlex.split(os.environ.get("SD_WEBUI_FLAGS", "--use-cpu all --no-half"))
    boot(Path(os.environ["SD_WEBUI_ROOT"]).resolve(), Path(data).resolve() if data else None, flags)
    return 1 if run(results, asked.checkpoints, asked.only) else 0


if __name__ == "__main__":
    # Threads of the WebUI that are not daemons would keep the process.
    code = main()
    sys.stdout.flush()
    os._exit(code)
