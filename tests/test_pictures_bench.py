"""The benchmark of the dataset page measures what it says, on few pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_lora import bench
from lib_lora.bench import dataset, drawings


def test_the_figures_are_of_the_pictures_that_were_drawn(tmp_path: Path) -> None:
    found = bench.main(["dataset", "--pictures", "6", "--folder", str(tmp_path / "set"), "--json"])
    assert found["pictures"] == 6
    seconds = {name: value for name, value in found.items() if name.endswith("_s")}
    assert {"list_s", "first_page_s", "analysis_s", "second_opening_s"} <= set(seconds)
    assert all(value >= 0 for value in seconds.values())
    files = sorted(path for path in (tmp_path / "set").rglob("*") if path.suffix in (".png", ".jpg"))
    assert len(files) == 6
    before = [path.stat().st_mtime_ns for path in files]
    drawings.make(tmp_path / "set", 6)
    assert [path.stat().st_mtime_ns for path in files] == before


def test_figures_of_other_rooms_are_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "parts", lambda: (lambda catalog, folder: {"others": len(catalog.pictures), "writes": folder.is_dir()},))
    found = dataset.measure(2, tmp_path)
    assert (found["others"], found["writes"]) == (2, True)
