"""The benchmark of tagging measures what it says, on a graph small enough for a test."""

from __future__ import annotations

import pytest

from lib_lora import bench


def test_figures_of_a_small_run() -> None:
    pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")
    found = bench.main(["tag", "--pictures", "3", "--seconds", "0", "--rounds", "1", "--many", "5"])
    assert (found["pictures"], found["batch"], found["preview_pictures"]) == (3, 4, 5)
    assert found["onnxruntime_s_per_picture"] > 0
    assert found["shares"] == [found["share_of_onnxruntime"]]
    assert found["share_of_onnxruntime"] > 0
