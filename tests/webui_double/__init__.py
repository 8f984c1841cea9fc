"""A thin double of what the WebUI host touches of AUTOMATIC1111's `modules.*` and built-in Lora.

The networks inside are real: ldm's UNet, the parts of its VAE, Hugging Face's CLIP. What the double promises beyond
that is written in `webui_contract.py`, whose promises a real WebUI keeps too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("modules", "networks", "network")


@contextmanager
def running(folder: Path, parameterization: str = "eps", tensors: tuple[str, ...] = (), model: bool = True) -> Iterator[None]:
    """A WebUI in this process whose data is in `folder`, with a checkpoint loaded whose file names `tensors`.

    Without `model` there is none, and nobody may ask for it: this needs no ldm.
    """
    foreign = {name: module for name, module in sys.modules.items() if name.split(".")[0] in NAMES}
    _forget()
    sys.path.insert(0, str(HERE))
    try:
        paths = importlib.import_module("modules.paths_internal")
        paths.data_path, paths.models_path = str(folder), str(folder / "models")
        importlib.import_module("modules.shared").cmd_opts.lora_dir = str(folder / "models" / "Lora")
        if model:
            importlib.import_module("networks").patch()
            importlib.import_module("modules.sd_models").load(folder, parameterization, tensors)
        yield
    finally:
        sys.path.remove(str(HERE))
        if "networks" in sys.modules:
            sys.modules["networks"].unpatch()
            sys.modules["modules.sd_hijack"].undo()
        _forget()
        sys.modules.update(foreign)


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in NAMES]:
        del sys.modules[name]
