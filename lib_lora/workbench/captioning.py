"""One picture → its caption, for programs that bring pictures one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from lib_lora.hosts.base import CaptionRequest
    from lib_lora.workbench.bench import Workbench


def of(bench: Workbench) -> Callable[[Image.Image, CaptionRequest], tuple[str, str, str]]:
    """Tags a picture as it is asked: its caption, the tagger's name, and its device. LoraError says why not."""

    def tag(image: Image.Image, request: CaptionRequest) -> tuple[str, str, str]:
        from lib_lora.dataset import images
        from lib_lora.tagging.compose import APPEND, Composer, Wish
        from lib_lora.tagging.rules import Rules
        from lib_lora.tagging.select import Thresholds
        from lib_lora.tagging.table import single

        answer = bench.taggers.ask(images.upright(image), request.tagger)
        table, name = single(answer.labels, answer.row, answer.sentence)
        wish = Wish(Rules(trigger=request.trigger), Thresholds(request.threshold, request.character_threshold), policy=APPEND)
        return Composer(table, wish).merged(request.before, name), answer.tagger, answer.device

    return tag


def names(bench: Workbench) -> Callable[[], list[str]]:
    """The taggers that are here."""
    return lambda: [tagger.name for tagger in bench.taggers.listed().values() if tagger.missing is None]
