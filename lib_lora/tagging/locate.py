"""Where a tagger's files are. Looks into folders only: nothing here knows a network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lib_lora.hosts.base import HostPaths
from lib_lora.tagging.tagger import Around, Missing, Pair, Wanted

HUB = "https://huggingface.co"
OURS = "taggers"
# Folders other programs put taggers into, below the host's models.
OTHERS = ("TaggerOnnx", "interrogators", "wd14_tagger_model", "tagger-models")


def around(paths: HostPaths, host: object = None, given: Sequence[Path] = (), environ: Mapping[str, str] | None = None) -> Around:
    """Where to look, for a host with these paths. `given` are folders the user named; they come first."""
    known = os.environ if environ is None else environ
    models = paths.models or paths.loras
    folders = (models / OURS, *(models / name for name in OTHERS), models)
    return Around(folders, hubs(known), paths.state / OURS, host, tuple(given), endpoint(known))  # type: ignore[arg-type]


def endpoint(environ: Mapping[str, str]) -> str:
    """Where files are downloaded from: HF_ENDPOINT names a mirror."""
    return environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB


def hubs(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The caches of huggingface_hub that this user may have."""
    named = [environ.get(name, "") for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")]
    homes = [Path(home) / "hub" for home in (environ.get("HF_HOME", ""),) if home]
    cache = Path(environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return tuple(dict.fromkeys([*(Path(name) for name in named if name), *homes, cache / "huggingface" / "hub"]))


def find(repo: str, labels: Sequence[str], where: Around, models: Sequence[str] = ("model.onnx", "*.onnx")) -> Pair | None:
    """The files of a repository ("owner/name") on this machine, the first complete pair there is."""
    for folder in _places(repo, where):
        pair = pair_in(folder, labels, models)
        if pair is not None:
            return pair
    name = repo.rpartition("/")[2]
    return next((pair for folder in (*where.given, *where.folders) if (pair := _flat(folder, name))), None)


def pair_in(folder: Path, labels: Sequence[str], models: Sequence[str] = ("*.onnx",)) -> Pair | None:
    """A folder's graph with its list of tags; None where one of them is not there or there are several to choose from."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        return None
    model, tags = _one(names, models), _one(names, labels)
    return Pair(folder / model, folder / tags) if model and tags and _filled(folder / model) and _filled(folder / tags) else None


def folders_with_pairs(where: Around, labels: Sequence[str]) -> Iterator[tuple[str, Pair]]:
    """Every folder that holds one graph and one list, with the name it goes by; and flat pairs of one name."""
    for base in (*where.given, *where.folders):
        pair = pair_in(base, labels) if base in where.given else None
        if pair:
            yield base.name, pair
        for entry in _entries(base):
            if entry.is_dir() and (pair := pair_in(entry, labels)):
                yield entry.name, pair
            elif entry.suffix == ".onnx" and (pair := _flat(base, entry.stem)):
                yield entry.stem, pair


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where there is no such folder."""
    return [entry for entry in _entries(folder) if entry.is_dir()]


def missing(name: str, files: Sequence[Wanted], where: Around) -> Missing:
    """What has to be put where."""
    return Missing((where.given or where.folders)[0] / name, tuple(files))


def url(repo: str, file: str, where: Around) -> str:
    """Where a repository's file can be had."""
    return f"{where.endpoint}/{repo}/resolve/main/{file}"


def _places(repo: str, where: Around) -> Iterator[Path]:
    """Folders that may hold the repository, the user's own word first, then ours, then other programs'."""
    owner, _, name = repo.rpartition("/")
    for base in where.given:
        yield from (base / name, base / f"{owner}_{name}")
        # A folder named for this run that is itself a tagger's is meant, whatever it is called.
        yield base
    for base in where.folders:
        yield from (base / name, base / f"{owner}_{name}")
    hub = f"models--{owner}--{name}"
    for base in (*where.folders, *where.hubs):
        yield from _snapshots(base / hub)


def _snapshots(folder: Path) -> Iterator[Path]:
    """What a hub's cache holds of a repository: the version its main branch had first, then the others, newest first."""
    main = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        main = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    if main:
        yield folder / "snapshots" / main
    yield from sorted(folders_in(folder / "snapshots"), key=lambda entry: entry.stat().st_mtime, reverse=True)


def _flat(folder: Path, name: str) -> Pair | None:
    pair = Pair(folder / f"{name}.onnx", folder / f"{name}.csv")
    return pair if _filled(pair.model) and _filled(pair.labels) else None


def _one(names: Sequence[str], patterns: Sequence[str]) -> str | None:
    """The name that fits the first pattern any name fits, where only one does."""
    for pattern in patterns:
        fitting = [name for name in names if (name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern)]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _filled(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
