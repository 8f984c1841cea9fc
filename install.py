"""Adds what LoRA Studio needs and changes nothing that is installed; sets up and runs the demo and the tests.

install.py                                    run by the WebUI at each start: adds what is missing, proves it, never fails a start
install.py demo [--headless] [--port N]       stand-alone environment, then a LoRA trained on the embedded default
install.py test [--stack webui] [-- ARGS]     that environment (or one with the WebUI's pins), then lint and the suite

One file, standard library only; older Pythons can read it far enough to be told which one to install.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHONS = ((3, 10), (3, 11), (3, 12))
DIST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*?)(-(?P<version>[^-]+?))?(-py[0-9.]+)?\.(dist-info|egg-info)$")
RELEASE = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?$", re.IGNORECASE)
OFFLINE = re.compile(r"Could not fetch URL (?!.*\b(403|404) Client Error)|Read timed out|Connection broken", re.IGNORECASE)  # as pip's log says it
# Distributions that own one import: where one of them is installed, no other may be laid over it.
ONNX = ("onnxruntime", *(f"onnxruntime-{kind}" for kind in ("gpu", "directml", "openvino", "rocm", "migraphx", "qnn", "silicon", "training")))
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
# What proofs rest on: a change here voids the remembered ones; another extension's packages do not.
HOST_MODULES = ("torch", "torchvision", "transformers", "diffusers", "accelerate", "safetensors")
BEARING = {*HOST_MODULES, "numpy", "tokenizers", "huggingface-hub", "protobuf", "peft", "lycoris-lora", "bitsandbytes", "tomli", *ONNX}


def say(text: str) -> None:
    """Print one sentence at once, so that it stands in order with what pip and pytest print."""
    print(f"LoRA Studio: {text}", flush=True)


def python_problem(version: tuple[int, ...], bits: int = 64) -> str:
    """Why this Python cannot be used and which one can; empty if it can."""
    if tuple(version[:2]) in PYTHONS and bits == 64:
        return ""
    here = ".".join(str(part) for part in version[:3]) + (f" ({bits}-bit)" if bits != 64 else "")
    return (
        f"Python 3.10, 3.11 or 3.12 (64-bit) is needed and this is Python {here}. "
        "Install Python 3.11 and start again with it: python3.11 install.py (Windows: py -3.11 install.py)."
    )


# ---- what is installed


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(folders: list[str]) -> dict[str, str]:
    """Name → version of what is installed, from folder names alone: the quick look of every start."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = sorted(entry.name for entry in os.scandir(folder or "."))
        except OSError:
            continue
        for match in filter(None, map(DIST.match, names)):
            found.setdefault(canonical(match.group("name")), match.group("version") or "")
    return found


def installed() -> dict[str, str]:
    """Name → version of what is installed, from the packages' metadata; the first on the path counts, as for an import."""
    import importlib.metadata

    importlib.invalidate_caches()
    found: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        name, version = dist.metadata["Name"], dist.version
        if name and version:
            found.setdefault(canonical(name), version)
    return found


def constraints(versions: dict[str, str]) -> list[str]:
    """Lines for pip: hold every installed version, and refuse what would be laid over an installed package."""
    lines = [f"{name}=={version}" for name, version in sorted(versions.items()) if RELEASE.match(version)]
    for family in (ONNX, OPENCV):
        if any(name in versions for name in family):
            lines += [f"{name}<0" for name in family if name not in versions]
    return lines


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, enough to compare releases."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


# ---- what is to be added

