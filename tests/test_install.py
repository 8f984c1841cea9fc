"""install.py's decisions: which Python, which versions are held, which release and which build is tried, what a user reads."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lora_studio_install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


install = load()


# ---- which Python


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 11, 7), (3, 12, 1)])
def test_these_pythons_are_taken(version: tuple[int, ...]) -> None:
    assert install.python_problem(version) == ""


@pytest.mark.parametrize(("version", "bits"), [((2, 7, 18), 64), ((3, 9, 18), 64), ((3, 13, 0), 64), ((3, 20, 1), 64), ((3, 11, 7), 32)])
def test_on_another_python_it_says_which_to_install(version: tuple[int, ...], bits: int) -> None:
    sentence = install.python_problem(version, bits)
    assert ".".join(map(str, version)) in sentence
    assert "Install Python 3.11" in sentence


def test_an_old_python_can_read_it_far_enough_to_say_so() -> None:
    ast.parse((ROOT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_only_the_standard_library_is_imported() -> None:
    tree = ast.parse((ROOT / "install.py").read_text(encoding="utf-8"))
    heads = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    heads |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert heads <= sys.stdlib_module_names


def test_another_python_ends_before_anything_is_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install.sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(install, "add", lambda: pytest.fail("it went on"))
    assert install.main([]) == 2
    assert "Python 3.13.0" in capsys.readouterr().out


# ---- what is held


VERSIONS = st.from_regex(r"(0|[1-9][0-9]?)(\.(0|[1-9][0-9]?)){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+(cu121|cpu|git1a2b))?", fullmatch=True)


@given(st.dictionaries(st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True), VERSIONS, max_size=8))
def test_every_installed_version_is_held(versions: dict[str, str]) -> None:
    assert {f"{name}=={version}" for name, version in versions.items()} <= set(install.constraints(versions))


@pytest.mark.parametrize("version", ["", "unknown", "1.0-custom build", "2.0 --hash=x", "1.0; python_version<'3'", "1.0\nevil==1"])
def test_a_version_that_pip_would_not_read_does_not_spoil_the_others(version: str) -> None:
    assert install.constraints({"odd": version, "torch": "2.1.2+cu121"}) == ["torch==2.1.2+cu121"]


@pytest.mark.parametrize("family", [install.ONNX, install.OPENCV])
def test_nothing_is_laid_over_one_of_a_family(family: tuple[str, ...]) -> None:
    lines = install.constraints({family[1]: "1.0"})
    assert f"{family[1]}==1.0" in lines
    assert {f"{name}<0" for name in family if name != family[1]} <= set(lines)
    assert not any(line.endswith("<0") for line in install.constraints({"torch": "2.1.2"}))


def test_the_quick_look_agrees_with_the_metadata_here() -> None:
    quick, exact = install.listed(sys.path), install.installed()
    assert {name: exact[name] for name in install.BEARING & set(exact)} == {name: quick[name] for name in install.BEARING & set(quick)}


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("torch-2.1.2+cu121.dist-info", "torch", "2.1.2+cu121"),
        ("lycoris_lora-3.1.1.post1.dist-info", "lycoris-lora", "3.1.1.post1"),
        ("Pillow-9.5.0-py3.10.egg-info", "pillow", "9.5.0"),
        ("huggingface_hub-0.36.2.dist-info", "huggingface-hub", "0.36.2"),
        ("ruamel.yaml-0.18.6.dist-info", "ruamel-yaml", "0.18.6"),
        ("mine.egg-info", "mine", ""),
    ],
)
def test_folder_names_tell_name_and_version(tmp_path: Path, folder: str, name: str, version: str) -> None:
    for made in (folder, "~orch-2.0.dist-info", "torchvision", "notes.txt"):
        (tmp_path / made).mkdir()
    assert install.listed([str(tmp_path), str(tmp_path / "absent")]) == {name: version}


# ---- which release


def tried(key: str, versions: dict[str, str], torch: Any) -> list[tuple[str, str]]:
    need = next(item for item in install.NEEDS if item.key == key)
    return [(candidate.name, candidate.version) for candidate in need.candidates if candidate.fits(versions, torch)]


NO_CARD = install.Torch("2.1.2+cu121", "12.1", cuda=False)
CARD = install.Torch("2.4.1+cu124", "12.4", cuda=True)


@pytest.mark.parametrize(("torch", "first"), [("2.1.2", "3.4.0"), ("2.3.1+cu121", "3.4.0"), ("2.4.0", "4.1.3"), ("2.13.0+cpu", "4.1.3")])
def test_lycoris_fits_the_torch_that_is_there(torch: str, first: str) -> None:
    assert tried("lycoris-lora", {"torch": torch}, NO_CARD)[0] == ("lycoris-lora", first)


@pytest.mark.parametrize(
    ("transformers", "accelerate", "first"),
    [("4.30.2", "0.21.0", "0.13.2"), ("4.46.1", "0.31.0", "0.13.2"), ("4.48.0", "1.2.0", "0.17.1"), ("4.57.1", "1.9.0", "0.21.2")],
)
def test_peft_fits_what_it_builds_on(transformers: str, accelerate: str, first: str) -> None:
    assert tried("peft", {"transformers": transformers, "accelerate": accelerate}, NO_CARD)[0] == ("peft", first)


@pytest.mark.parametrize(
    ("torch", "names"),
    [
        (CARD, ["onnxruntime-gpu", "onnxruntime-gpu", "onnxruntime"]),
        (install.Torch("2.0.1+cu118", "11.8", cuda=True), ["onnxruntime-gpu", "onnxruntime-gpu", "onnxruntime"]),
        (NO_CARD, ["onnxruntime"]),
        (install.Torch("2.13.0+cpu"), ["onnxruntime"]),
        (install.Torch("2.13.0"), ["onnxruntime"]),
    ],
)
def test_onnxruntime_follows_the_card(torch: Any, names: list[str]) -> None:
    assert [name for name, _ in tried("onnxruntime", {}, torch)] == names


@pytest.mark.parametrize(("torch", "any_left"), [(CARD, True), (NO_CARD, False), (install.Torch("2.13.0"), False)])
def test_bitsandbytes_only_where_cuda_is(torch: Any, any_left: bool) -> None:
    assert bool(tried("bitsandbytes", {}, torch)) is any_left


def test_rocm_is_not_cuda() -> None:
    stand_in = "import sys, types; t = types.ModuleType('torch'); t.__version__ = '2.4.1+rocm6.1'; t.version = types.SimpleNamespace(cuda=None)\n"
    stand_in += "t.cuda = types.SimpleNamespace(is_available=lambda: True); sys.modules['torch'] = t\n"
    told = subprocess.run([sys.executable, "-c", stand_in + install.ASK_TORCH], capture_output=True, text=True, check=True).stdout
    assert install.Torch(*json.loads(told)) == install.Torch("2.4.1+rocm6.1", "", cuda=False)


def test_toml_is_added_only_where_python_lacks_it() -> None:
    assert "tomli" in {item.key for item in install.wanted((3, 10, 6))}
    assert "tomli" not in {item.key for item in install.wanted((3, 11, 0))}


def test_the_tiny_model_is_a_model() -> None:
    pytest.importorskip("onnxruntime")
    assert install.prove(install.ON_CPU) == ""
    assert "PROVIDER" in install.ON_CUDA
    assert install.prove(install.ON_CPU.replace("-3.0", "3.0")) == "it computes wrongly on CPUExecutionProvider"


# ---- which build of PyTorch


FLAVOURS = (((13, 0), "cu130"), ((12, 6), "cu126"))


@pytest.mark.parametrize(
    ("system", "driver", "local"),
    [
        ("Linux", None, ["+cpu", "+cpu", ""]),
        ("Linux", (13, 0), ["", "+cu130", "+cu126", ""]),
        ("Linux", (12, 8), ["+cu126", "", ""]),
        ("Linux", (11, 4), ["+cpu", "+cpu", ""]),
        ("Windows", None, [""]),
        ("Windows", (13, 1), ["+cu130", "+cu126", ""]),
        ("Windows", (12, 6), ["+cu126", ""]),
        ("Darwin", None, [""]),
    ],
)
def test_the_build_fits_system_and_card(system: str, driver: tuple[int, int] | None, local: list[str]) -> None:
    builds = install.torch_builds(system, driver, FLAVOURS)
    assert [build.local for build in builds] == local
    for build in builds:
        assert not build.index or build.index.endswith("/" + build.local.lstrip("+"))


@pytest.mark.parametrize(
    ("system", "driver", "said"),
    [("Linux", None, "no NVIDIA driver"), ("Windows", (12, 6), "CUDA 12.6"), ("Linux", (11, 4), "too old"), ("Darwin", None, "macOS")],
)
def test_why_a_build_is_taken_is_said(system: str, driver: tuple[int, int] | None, said: str) -> None:
    assert said in install.why_build(system, driver, FLAVOURS)


@pytest.mark.parametrize(
    ("printed", "cuda"), [("| NVIDIA-SMI 550.54  Driver Version: 550.54  CUDA Version: 12.4  |", (12, 4)), ("no devices were found", None)]
)
def test_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, printed: str, cuda: tuple[int, int] | None) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(install, "process", lambda arguments, limit: install.Ran(0, printed, ""))
    assert install.driver_cuda() == cuda
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert install.driver_cuda() is None


# ---- environments of our own


class Machine:
    """Stands for the processes that a set-up starts: notes them, and fails those that a test names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, *failing: str) -> None:
        self.calls: list[list[str]] = []
        self.failing = failing
        monkeypatch.setattr(install, "ROOT", root)
        monkeypatch.setattr(install, "run", self.run)
        monkeypatch.setattr(install, "process", lambda arguments, limit: install.Ran(self.run(arguments), "", ""))
        monkeypatch.setattr(install, "version_of", lambda python: (3, 11))
        monkeypatch.setattr(install, "driver_cuda", lambda: None)
        monkeypatch.setattr("platform.system", lambda: "Linux")

    def run(self, arguments: list[str], **more: str) -> int:
        self.calls.append(arguments)
        if "-c" in arguments and "m.version('torch')" in arguments[-1]:
            return 1
        return int(any(word in self.failing for word in arguments))

    @property
    def pips(self) -> list[list[str]]:
        return [call for call in self.calls if call[1:4] == ["-m", "pip", "install"]]


