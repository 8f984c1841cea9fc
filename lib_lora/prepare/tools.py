"""What makes pictures larger: the host's upscalers, or plain resampling where it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lib_lora.hosts.base import PictureTools

if TYPE_CHECKING:
    from PIL import Image

LANCZOS = "Lanczos"


class Plain:
    """Lanczos resampling, which is everywhere."""

    def upscalers(self) -> tuple[str, ...]:
        """The one there is."""
        return (LANCZOS,)

    def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = lambda: True) -> Image.Image:
        """The picture in that size."""
        del name, waiting
        return resampled(image, size)


def tools_of(host: object) -> PictureTools:
    """The host's own tools; plain ones where it has none."""
    return host if isinstance(host, PictureTools) else Plain()


def resampled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in another size, by Lanczos."""
    from PIL import Image

    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