# A model of one Relu on one number in ONNX's own wire format, so that no onnx package is needed to make it.
TINY_ONNX = "08083a330a0c0a0178120179220452656c751201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a00100d"
RUN_ONNX = f"""
import numpy, onnxruntime
if "torch" in globals():
    getattr(onnxruntime, "preload_dlls", lambda: None)()  # the CUDA libraries that PyTorch carries
session = onnxruntime.InferenceSession(bytes.fromhex("{TINY_ONNX}"), providers=[PROVIDER])
if PROVIDER not in session.get_providers():
    raise SystemExit("it opens no session on " + PROVIDER)
if session.run(None, {{"x": numpy.array([-3.0], "float32")}})[0][0] != 0.0:
    raise SystemExit("it computes wrongly on " + PROVIDER)
"""
ON_CPU = 'PROVIDER = "CPUExecutionProvider"' + RUN_ONNX
ON_CUDA = 'import torch\nPROVIDER = "CUDAExecutionProvider"' + RUN_ONNX
STEP_8BIT = """
import bitsandbytes, torch
if torch.cuda.is_available():
    weight = torch.nn.Parameter(torch.ones(64, 128, device="cuda"))
    weight.sum().backward()
    bitsandbytes.optim.AdamW8bit([weight], lr=0.1, min_8bit_size=1).step()
    if not weight.max().item() < 1.0:
        raise SystemExit("its 8-bit step changes nothing")
"""
ASK_TORCH = "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda or '', bool(torch.version.cuda and torch.cuda.is_available())]))"


@dataclass(frozen=True)
class Torch:
    """The PyTorch that is installed: its version, the CUDA it was built with, and whether that reaches a card."""

    version: str
    built_for: str = ""
    cuda: bool = False


@dataclass(frozen=True)
class Candidate:
    """One release to try: `version` empty means pip's newest under the constraints; `needs` spares downloads that cannot work."""

    name: str
    version: str
    proof: str
    needs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    cuda: tuple[int, ...] = ()  # the CUDA generations it can be for; none: it needs no CUDA
    less: str = ""  # what is lost when this one had to do

    def fits(self, versions: dict[str, str], torch: Torch) -> bool:
        """Whether the environment has what this release is known to need."""
        if self.cuda and (not torch.cuda or release(torch.built_for)[0] not in self.cuda):
            return False
        return all(name not in versions or release(versions[name]) >= least for name, least in self.needs.items())


@dataclass(frozen=True)
class Need:
    """A package, what it is for, and its releases in the order they are tried."""

    key: str
    purpose: str
    candidates: tuple[Candidate, ...]
    unless: str = ""  # why there is no fitting candidate


def need(key: str, purpose: str, proof: str, *versions: tuple[str, dict[str, tuple[int, ...]]]) -> Need:
    """A need for one distribution in several releases."""
    return Need(key, purpose, tuple(Candidate(key, version, proof, needs) for version, needs in versions))


NEEDS = (
    need("safetensors", "LoRA files", "import safetensors.torch", ("", {})),
    need("accelerate", "sparing memory while models load", "import accelerate", ("", {}), ("0.31.0", {}), ("0.21.0", {})),
    need(
        "peft",
        "PEFT network kinds",
        "from peft import LoraConfig, get_peft_model",
        ("0.21.2", {"transformers": (4, 53), "accelerate": (1, 3)}),
        ("0.17.1", {"transformers": (4, 48), "accelerate": (1, 0)}),
        ("0.13.2", {}),
        ("0.11.1", {}),
    ),
    need(
        "lycoris-lora",
        "LyCORIS network kinds",
        "from lycoris import LycorisNetwork, create_lycoris",
        ("4.1.3", {"torch": (2, 4)}),
        ("3.4.0", {}),
        ("3.1.1.post1", {}),
    ),
    Need(
        "onnxruntime",
        "tagging pictures",
        (
            Candidate("onnxruntime-gpu", "1.18.1", ON_CUDA, cuda=(11,)),
            Candidate("onnxruntime-gpu", "", ON_CUDA, cuda=(11, 12, 13)),
            Candidate("onnxruntime-gpu", "1.23.2", ON_CUDA, cuda=(12,)),
            Candidate("onnxruntime", "", ON_CPU, less="pictures are tagged on the CPU"),
        ),
    ),
    Need(
        "bitsandbytes",
        "8-bit optimizers",
        (Candidate("bitsandbytes", "", STEP_8BIT, cuda=(11, 12, 13)), Candidate("bitsandbytes", "0.45.5", STEP_8BIT, cuda=(11, 12))),
        unless="it needs an NVIDIA card that PyTorch reaches through CUDA",
    ),
    need("tomli", "job files in TOML", "import tomli", ("", {})),
)


