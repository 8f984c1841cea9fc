"""Stand-alone: checkpoints in the WebUI's single-file layout, run by diffusers and transformers, without a network."""

from __future__ import annotations

from lib_lora.hosts.diffusers.host import DiffusersHost

__all__ = ["DiffusersHost"]
