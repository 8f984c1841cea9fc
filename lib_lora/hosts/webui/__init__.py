"""AUTOMATIC1111's WebUI as a host. Nothing of the WebUI is imported before it is asked for."""

from __future__ import annotations

import sys

from lib_lora.hosts.webui.callbacks import mount
from lib_lora.hosts.webui.extras import step
from lib_lora.hosts.webui.host import WebUIHost

__all__ = ["WebUIHost", "matches", "mount", "step"]


def matches() -> bool:
    """Whether this process is AUTOMATIC1111's WebUI (and not one of the forks that manage memory another way)."""
    return "modules.script_callbacks" in sys.modules and "modules_forge" not in sys.modules