def wanted(version: tuple[int, ...]) -> tuple[Need, ...]:
    """What this Python needs: from 3.11 on TOML is in the standard library."""
    return tuple(item for item in NEEDS if item.key != "tomli" or tuple(version[:2]) < (3, 11))


def owners(item: Need) -> tuple[str, ...]:
    """The distributions any of which already meets a need."""
    return ONNX if item.key == "onnxruntime" else (item.key,)


# ---- pip and proofs, each in a process of its own


class Offline(Exception):
    """No package index answers."""


@dataclass(frozen=True)
class Ran:
    """How a process ended."""

    code: int
    out: str
    err: str

    def reason(self) -> str:
        """Why it failed, in one line and without the paths of this machine."""
        lines = [line.strip() for line in (self.out + "\n" + self.err).splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(ERROR: |\w*(Error|Exception|Refused|NotFound)\b)", line)]
        missing = re.search(r"[\w.+-]+: cannot open shared object file", self.err)
        text = (errors or lines or [f"it ended with code {self.code}"])[-1] + (f" ({missing.group(0)})" if missing else "")
        if self.code < 0:
            text = f"it crashes (signal {-self.code})"
        text = re.sub(r"(?:[A-Za-z]:)?[\\/](?:[\w.+@~ -]+[\\/])+([\w.+@~-]+)", r"\1", text.replace("ERROR: ", ""))
        return text if len(text) <= 200 else text[:197] + "..."


def process(arguments: list[str], limit: float) -> Ran:
    """Run a command beside nothing of ours: no input, an empty folder to stand in, at most `limit` seconds."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as empty:
        environment = dict(os.environ, PYTHONIOENCODING="utf-8", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        try:
            done = subprocess.run(arguments, cwd=empty, env=environment, encoding="utf-8", errors="replace", timeout=limit, check=False, **quiet)
        except subprocess.TimeoutExpired:
            return Ran(1, "", f"Read timed out: no end after {limit:.0f} seconds")
    return Ran(done.returncode, done.stdout, done.stderr)


def pip(*arguments: str, limit: float = 1800) -> Ran:
    """Run this Python's pip."""
    return process([sys.executable, "-m", "pip", *arguments], limit)


def prove(code: str) -> str:
    """Run a proof in a fresh process; empty if it holds, otherwise the reason."""
    done = process([sys.executable, "-c", code], 300)
    return "" if done.code == 0 else done.reason()


def ask_torch() -> Torch:
    """What the installed PyTorch says of itself; no version if it does not import."""
    done = process([sys.executable, "-c", ASK_TORCH], 300)
    if done.code:
        return Torch("", done.reason())
    return Torch(*json.loads(done.out.strip().splitlines()[-1]))


def working_modules() -> tuple[str, ...]:
    """Which of the modules that the host stands on can be imported."""
    code = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        print("works", name)
    except Exception:
        pass
"""
    return tuple(line.split()[1] for line in process([sys.executable, "-c", code, *HOST_MODULES], 600).out.splitlines() if line.startswith("works "))


def install(candidate: Candidate, before: dict[str, str]) -> str:
    """Add one release and what it lacks; empty if done, otherwise the reason. Nothing that is installed may move."""
    import tempfile

    requirement = candidate.name + (f"=={candidate.version}" if candidate.version else "")
    index = ["--index-url", os.environ["INDEX_URL"]] if os.environ.get("INDEX_URL") else []
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "constraints.txt"
        held.write_text("\n".join(constraints(before)) + "\n", encoding="utf-8")
        short = ("--quiet", "--prefer-binary", "--retries", "0", "--timeout", "8")
        log = Path(folder) / "log"  # pip tells there, and only there, that an index did not answer
        done = pip("install", *short, "--log", str(log), "--constraint", str(held), *index, requirement)
        told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if done.code == 0:
        return ""
    remove(set(installed()) - set(before))
    if OFFLINE.search(told + done.err):
        raise Offline
    return done.reason()


def remove(names: set[str]) -> None:
    """Take out what this run itself added."""
    if names:
        pip("uninstall", "--yes", "--quiet", *sorted(names))


# ---- one need


@dataclass(frozen=True)
class Outcome:
    """What became of a need: a line for the user if something is missing or less than it could be, and what was added."""

    line: str = ""
    added: tuple[str, ...] = ()


def settle(item: Need, torch: Torch, answers: bool = True) -> Outcome:
    """Meet one need: prove what is there, otherwise add the newest release that fits and proves itself. `answers` is false once no index did."""
    before = installed()
    present = [name for name in owners(item) if name in before]
    if present:
        return Outcome(judge_present(item, present, before[present[0]], torch))
    why, tried = "", set()
    fitting = [candidate for candidate in item.candidates if candidate.fits(before, torch)]
    for candidate in fitting:
        if (candidate.name, candidate.version) in tried:  # pip's newest was this one
            continue
        if not answers:
            raise Offline
        say(f"adding {candidate.name} {candidate.version}".rstrip() + f" for {item.purpose}.")
        problem = install(candidate, before)
        after = installed()
        if not problem:
            problem = prove(candidate.proof)
        if not problem:
            less = f"{candidate.less}: {why}." if candidate.less and why else ""
            return Outcome(less, tuple(sorted(set(after) - set(before))))
        remove(set(after) - set(before))
        tried.add((candidate.name, after.get(candidate.name, candidate.version)))
        why = f"{candidate.name} {after.get(candidate.name, candidate.version)}".rstrip() + f": {problem}"
    return Outcome(f"{item.purpose} not available ({item.key}): {why or item.unless}.")


def judge_present(item: Need, present: list[str], version: str, torch: Torch) -> str:
    """Prove what somebody else installed; it is left as it is in any case."""
    name = present[0] if "onnxruntime-gpu" not in present else "onnxruntime-gpu"
    proofs = [candidate.proof for candidate in item.candidates if candidate.name == name and (torch.cuda or not candidate.cuda)] or [item.candidates[-1].proof]
    if item.key == "onnxruntime" and name not in ("onnxruntime", "onnxruntime-gpu"):
        proofs = ["import onnxruntime"]
    problem = prove(proofs[0])
    if not problem:
        return ""
    return f"{item.purpose} not available: the installed {name} {version} is left as it is, but {problem}."


# ---- each start of the WebUI


def memory_file() -> Path:
    """Where proofs are remembered: in the environment they hold for, or beside this file if that is no environment of its own."""
    return Path(sys.prefix) / "lora-studio-install.json" if sys.prefix != sys.base_prefix else ROOT / ".install-state.json"


def driver() -> str:
    """A mark that changes when an NVIDIA driver comes, goes or is renewed; asked without starting anything."""
    try:
        return Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        system = Path(os.environ.get("SYSTEMROOT", "/usr/lib/wsl/lib"))
        marks = [system / "System32" / "nvcuda.dll", system / "libcuda.so.1"]
        return " ".join(str(mark.stat().st_mtime_ns) for mark in marks if mark.exists())


def fingerprint() -> str:
    """What the remembered proofs hold for: this file, this Python, the driver and the versions they rest on."""
    versions = sorted(item for item in listed(sys.path[1:]).items() if item[0] in BEARING)
    told = json.dumps([sys.version, driver(), versions]).encode()
    return hashlib.sha256(told + Path(__file__).read_bytes()).hexdigest()


@dataclass(frozen=True)
class Memory:
    """What is known of the environment as it is now: settled needs with their lines, its PyTorch, and what imports in it."""

    lines: dict[str, str] = field(default_factory=dict)
    torch: Torch | None = None
    working: tuple[str, ...] | None = None

    def keep(self) -> None:
        """Write it down for the next start."""
        torch = [self.torch.version, self.torch.built_for, self.torch.cuda] if self.torch else None
        write_whole(memory_file(), json.dumps({"for": fingerprint(), "lines": self.lines, "torch": torch, "working": self.working}, indent=1))


def recall() -> Memory:
    """What the last start wrote down, if it still holds."""
    try:
        state = json.loads(memory_file().read_text(encoding="utf-8"))
        if state["for"] == fingerprint():
            return Memory({**state["lines"]}, Torch(*state["torch"]) if state["torch"] else None, state["working"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return Memory()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    passing = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        passing.write_text(text, encoding="utf-8")
        passing.replace(path)
    except OSError:  # a read-only environment proves anew at each start
        passing.unlink(missing_ok=True)


def add() -> int:
    """The WebUI's start: nothing to do is told from folder names; what goes wrong is one sentence, never a failed start."""
    items = wanted(sys.version_info)
    memory = recall()
    if not all(item.key in memory.lines for item in items):
        memory = settle_all([item for item in items if item.key not in memory.lines], memory)
        memory.keep()
    for line in filter(None, memory.lines.values()):
        say(line)
    return 0


def settle_all(items: list[Need], memory: Memory) -> Memory:
    """Settle needs in turn; without a network those that are missing stay unsettled and are tried at the next start."""
    here = installed()
    torch = memory.torch or (ask_torch() if "torch" in here else Torch("", "it is not installed"))
    if not torch.version:
        say(f"nothing is added, because PyTorch does not work in this Python: {torch.built_for}. Without a WebUI start: python3 install.py demo")
        return Memory()
    working = memory.working
    if working is None and not all(any(name in here for name in owners(item)) for item in items):
        working = working_modules()
    lines, unmet = dict(memory.lines), []
    added: dict[str, tuple[str, ...]] = {}
    for item in items:
        try:
            outcome = settle(item, torch, answers=not unmet)
        except Offline:
            unmet.append(f"{item.key} ({item.purpose})")
            continue
        lines[item.key] = outcome.line
        if outcome.added:
            added[item.key] = outcome.added
    if unmet:
        say(f"no package index answers, so these are missing for now: {', '.join(unmet)}. The next start tries again.")
    return Memory({**lines, **guard(items, here, added, working or ())}, torch, working)


def guard(items: list[Need], before: dict[str, str], added: dict[str, tuple[str, ...]], working: tuple[str, ...]) -> dict[str, str]:
    """Look at the host once more: a version that moved is put back; if what was added breaks the host, all of it goes, with a line each."""
    if not added:
        return {}
    after = installed()
    moved = [f"{name}=={version}" for name, version in before.items() if after.get(name) != version]
    if moved:
        say(f"putting back what an installation moved: {', '.join(moved)}.")
        pip("install", "--quiet", "--no-deps", *moved)
    broken = sorted(set(working) - set(working_modules()))
    if not broken:
        say(f"added {', '.join(sorted(f'{name} {after[name]}' for names in added.values() for name in names if name in after))}.")
        return {}
    remove({name for names in added.values() for name in names})
    harm = f"with it, {', '.join(broken)} no longer imports, so it was taken out again"
    return {item.key: f"{item.purpose} not available ({item.key}): {harm}." for item in items if item.key in added}


# ---- environments of our own: the stand-alone one and one with the WebUI's pins

DIFFUSION = ("stable-diffusion-sdkit==2.1.5", "open_clip_torch==3.3.0")  # the classes the WebUI trains, and CLIP's word list
TEST_TOOLS = ("pytest==9.2.0", "pytest-xdist==3.8.0", "hypothesis>=6.160,<7", "playwright==1.65.2")


@dataclass(frozen=True)
class Stack:
    """An environment: where it lies, the PyTorch it is built on, and what is installed with and without requirements."""

    folder: str
    torch: tuple[str, ...]
    cuda: tuple[tuple[tuple[int, int], str], ...]  # least CUDA of the driver, and the build for it; newest first
    pins: tuple[str, ...]
    bare: tuple[str, ...]  # their requirements would replace what is pinned
    tools: tuple[str, ...]


STANDALONE = Stack(
    ".venv",
    ("torch==2.13.0",),
    (((13, 0), "cu130"), ((12, 6), "cu126")),
    (
        *("gradio==4.40.0", "fastapi==0.104.1", "pydantic==2.8.2", "diffusers==0.31.0", "transformers==4.46.1", "huggingface-hub==0.26.2"),
        *(
            "accelerate==0.31.0",
            "safetensors==0.4.5",
            "numpy==1.26.4",
            "Pillow==10.4.0",
            "peft==0.13.2",
            "lycoris-lora==4.1.3",
            "einops",
            "omegaconf",
            "PyYAML",
        ),
    ),
    DIFFUSION,
    (*TEST_TOOLS, "ruff==0.17.5", "scikit-image>=0.24,<0.27", "httpx<0.28"),
)
WEBUI = Stack(
    ".venv-webui",
    ("torch==2.1.2", "torchvision==0.16.2"),
    (((12, 1), "cu121"), ((11, 8), "cu118")),
    (
        *("setuptools==69.5.1", "gradio==3.41.2", "fastapi==0.94.0", "pydantic==1.10.27", "httpx==0.24.1", "httpcore==0.15.0", "transformers==4.30.2"),
        *("accelerate==0.21.0", "safetensors==0.4.2", "numpy==1.26.2", "Pillow==9.5.0", "protobuf==3.20.0", "open-clip-torch==2.20.0", "omegaconf==2.2.3"),
        *("pytorch_lightning==1.9.4", "einops==0.4.1", "kornia==0.6.7", "scikit-image==0.21.0", "psutil==5.9.5", "PyYAML"),
    ),
    DIFFUSION[:1],
    TEST_TOOLS,
)


@dataclass(frozen=True)
class Build:
    """One build of PyTorch to try: its local version, where it is to be had besides the usual index, and what it is in words."""

    words: str
    local: str = ""
    index: str = ""


def torch_builds(system: str, driver_cuda: tuple[int, int] | None, flavours: tuple[tuple[tuple[int, int], str], ...]) -> list[Build]:
    """The builds that suit an operating system and its graphics card, best first. `driver_cuda` is the newest CUDA that the driver runs."""
    index = "https://download.pytorch.org/whl/"
    if system == "Darwin":
        return [Build("the macOS build")]
    fitting = [name for least, name in flavours if driver_cuda and driver_cuda >= least]
    if fitting:
        usual = [Build("the usual build, which carries CUDA")] if system == "Linux" else []
        special = [Build(f"the CUDA build {name}", f"+{name}", index + name) for name in fitting]
        first = usual if fitting[0] == flavours[0][1] else []  # the usual Linux build is made for the newest of them
        return [*first, *special, *([] if first else usual), Build("the CPU build, since no CUDA build can be had")]
    if system == "Windows":
        return [Build("the CPU build")]
    return [
        Build("the CPU build", "+cpu"),
        Build("the CPU build from PyTorch's index", "+cpu", index + "cpu"),
        Build("the usual build, since no CPU build can be had"),
    ]


def why_build(system: str, driver_cuda: tuple[int, int] | None, flavours: tuple[tuple[tuple[int, int], str], ...]) -> str:
    """What the choice of a build rests on, in words."""
    if system == "Darwin":
        return "macOS"
    if driver_cuda is None:
        return f"{system}, no NVIDIA driver found"
    old = "" if driver_cuda >= flavours[-1][0] else ", too old: renew it to train on the card"
    return f"{system}, NVIDIA driver for CUDA {driver_cuda[0]}.{driver_cuda[1]}{old}"


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA that the NVIDIA driver runs, as nvidia-smi tells; nothing where there is no driver."""
    import shutil

    tool = shutil.which("nvidia-smi")
    told = process([tool], 30) if tool else Ran(1, "", "")
    match = re.search(r"CUDA Version: *(\d+)\.(\d+)", told.out) if told.code == 0 else None
    return (int(match.group(1)), int(match.group(2))) if match else None


def inside(stack: Stack) -> str:
    """The Python of an environment."""
    return str(ROOT / stack.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def run(arguments: list[str], **more: str) -> int:
    """Run a command in the project's folder, its output going where ours goes."""
    import subprocess

    sys.stdout.flush()
    return subprocess.run(arguments, cwd=ROOT, env=dict(os.environ, **more), stdin=subprocess.DEVNULL, check=False).returncode


def version_of(python: str) -> tuple[int, int] | None:
    """The version of a Python that may be broken or not there."""
    try:
        done = process([python, "-c", "import struct, sys; print(*sys.version_info[:2], struct.calcsize('P'))"], 60)
        major, minor, size = map(int, done.out.split())
    except (OSError, ValueError):
        return None
    return (major, minor) if size == 8 else None


def find_python(version: tuple[int, int]) -> str:
    """A Python of this version: this one, one on the path, one of pyenv's, or one that Windows' launcher knows."""
    import shutil

    name = f"{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [sys.executable] if tuple(sys.version_info[:2]) == version else []
    places += [str(Path(folder) / f"python{name}") for folder in os.environ.get("PATH", "").split(os.pathsep) if (Path(folder) / f"python{name}").exists()]
    places += [str(path) for pattern in (f"versions/{name}*/bin/python", f"pyenv-win/versions/{name}*/python.exe") for path in sorted(pyenv.glob(pattern))]
    launcher = shutil.which("py") if os.name == "nt" else None
    if launcher:
        places.append(process([launcher, f"-{name}", "-c", "import sys; print(sys.executable)"], 30).out.strip())
    return next((place for place in places if place and version_of(place) == version), "")


class SetUpFailed(Exception):
    """The environment cannot be made; the sentence says why."""


def make_environment(stack: Stack, python: str) -> None:
    """The folder with a Python of its own; a broken or foreign one is made anew."""
    here = version_of(inside(stack))
    if here is not None and here == version_of(python):
        return
    say(f"making the environment {stack.folder}.")
    if run([python, "-m", "venv", "--clear", str(ROOT / stack.folder)]):
        raise SetUpFailed(f"{stack.folder} could not be made. On Debian and Ubuntu install python3-venv first: apt install python3-venv")


def install_torch(stack: Stack, pip_install: list[str]) -> None:
    """Install PyTorch once, in the best build to be had, and say which it is."""
    import platform

    release_wanted = stack.torch[0].split("==")[1]
    if prove_in(stack, f"import importlib.metadata as m; assert m.version('torch').split('+')[0] == {release_wanted!r}") == 0:
        return
    system, cuda = platform.system(), driver_cuda()
    for build in torch_builds(system, cuda, stack.cuda):
        extra = ["--extra-index-url", build.index, "--retries", "1", "--timeout", "15"] if build.index else []
        command = [*pip_install, *extra, *(pin + build.local for pin in stack.torch)]
        say(f"installing PyTorch {release_wanted}: {build.words} ({why_build(system, cuda, stack.cuda)}).")
        # That a special build is not to be had is no news; only a person who watches a long download wants to see pip.
        if (run(command) if (build.index and sys.stdout.isatty()) or not build.local else process(command, 3600).code) == 0:
            return
        say("that build cannot be had here.")
    raise SetUpFailed(f"PyTorch {release_wanted} could not be installed; the lines above say why.")


def prove_in(stack: Stack, code: str) -> int:
    """The exit code of a line of Python in an environment."""
    return process([inside(stack), "-c", code], 300).code


def set_up(stack: Stack, python: str, tools: bool) -> None:
    """Make an environment complete. What was done before is not done again; PyTorch is held by a constraint throughout."""
    pins = stack.pins + (stack.tools if tools else ())
    mark = ROOT / stack.folder / "lora-studio-setup.json"
    done = json.dumps([stack.torch, stack.pins, stack.bare, version_of(python)])
    wanted_marks = [done, *([json.dumps(stack.tools)] if tools else [])]
    make_environment(stack, python)
    try:
        marks = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        marks = []
    if not all(item in marks for item in wanted_marks):
        held = ROOT / stack.folder / "constraints.txt"
        write_whole(held, "\n".join(pin for pin in (*stack.torch, *pins) if "==" in pin) + "\n")
        pip_install = [inside(stack), "-m", "pip", "install", "--disable-pip-version-check", "--prefer-binary", "--constraint", str(held)]
        pip_install += [] if sys.stdout.isatty() else ["-qq", "--progress-bar", "off"]
        install_torch(stack, pip_install)
        say(f"installing what {'the tests need' if tools else 'LoRA Studio needs'} into {stack.folder}.")
        if run([*pip_install, *pins]) or run([*pip_install, "--no-deps", *stack.bare]):
            raise SetUpFailed("a package could not be installed; the lines above say why. Without a network nothing can be set up.")
        write_whole(mark, json.dumps(sorted({*(item for item in marks if item == json.dumps(stack.tools)), *wanted_marks})))
    run([inside(stack), str(ROOT / "install.py")])


# ---- the commands


def demo(headless: bool, port: int) -> int:
    """Set up the stand-alone environment and hand over to the demo in it."""
    set_up(STANDALONE, sys.executable, tools=False)
    return run([inside(STANDALONE), "-m", "lib_lora", "demo", "--port", str(port), *(["--headless"] if headless else [])])


def test(stack_name: str, more: list[str]) -> int:
    """Set up an environment with the test tools, then lint (once, in the stand-alone one) and the whole suite."""
    stack, python = STANDALONE, sys.executable
    if stack_name == "webui":
        stack, python = WEBUI, find_python((3, 10)) or find_python((3, 11))
        if not python:
            raise SetUpFailed("the WebUI's pins need Python 3.10 (or 3.11), and none was found. Install Python 3.10 and run this again.")
    set_up(stack, python, tools=True)
    failed = False
    if stack is STANDALONE:
        say("checking style.")
        ruff = [inside(stack), "-m", "ruff"]
        lint, style = run([*ruff, "check", "--output-format", "concise", "."]), run([*ruff, "format", "--check", "--output-format", "concise", "."])
        failed = bool(lint or style)
    say(f"running the tests in {stack.folder}.")
    workers = min(4, os.cpu_count() or 1)
    threads = str(max(1, (os.cpu_count() or 1) // workers))  # as many threads as cores in all, or the workers wait for each other
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    code = run([inside(stack), "-m", "pytest", "-n", str(workers), "--dist", "loadfile", *more], OMP_NUM_THREADS=threads, **offline)
    return code or int(failed)


def main(arguments: list[str]) -> int:
    """Without arguments what the WebUI asks for at each start; otherwise one of the commands."""
    problem = python_problem(sys.version_info, 64 if sys.maxsize > 2**32 else 32)
    if problem:
        say(problem)
        return 2
    if not arguments:
        return add()
    import argparse

    parser = argparse.ArgumentParser(
        prog="install.py", description="LoRA Studio: set up, demo, tests. Without a command: add what the WebUI's environment lacks."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for_demo = commands.add_parser("demo", help="train a LoRA on the embedded default and open the page")
    for_demo.add_argument("--headless", action="store_true", help="end after the training")
    for_demo.add_argument("--port", type=int, default=7861, help="port of the page")
    for_test = commands.add_parser("test", help="lint and the whole suite")
    for_test.add_argument("--stack", choices=("standalone", "webui"), default="standalone", help="whose versions to test with")
    for_test.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    given = parser.parse_args(arguments)
    try:
        return demo(given.headless, given.port) if given.command == "demo" else test(given.stack, given.pytest)
    except SetUpFailed as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