def folders(root: Path) -> Path:
    (root / ".venv").mkdir()
    (root / ".venv-webui").mkdir()
    return root


@pytest.mark.parametrize("stack", [install.STANDALONE, install.WEBUI], ids=lambda stack: stack.folder)
def test_torch_is_held_in_every_call_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stack: Any) -> None:
    machine = Machine(monkeypatch, folders(tmp_path))
    install.set_up(stack, sys.executable, tools=True)
    assert len(machine.pips) == 3
    for call in machine.pips:
        held = Path(call[call.index("--constraint") + 1]).read_text(encoding="utf-8").splitlines()
        assert set(stack.torch) <= set(held)
        assert {pin for pin in stack.pins if "==" in pin} <= set(held)


def test_a_second_set_up_calls_no_pip_and_the_tools_come_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, folders(tmp_path))
    counts = []
    for tools in (False, False, True, True, False):
        install.set_up(install.STANDALONE, sys.executable, tools)
        counts.append(len(machine.pips))
    assert counts == [3, 3, 6, 6, 6]


def test_an_interrupted_set_up_is_taken_up_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, folders(tmp_path), "gradio==4.40.0")
    for _ in range(2):
        with pytest.raises(install.SetUpFailed, match="could not be installed"):
            install.set_up(install.STANDALONE, sys.executable, tools=False)
    machine.failing = ()
    install.set_up(install.STANDALONE, sys.executable, tools=False)
    assert (tmp_path / ".venv" / "lora-studio-setup.json").exists()


