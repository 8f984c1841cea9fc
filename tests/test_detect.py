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
    assert detect.around() is None
    assert detect.detect(None, tmp_path) is None


def test_a_named_checkpoint_is_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sd1(tmp_path)
    _pretend(monkeypatch, "modules", "modules.shared", "modules.script_callbacks")
    host = detect.detect(path, tmp_path)
    assert isinstance(host, DiffusersHost)
    assert host.checkpoints() == (path,)


def test_the_webui_is_known_by_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, "modules", "modules.shared", "modules.script_callbacks")
    assert detect.around().kind == "webui"
    assert detect.detect(None, tmp_path).name == "webui"


def test_a_fork_that_manages_memory_another_way_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, "modules", "modules.shared", "modules.script_callbacks", "modules_forge")
    assert detect.around() is None


def test_one_new_file_adds_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_lora.hosts import registry

    package = tmp_path / "hosts_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "comfy.py").write_text(
        "from lib_lora.hosts import detect\nfrom lib_lora.hosts.registry import HostOptions\n"
        "@detect.hosts.add('comfy', 'Comfy', HostOptions, around=True, matches=lambda: True, mount=print)\n"
        "def build(checkpoint, folder):\n    return 'the host'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(detect, "hosts", registry.Registry("host", "hosts_of_test"))
    assert detect.detect(None, tmp_path) == "the host"


def _pretend(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
