"""What many tests share: the embedded default, made once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from lib_lora.demo import DemoSet

# Small models on threads that wait for each other spend nearly all time waiting where other processes run; and the suite
# runs in parallel itself. Set before torch is imported, and handed on to programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every run: what lands must not hang on a draw, nor on how busy the machine is. HYPOTHESIS_EXPLORE=1
# draws anew each time, to look for what nobody has thought of.
settings.register_profile(
    "same", derandomize=not os.environ.get("HYPOTHESIS_EXPLORE"), deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("same")


@pytest.fixture(scope="session")
def demo_set(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    """The demo's checkpoint, pictures and job in a temporary folder. Not to be written into."""
    from lib_lora import demo

    return demo.make(tmp_path_factory.mktemp("demo"))
