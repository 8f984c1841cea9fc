"""The REST routes under /lora-studio/v1/."""

from lib_lora.api.endpoint import PREFIX
from lib_lora.api.routes import mount

__all__ = ["PREFIX", "mount"]
