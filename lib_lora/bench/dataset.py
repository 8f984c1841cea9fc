"""The dataset page at thousands of pictures: listing, first thumbnails, analysis, opening again, memory."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib_lora.pictures.picture import Catalog

PICTURES, PAGE = 2000, 100
BROWSER = 6  # requests that a browser has under way at once
MEBI = 1 << 20
# What other rooms measure on the same pictures: each gets the catalogue and a folder to write into, and returns figures.
Part = Callable[["Catalog", Path], Mapping[str, Any]]


def parts() -> tuple[Part, ...]:
    """The figures of other rooms."""
    from lib_lora.bench import captions

    return (captions.figures,)


def measure(pictures: int = PICTURES, folder: Path | None = None) -> dict[str, Any]:
    """All figures in seconds. The pictures are drawn once, below `folder`, and stay there."""
    from lib_lora.bench import drawings

    began = time.perf_counter()
    root = drawings.make(folder or Path(tempfile.gettempdir()) / f"lora-studio-bench-{pictures}", pictures)
    drawn = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as name:
        return {**_figures(root, Path(name)), "drawing_s": drawn, "cores": os.cpu_count(), "python": sys.version.split()[0]}


def _figures(root: Path, state: Path) -> dict[str, Any]:
    from lib_lora.dataset import captions
    from lib_lora.pictures import catalog as catalogs
    from lib_lora.pictures import classes, lint, outliers, places, similar, thumbs
    from lib_lora.pictures.analyst import Analyst

    before = _peak()
    started = time.perf_counter()
    catalog = catalogs.read(root)
    read = time.perf_counter() - started
    findings = sum(len(lint.findings(one, "trigger", lambda text: len(text) // 4)) for one in catalog.pictures)
    listed = time.perf_counter() - started
    busy = time.process_time()
    page = _seconds(lambda: _all(lambda one: thumbs.thumb(one, state / "thumbs"), catalog.pictures[:PAGE]))
    busy = time.process_time() - busy
    judged = _seconds(lambda: [classes.judge(captions.tags(one.caption)) for one in catalog.pictures])
    placed = _seconds(lambda: [places.preview(one.size, 768, _buckets()) for one in catalog.pictures])
    analyst = Analyst(state / "pictures")
    analysis = _seconds(lambda: (analyst.start(catalog), analyst.wait()))
    seen = analyst.seen()
    kin = _seconds(lambda: (similar.find(seen), outliers.find(seen)))
    again = Analyst(state / "pictures")
    second = _seconds(lambda: (again.start(catalogs.read(root)), again.wait()))
    assert len(again.seen()) == len(catalog.pictures), "the second opening knows all"
    return {
        "pictures": len(catalog.pictures),
        "list_s": listed,
        "read_s": read,
        "findings": findings,
        "first_page_s": page,
        # Of all cores together: what the page takes where nothing else runs is this by their number.
        "first_page_cpu_s": busy,
        "classes_s": judged,
        "places_s": placed,
        "analysis_s": analysis,
        "similar_s": kin,
        "second_opening_s": second,
        "extra_mb": (_peak() - before) / MEBI,
        **{name: value for part in parts() for name, value in part(catalog, state).items()},
    }


def _buckets() -> Any:
    from lib_lora.dataset.config import BucketConfig

    return BucketConfig()


def _all(work: Callable[[Any], Any], things: Any) -> None:
    """As a browser asks for them."""
    with ThreadPoolExecutor(BROWSER) as pool:
        list(pool.map(work, things))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak() -> int:
    """The most memory this process ever had; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
