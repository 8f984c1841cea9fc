"""Which host a process has."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from checkpoints import sd1

from lib_lora.hosts import detect
from lib_lora.hosts.diffusers import DiffusersHost


def test_without_webui_and_checkpoint_there_is_no_host(tmp_path: Path) -> None:
    assert not detect.inside_webui()
    assert detect.detect(None, tmp_path) is None


def test_a_named_checkpoint_is_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sd1(tmp_path)
    _pretend_webui(monkeypatch)
    host = detect.detect(path, tmp_path)
    assert isinstance(host, DiffusersHost)
    assert host.checkpoints() == (path,)


def test_the_webui_is_known_by_its_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_webui(monkeypatch)
    assert detect.inside_webui()


def _pretend_webui(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("modules", "modules.shared", "modules.script_callbacks"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
