"""What a prepared project was made of, as far as it is still there and opened to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib_lora.core.errors import LoraError
from lib_lora.core.roots import opened_folder
from lib_lora.doctor.examine import Origins


def origins_of(root: Path, roots: Sequence[Path] | None = None) -> Origins | None:
    """The originals of the pictures below `root`; None where no Prepare made it. Nothing is read but names and headers."""
    from lib_lora.pictures import catalog
    from lib_lora.prepare import manifest

    made = manifest.made(root)
    if not made.of:
        return None
    try:
        read = catalog.read(opened_folder("folder", made.source, roots), roots)
    except LoraError:
        return Origins(None, made.of, made.trigger)
    return Origins(read, made.of, made.trigger)
