"""Throwaway environments with stand-in packages, and an index of stand-in wheels, for the tests of install.py."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pip

ROOT = Path(__file__).resolve().parents[1]

TORCH = """
__version__ = {version!r}
class version:
    cuda = {built_for!r}
class cuda:
    @staticmethod
    def is_available():
        return {reachable}
class Tensor:
    def __init__(self, value=1.0):
        self.value = value
    def sum(self):
        return self
    def backward(self):
        pass
    def max(self):
        return self
    def item(self):
        return self.value
def ones(*shape, device):
    return Tensor()
class nn:
    @staticmethod
    def Parameter(tensor):
        return tensor
"""
BITSANDBYTES = """
class optim:
    class AdamW8bit:
        def __init__(self, weights, **more):
            self.weights = weights
        def step(self):
            for weight in self.weights:
                weight.value = 0.9
"""
ONNX = """
class InferenceSession:
    def __init__(self, model, providers):
        assert model[:2] == bytes([8, 8])
        self.providers = [name for name in providers if name in {providers!r}] or ["CPUExecutionProvider"]
    def get_providers(self):
        return self.providers
    def run(self, names, inputs):
        return [[0.0]]
"""
CPU, GPU = "CPUExecutionProvider", "CUDAExecutionProvider"
NAMES = "LoraConfig = get_peft_model = LycorisNetwork = create_lycoris = None\n"
BROKEN = "raise ImportError(\"cannot import name 'Cache' from 'transformers' (/home/somebody/venv/transformers/__init__.py)\")\n"


def torch(version: str, built_for: str | None = None, reachable: bool = False) -> str:
    """The source of a stand-in PyTorch."""
    return TORCH.format(version=version, built_for=built_for, reachable=reachable)


def onnx(*providers: str) -> str:
    """The source of a stand-in onnxruntime."""
    return ONNX.format(providers=providers)


@dataclass(frozen=True)
class Wheel:
    """A stand-in distribution: one module, its source, and what it asks for."""

    name: str
    version: str
    source: str = NAMES
    requires: tuple[str, ...] = ()
    module: str = ""

    def files(self) -> dict[str, str]:
        info = f"{self.name.replace('-', '_')}-{self.version}.dist-info"
        wanted = "".join(f"Requires-Dist: {line}\n" for line in self.requires)
        return {
            f"{self.module or self.name.replace('-', '_')}/__init__.py": self.source,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n{wanted}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }

    def record(self) -> tuple[str, str]:
        """RECORD: what pip takes out again, with each file's hash."""
        lines = []
        for path, text in self.files().items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text.encode())}")
        place = f"{self.name.replace('-', '_')}-{self.version}.dist-info/RECORD"
        return place, "\n".join([*lines, f"{place},,"]) + "\n"


@dataclass(frozen=True)
class Ended:
    """What install.py printed, and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """An environment, an index beside it, and a copy of install.py."""

    folder: Path
    site: Path
    python: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def offer(self, *wheels: Wheel) -> None:
        """Put wheels on the index."""
        for wheel in wheels:
            with zipfile.ZipFile(self.index / f"{wheel.name.replace('-', '_')}-{wheel.version}-py3-none-any.whl", "w") as archive:
                for path, text in [*wheel.files().items(), wheel.record()]:
                    archive.writestr(path, text)

    def have(self, *wheels: Wheel) -> None:
        """Install without pip, as if somebody had done so before."""
        for wheel in wheels:
            for path, text in [*wheel.files().items(), wheel.record()]:
                (self.site / path).parent.mkdir(exist_ok=True, parents=True)
                (self.site / path).write_text(text, encoding="utf-8")

    def versions(self) -> dict[str, str]:
        """What is installed, from the names of its folders."""
        pairs = (path.name[: -len(".dist-info")].split("-") for path in self.site.glob("*.dist-info"))
        return {name.replace("_", "-"): version for name, version in pairs}

    def start(self, *flags: str, **environment: str) -> Ended:
        """Run install.py as the WebUI does: no arguments, from another folder."""
        done = subprocess.run(
            [str(self.python), *flags, str(self.folder / "extension" / "install.py")],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def pip_that_writes_down(self) -> Path:
        """Lay a stand-in over pip; the file it returns is there once somebody called it."""
        told = self.folder / "pip-was-called"
        (self.site / "pip").unlink() if (self.site / "pip").is_symlink() else shutil.rmtree(self.site / "pip")
        (self.site / "pip").mkdir()
        (self.site / "pip" / "__init__.py").touch()
        (self.site / "pip" / "__main__.py").write_text(f"import sys\nopen({str(told)!r}, 'a').write(repr(sys.argv))\nsys.exit(1)\n", encoding="utf-8")
        return told

    def remembered(self) -> dict[str, str]:
        """What install.py keeps from one start to the next."""
        return json.loads((self.folder / "venv" / "lora-studio-install.json").read_text(encoding="utf-8"))["lines"]


def make(folder: Path) -> Place:
    """An empty environment that has this one's pip, reaches no network, and an empty index."""
    home = folder / "venv"
    venv.create(home, with_pip=False)
    site = next(path for path in home.rglob("site-packages") if path.is_dir())
    try:
        (site / "pip").symlink_to(Path(pip.__file__).parent, target_is_directory=True)
    except OSError:  # Windows without the right to make links
        shutil.copytree(Path(pip.__file__).parent, site / "pip")
    (folder / "index").mkdir()
    (folder / "extension").mkdir()
    shutil.copy(ROOT / "install.py", folder / "extension" / "install.py")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "INDEX_URL"))}
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "index"), "PIP_NO_CACHE_DIR": "1"}
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return Place(folder, site, python, {**kept, **own})
