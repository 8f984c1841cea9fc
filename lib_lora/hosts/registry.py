"""The hosts there are: the programs this one runs inside of, and what lends a model without any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib_lora.core.registry import Registry
from lib_lora.hosts.base import Host

# A checkpoint file (None: whatever the program around us has loaded) and the folder for what is made → the host.
Build = Callable[[Path | None, Path | None], Host]
hosts: Registry[Build] = Registry("host", "lib_lora.hosts.kinds")


@dataclass(frozen=True)
class HostOptions:
    """Hosts have none: they are found, not chosen.

    A card's traits say the rest. `matches` () → whether this process has it; `around` whether it is a program we run
    inside of, which then has `mount` (tab, routes, unload) and may have `extras` (makes the class of its step that captions
    pictures); without `around` it needs a checkpoint file.
    """
