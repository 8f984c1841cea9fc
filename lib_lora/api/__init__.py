"""The REST routes under /lora-studio/v1/."""

from lib_lora.api.routes import PREFIX, mount

__all__ = ["PREFIX", "mount"]
