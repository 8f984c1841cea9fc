"""Without a WebUI: one checkpoint file, run by diffusers."""

from __future__ import annotations

from pathlib import Path

from lib_lora.hosts.base import Host
from lib_lora.hosts.registry import HostOptions, hosts


@hosts.add("diffusers", "Stand-alone", HostOptions, around=False, matches=lambda: True)
def build(checkpoint: Path | None, folder: Path | None) -> Host:
    """The checkpoint, with LoRAs going to `folder`."""
    from lib_lora.hosts.diffusers import DiffusersHost

    assert checkpoint is not None, "a stand-alone host is one of a checkpoint"
    return DiffusersHost(checkpoint, folder or checkpoint.parent)
