"""AUTOMATIC1111's WebUI, when we run inside of it."""

from __future__ import annotations

from pathlib import Path

from lib_lora.hosts import webui
from lib_lora.hosts.base import Host
from lib_lora.hosts.registry import HostOptions, hosts


@hosts.add("webui", "AUTOMATIC1111 WebUI", HostOptions, around=True, matches=webui.matches, mount=webui.mount, extras=webui.step)
def build(checkpoint: Path | None, folder: Path | None) -> Host:
    """The WebUI itself: it knows its checkpoint and its folders."""
    return webui.WebUIHost()
