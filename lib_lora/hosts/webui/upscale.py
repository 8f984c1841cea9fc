"""The WebUI's upscalers, each picture under the WebUI's queue."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lib_lora.core.errors import HostError
from lib_lora.core.messages import say
from lib_lora.hosts.webui import program, queue

if TYPE_CHECKING:
    from PIL import Image

NONE = "None"


def names() -> tuple[str, ...]:
    """What the WebUI has, but for the one that does nothing."""
    from modules import shared

    return tuple(dict.fromkeys(one.name for one in shared.sd_upscalers if one.name and one.name != NONE))


def upscale(image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool]) -> Image.Image:
    """The picture in exactly that size. HostError where the upscaler is gone, was interrupted, or gave the picture back as it was."""
    from PIL import Image

    if name in ("", NONE):
        return image.resize(size, Image.Resampling.LANCZOS)
    found = _named(name)
    scale = max(size[0] / image.width, size[1] / image.height)
    if scale > 1:
        image = _larger(found, image, scale, waiting)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def _named(name: str) -> Any:
    from modules import shared

    found = next((one for one in shared.sd_upscalers if one.name == name), None)
    if found is None:
        raise HostError(say("The WebUI has no upscaler {name} any more; choose one of: {names}.", name=name, names=names()))
    return found


def _larger(found: Any, image: Image.Image, scale: float, waiting: Callable[[], bool]) -> Image.Image:
    from modules import shared

    sizes: list[tuple[int, int]] = []
    with ExitStack() as stack:
        stack.enter_context(queue.turn(waiting))
        stack.enter_context(program.job())
        own = found.scaler.do_upscale

        # The WebUI swallows what goes wrong in a model and hands the picture on; only its size tells.
        def watched(given: Image.Image, *rest: Any) -> Image.Image:
            done = own(given, *rest)
            sizes.append(done.size)
            return done

        stack.enter_context(program.attributes_kept(found.scaler, do_upscale=watched))
        try:
            result = found.scaler.upscale(image, scale, found.data_path)
        except Exception as error:  # upscalers are code of many authors
            raise HostError(say("The upscaler {name} did not work: {why}", name=found.name, why=str(error) or type(error).__name__)) from error
        # Read while it is still our job: the next one's beginning clears it.
        interrupted = shared.state.interrupted or shared.state.stopping_generation
    if interrupted:
        raise HostError(say("The upscaling was interrupted; nothing was written. Start again when you like."))
    if not sizes or all(seen == image.size for seen in sizes):
        raise HostError(say("The upscaler {name} gave the picture back as it was: its model may be missing. The WebUI's console says why.", name=found.name))
    return result
