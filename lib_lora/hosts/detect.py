"""Which host this process has."""

from __future__ import annotations

import sys
from pathlib import Path

from lib_lora.hosts.base import Host


def inside_webui() -> bool:
    """Whether the WebUI runs in this process; asks what is imported already and imports nothing."""
    return "modules.shared" in sys.modules and "modules.script_callbacks" in sys.modules


def detect(checkpoint: Path | None, folder: Path) -> Host | None:
    """The WebUI around us, or a stand-alone host for a checkpoint; None when there is neither."""
    if checkpoint is None and inside_webui():
        from lib_lora.hosts.webui import WebUIHost

        return WebUIHost()
    if checkpoint is None:
        return None
    from lib_lora.hosts.diffusers.host import DiffusersHost

    return DiffusersHost(checkpoint, folder)
