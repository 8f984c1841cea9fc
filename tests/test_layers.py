"""The rooms of the house: who may import whom, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib_lora"

# What the dataset page is made of.
DATASET_ROOMS = {"pictures", "repeats", "tagging", "editor", "prepare", "doctor", "workbench"}
# room → rooms it may import from. A room is a folder of lib_lora, or a module at its top.
MAY_IMPORT = {
    "core": {"core"},
    "model": {"core"},
    "dataset": {"core", "model", "dataset"},
    "networks": {"core", "model", "networks"},
    "training": {"core", "model", "dataset", "networks", "training"},
    "hosts.base": {"core", "model"},
    "hosts": {"core", "model", "networks", "hosts", "hosts.base"},
    "plan": {"core", "model", "dataset", "networks", "training", "hosts.base"},
    "output": {"core", "model", "dataset", "networks", "training", "hosts.base", "plan"},
    "train": {"core", "model", "dataset", "networks", "training", "hosts.base", "plan", "output"},
    "jobs": {"core", "model", "dataset", "networks", "training", "hosts.base", "plan", "train", "jobs"},
    "pictures": {"core", "model", "dataset", "pictures"},
    "repeats": {"core", "repeats"},
    "tagging": {"core", "model", "dataset", "pictures", "editor", "hosts.base", "tagging"},
    "editor": {"core", "model", "dataset", "pictures", "editor"},
    "prepare": {"core", "model", "dataset", "pictures", "repeats", "hosts.base", "prepare"},
    "doctor": {"core", "model", "dataset", "pictures", "editor", "hosts.base", "doctor"},
    "workbench": {"core", "model", "dataset", "pictures", "repeats", "tagging", "editor", "prepare", "doctor", "hosts.base", "workbench"},
    "api": {"core", "model", "dataset", "training", "plan", "jobs", "hosts.base", "api"} | DATASET_ROOMS,
    "ui": {"core", "model", "dataset", "training", "plan", "jobs", "hosts.base", "ui", "api"} | DATASET_ROOMS,
    "demo": {"core", "model", "demo", "hosts", "hosts.base", "training", "train"},
}
ANYTHING = {"app", "demo", "cli", "__main__", "bench", "__init__"}  # composition roots and measuring
WEBUI = {"modules", "modules_forge", "backend", "ldm_patched", "networks", "network", "lora", "ldm", "sgm", "k_diffusion", "launch"}
ONLY_IN = {
    "gradio": {"ui", "hosts"},
    "fastapi": {"api", "app", "ui"},
    "pydantic": {"api"},
    "diffusers": {"hosts", "bench", "demo"},
}
NO_TORCH_AT_TOP = (
    "core",
    "model",
    "dataset",
    "pictures",
    "repeats",
    "tagging",
    "editor",
    "prepare",
    "doctor",
    "workbench",
    "hosts.base",
    "ui",
    "api",
    "plan",
    "jobs",
    "app",
    "cli",
    "__main__",
    "__init__",
    "networks.kinds",
    "training.optimizer_kinds",
    "training.scheduler_kinds",
)
NO_TORCH_FILES = {"networks.registry", "networks.keys", "training.config", "training.optimizers", "training.schedulers", "training.events"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    return "hosts.base" if module.split(".")[:2] == ["hosts", "base"] else module.split(".")[0]


def imports(tree: ast.AST, top_only: bool = False) -> list[str]:
    found: list[str] = []
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "relative imports hide the room"
                found += [f"{node.module}.{alias.name}" for alias in node.names]
            elif not _is_skipped(node, top_only):
                stack.append(node)
    return found


def _is_skipped(node: ast.AST, top_only: bool) -> bool:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return True
    return top_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_imports_stay_in_their_rooms(path: Path) -> None:
    room = room_of(module_of(path))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in imports(tree):
        head, *rest = name.split(".")
        if head == "lib_lora":
            target = room_of(".".join(rest))
            if room not in ANYTHING and target != "__version__":
                assert target in MAY_IMPORT[room], f"{path.name} ({room}) imports {name}"
        elif head in WEBUI:
            assert room in {"hosts", "bench"} and (room != "bench" or head == "ldm"), f"{path.name} knows the WebUI: {name}"
        elif head in ONLY_IN:
            assert room in ONLY_IN[head], f"{path.name} ({room}) imports {head}"


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_torch_is_imported_where_it_is_used(path: Path) -> None:
    module = module_of(path)
    if module.startswith(NO_TORCH_AT_TOP) or module in NO_TORCH_FILES:
        heads = {name.split(".")[0] for name in imports(ast.parse(path.read_text(encoding="utf-8")), top_only=True)}
        assert not heads & {"torch", "diffusers", "transformers", "safetensors"}, f"{module} imports torch at its top"


REGISTERS = {"on_ui_tabs", "on_app_started", "on_script_unloaded", "mount", "register_webui"}


def called_at_import(tree: ast.AST) -> set[str]:
    """Names of what is called when the module is imported; the bodies of functions are not run then, their decorators are."""
    found: set[str] = set()
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        called = [node.func] if isinstance(node, ast.Call) else getattr(node, "decorator_list", [])
        found |= {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in called}
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            stack += [*node.decorator_list, *node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        elif isinstance(node, ast.Lambda):
            stack += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        else:
            stack += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_no_module_registers_when_it_is_imported(path: Path) -> None:
    """Reload UI runs scripts again and packages not: what an import had registered would be gone after it."""
    assert not called_at_import(ast.parse(path.read_text(encoding="utf-8"))) & REGISTERS


def test_the_script_registers() -> None:
    script = (ROOT / "scripts" / "lora_studio.py").read_text(encoding="utf-8")
    assert called_at_import(ast.parse(script)) & REGISTERS == {"register_webui"}


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("callbacks.on_ui_tabs(f)", True),
        ("if True:\n    mount(f)", True),
        ("class A:\n    x = mount(f)", True),
        ("@callbacks.on_app_started\ndef f(): pass", True),
        ("@on_app_started()\ndef f(): pass", True),
        ("def f(x=mount()): pass", True),
        ("def f():\n    mount(f)", False),
        ("class A:\n    def f(self):\n        mount(f)", False),
        ("g = lambda: mount(f)", False),
    ],
)
def test_what_runs_at_import_is_told_from_what_does_not(source: str, seen: bool) -> None:
    assert bool(called_at_import(ast.parse(source)) & REGISTERS) == seen
