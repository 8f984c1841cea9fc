"""What many tests share: the embedded default, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lib_lora.demo import DemoSet


@pytest.fixture(scope="session")
def demo_set(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    """The demo's checkpoint, pictures and job in a temporary folder. Not to be written into."""
    from lib_lora import demo

    return demo.make(tmp_path_factory.mktemp("demo"))
