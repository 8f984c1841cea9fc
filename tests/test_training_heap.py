"""The heap of the C library during a training on the CPU."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import FakeModel, PlainLora
from test_loop import Pictures, config_of

from lib_lora.training import heap, loop
from lib_lora.training.control import Control

ON_GLIBC = platform.libc_ver()[0] == "glibc"
# In a process of its own: pages that the system hands out while blocks of 48 MB come and go, outside and inside; then
# the pages that are resident before and after it is closed.
COUNT = """
import resource, torch
from pathlib import Path
from lib_lora.training.heap import kept

def handed_out():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.empty(12 * 1024**2).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

outside = handed_out()
with kept():
    for _ in range(4):  # until the heap is as large as it gets
        handed_out()
    inside, held = handed_out(), resident()
print(outside, inside, held - resident())
"""


@pytest.mark.skipif(not ON_GLIBC, reason="only glibc has this")
def test_freed_memory_stays_while_it_is_open_and_not_longer() -> None:
    environment = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[1]), "THP_MEM_ALLOC_ENABLE": "0"}
    ran = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, env=environment)
    outside, inside, given_back = map(int, ran.stdout.split())
    assert outside > 50_000
    assert inside < outside / 20
    assert given_back > 10_000


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("it was called"))
    with heap.kept():
        pass


def test_only_a_training_on_the_cpu_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bool] = []

    def kept() -> Any:
        opened.append(True)
        return nullcontext()

    monkeypatch.setattr(heap, "kept", kept)
    model = FakeModel()
    list(loop.run(model, PlainLora(model.layers()), Pictures(model), config_of(), loop.Steps(3, 2), Control()))
    assert opened == [True]
    model.device = lambda: torch.device("meta")
    with pytest.raises(Exception, match=r"."):
        list(loop.run(model, PlainLora(model.layers()), Pictures(model), config_of(), loop.Steps(3, 2), Control()))
    assert opened == [True]
