"""Waiting for the pixels of a catalogue to be looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lib_lora.doctor.examine import Teller

if TYPE_CHECKING:
    from lib_lora.pictures.analyst import Analyst
    from lib_lora.pictures.picture import Catalog
    from lib_lora.pictures.seen import Seen

PAUSE = 0.05  # seconds between two looks at how far it is


def with_cache(cache: Path, catalog: Catalog, teller: Teller) -> Mapping[str, Seen]:
    """What the pixels of a catalogue say; what was learnt before lies in `cache`."""
    from lib_lora.pictures.analyst import Analyst

    analyst = Analyst(cache)
    analyst.start(catalog)
    try:
        return awaited(analyst, teller)
    finally:
        analyst.stop()


def awaited(analyst: Analyst, teller: Teller) -> Mapping[str, Seen]:
    """All that an analyst sees, as soon as it has seen all; what it has when the work is cancelled."""
    while not teller.cancelled:
        done, total = analyst.progress()
        teller.tell(done, total)
        if done >= total:
            break
        time.sleep(PAUSE)
    return dict(analyst.seen())