def test_builds_are_tried_in_turn_and_the_one_taken_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(monkeypatch, folders(tmp_path), "torch==2.13.0+cpu")
    install.set_up(install.STANDALONE, sys.executable, tools=False)
    assert [call[-1] for call in machine.pips[:3]] == ["torch==2.13.0+cpu", "torch==2.13.0+cpu", "torch==2.13.0"]
    said = [line for line in capsys.readouterr().out.splitlines() if "installing PyTorch" in line]
    assert "the usual build, since no CPU build can be had (Linux, no NVIDIA driver found)" in said[-1]


@pytest.mark.parametrize(
    ("arguments", "handed_on"),
    [
        (["demo"], ["demo", "--port", "7861"]),
        (["demo", "--headless", "--port", "7999"], ["demo", "--port", "7999", "--headless"]),
    ],
)
def test_demo_hands_over_to_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], handed_on: list[str]) -> None:
    machine = Machine(monkeypatch, folders(tmp_path))
    assert install.main(arguments) == 0
    assert machine.calls[-1][1:3] == ["-m", "lib_lora"]
    assert machine.calls[-1][3:] == handed_on
    machine.failing = ("lib_lora",)
    assert install.main(arguments) == 1


@pytest.mark.parametrize("failing", ["check", "format", "pytest"])
def test_lint_and_suite_both_run_and_either_fails_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str) -> None:
    machine = Machine(monkeypatch, folders(tmp_path))
    assert install.main(["test", "--", "-k", "one"]) == 0
    assert machine.calls[-1][-2:] == ["-k", "one"]
    assert [call[2] for call in machine.calls[-3:]] == ["ruff", "ruff", "pytest"]
    machine.failing = (failing,)
    assert install.main(["test"]) == 1
    assert machine.calls[-1][2] == "pytest"


