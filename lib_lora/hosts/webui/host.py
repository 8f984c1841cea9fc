"""The host itself: what the rest of the program asks of the WebUI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_lora.core.messages import Message
from lib_lora.hosts.base import Access, HostPaths, Interrogator, Lease, Overrides, PictureRequest
from lib_lora.hosts.webui import facts, networks, refusals
from lib_lora.model import Model, ModelFacts

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

STATE_FOLDER = "lora_studio"


class WebUIHost:
    """AUTOMATIC1111's WebUI. `thorough` makes each lease compare every byte of the model at its end."""

    name = "webui"

    def __init__(self, thorough: bool = False) -> None:
        self.thorough = thorough

    def paths(self) -> HostPaths:
        """The Lora folder, and ours under the WebUI's data. Whoever comes from elsewhere may name only what it serves."""
        from modules import paths_internal, shared

        data = Path(paths_internal.data_path)
        loras = Path(shared.cmd_opts.lora_dir)
        opened = [Path(folder) for folder in getattr(shared.cmd_opts, "gradio_allowed_path", None) or []]
        models = Path(getattr(paths_internal, "models_path", data / "models"))
        return HostPaths(loras=loras, state=data / STATE_FOLDER, roots=(data, loras, *opened) if _confined(shared.cmd_opts) else None, models=models)

    def access(self) -> Access:
        """The logins of --api-auth. The page's own login (--gradio-auth) is a cookie and not our business here."""
        from modules import shared

        pairs = [entry.partition(":") for entry in (shared.cmd_opts.api_auth or "").split(",") if ":" in entry]
        return Access(basic=tuple((user.strip(), password.strip()) for user, _, password in pairs))

    def facts(self, overrides: Overrides = Overrides()) -> ModelFacts | None:
        """What is known of the loaded model, without waiting; None where there is none that we know."""
        sd = facts.loaded()
        return facts.read(sd, overrides) if sd is not None and facts.family(sd) is not None else None

    def refusals(self, lease: Lease) -> list[Message]:
        """Why this cannot be trained so, each with what to change."""
        return refusals.find(facts.loaded(), lease)

    def borrow(self, lease: Lease, waiting: Callable[[], bool]) -> AbstractContextManager[Model]:
        """Wait in the WebUI's queue, then have its model until the context ends."""
        from lib_lora.hosts.webui.lease import lend

        return lend(lease, waiting, self.thorough)

    def busy(self) -> bool:
        """Whether the WebUI's queue is taken."""
        from lib_lora.hosts.webui import queue

        return queue.taken()

    def picture(self, model: Model, request: PictureRequest) -> Image.Image:
        """One picture through the WebUI's sampler. To be called by the thread that has the lease."""
        from lib_lora.hosts.webui.picture import sample

        return sample(model, request)

    def deltas(self, path: Path, model: Model) -> Iterator[tuple[str, Tensor]]:  # noqa: ARG002 - the WebUI has one model
        """The file as the built-in Lora reads it for the loaded model."""
        return networks.deltas(path)

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """By the tokenizer of the loaded model; None where there is none, or one that does not tell."""
        from lib_lora.hosts.webui import program

        return program.tokens(facts.loaded(), texts)

    def forget(self, paths: Sequence[Path]) -> None:
        """Have the built-in Lora list these files and apply them anew."""
        networks.forget(paths, facts.loaded())

    def upscalers(self) -> tuple[str, ...]:
        """The upscalers of the Extras tab."""
        from lib_lora.hosts.webui import upscale

        return upscale.names()

    def upscale(self, image: Image.Image, name: str, size: tuple[int, int], waiting: Callable[[], bool] = lambda: True) -> Image.Image:
        """One picture through one of them, when the WebUI is free."""
        from lib_lora.hosts.webui import upscale

        return upscale.upscale(image, name, size, waiting)

    def interrogators(self) -> tuple[Interrogator, ...]:
        """DeepBooru and BLIP."""
        from lib_lora.hosts.webui import interrogate

        return interrogate.there()


def _confined(flags: Any) -> bool:
    outward = ("share", "ngrok", "listen", "server_name", "hide_ui_dir_config")
    return any(getattr(flags, name, None) for name in outward)