def test_the_webuis_stack_needs_a_python_that_its_torch_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Machine(monkeypatch, folders(tmp_path))
    monkeypatch.setattr(install, "find_python", lambda version: "")
    assert install.main(["test", "--stack", "webui"]) == 1
    assert "Install Python 3.10" in capsys.readouterr().out


def test_a_python_is_found_only_if_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("shims", "real"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "python3.10").touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}{install.os.pathsep}{tmp_path / 'real'}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(install, "version_of", lambda python: (3, 10) if "real" in python else None)
    assert install.find_python((3, 10)) == str(tmp_path / "real" / "python3.10")
    monkeypatch.setattr(install, "version_of", lambda python: None)
    assert install.find_python((3, 10)) == ""
    assert install.find_python((3, 12)) == ""


def test_this_python_knows_its_version_and_a_missing_one_none() -> None:
    assert install.version_of(sys.executable) == tuple(sys.version_info[:2])
    assert install.version_of(str(ROOT / "no-python-here")) is None


@pytest.mark.skipif(not (Path(sys.prefix) / "lora-studio-setup.json").exists(), reason="this environment was not made by install.py")
def test_what_was_added_to_this_environment_moved_none_of_its_pins() -> None:
    stack = install.WEBUI if Path(sys.prefix).name == ".venv-webui" else install.STANDALONE
    for pin in (*stack.torch, *stack.pins, *stack.bare):
        name, _, version = pin.partition("==")
        if version:
            assert install.release(importlib.metadata.version(name)) == install.release(version), pin
    for pin in stack.torch:
        assert install.prove(f"import {pin.split('==')[0]}") == ""
    for module in ("peft", "lycoris", "onnxruntime", "safetensors", "accelerate"):
        assert install.prove(f"import {module}") == ""


# ---- what a user reads


@pytest.mark.parametrize(
    ("ran", "reason"),
    [
        ((1, "", "Traceback\nImportError: cannot import name 'Cache' from 'transformers' (/home/a/venv/lib/transformers/__init__.py)"), "__init__.py"),
        ((1, "", "ERROR: No matching distribution found for onnxruntime"), "No matching distribution found for onnxruntime"),
        ((1, "", r"OSError: [WinError 126] cannot load C:\Users\Somebody\venv\Lib\torch.dll"), "torch.dll"),
        (
            (1, "", "Failed to load library libonnxruntime_providers_cuda.so: libcudnn.so.9: cannot open shared object file\nit opens no session"),
            "libcudnn.so.9",
        ),
        ((-11, "", "lots of things"), "signal 11"),
        ((3, "", ""), "code 3"),
        ((1, "", "ValueError: " + "x" * 900), "..."),
    ],
)
def test_a_reason_is_one_line_without_the_paths_of_this_machine(ran: tuple[int, str, str], reason: str) -> None:
    text = install.Ran(*ran).reason()
    assert reason in text
    assert len(text) <= 200
    assert not re.search(r"home|Users|Somebody|\n", text)


@pytest.mark.parametrize(
    ("log", "offline"),
    [
        ("Could not fetch URL http://127.0.0.1/simple/peft/: connection error: HTTPConnectionPool(host='127.0.0.1') - skipping", True),
        ("Could not fetch URL http://127.0.0.1/simple/peft/: 503 Server Error: Service Unavailable - skipping", True),
        ("Could not fetch URL http://127.0.0.1/simple/peft/: 404 Client Error: Not Found - skipping", False),
        ("ERROR: Could not find a version that satisfies the requirement peft==9 (from versions: 0.1, 0.2)", False),
    ],
)
def test_an_index_that_does_not_answer_is_told_from_one_that_says_no(log: str, offline: bool) -> None:
    assert bool(install.OFFLINE.search(log)) is offline


@pytest.mark.parametrize("marked", [True, False])
def test_versions_that_moved_all_the_same_are_put_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], marked: bool) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "installed", lambda: {"torch": "2.14.1" if marked else "2.1.2", "peft": "0.13.2"})
    monkeypatch.setattr(install, "working_modules", lambda: ("torch",))
    monkeypatch.setattr(install, "pip", lambda *arguments: calls.append(arguments))
    assert install.guard([], {"torch": "2.1.2"}, {"peft": ("peft",)}, ("torch",)) == {}
    assert calls == ([("install", "--quiet", "--no-deps", "torch==2.1.2")] if marked else [])
    assert ("putting back" in capsys.readouterr().out) is marked
