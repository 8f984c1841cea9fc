"""What lies in the folder: is it laid out as training reads it, and what lies there that is no picture of the set."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib_lora.core.messages import say
from lib_lora.dataset import folders, images
from lib_lora.dataset.findings import Report
from lib_lora.dataset.folders import CAPTION_SUFFIX
from lib_lora.doctor.problem import Problem
from lib_lora.pictures.picture import Picture

JUNK = ("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store")
MASK_ENDS = ("-masklabel", "-condlabel")  # what a trainer writes beside pictures, and nobody else
LOOSE_MASK_ENDS = ("_mask", "-mask", ".mask")  # a mask where the picture without it is there
LONGEST_PATH = 259  # letters; what Windows opens without being told otherwise
NAMED = 12
CAPTION_ENDS = (".caption", ".cap", ".txt.txt")


@dataclass(frozen=True)
class Layout:
    """What was found. `trained` are the keys of pictures that training reads, `masks` those that are no pictures of the set.

    `renames` gives the caption file (by its path from the root) that a picture's caption lies in under a wrong name.
    """

    problems: tuple[Problem, ...]
    trained: frozenset[str]
    repeats: dict[str, int]
    masks: frozenset[str]
    renames: dict[str, str]


@dataclass
class _Place:
    """A folder while it is looked at: its files by name, and which of them are pictures."""

    path: Path
    key: str
    files: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def at(self, name: str) -> str:
        return f"{self.key}/{name}" if self.key else name


def look(root: Path) -> Layout:
    """Read the names below a root. Nothing is opened."""
    report = Report(root)
    found = folders.find(root, 0, report)
    repeats = {_key(root, path): folder.repeats or 1 for folder in found for path in folder.pictures}
    problems = _of_training(root, report, bool(found))
    masks: set[str] = set()
    renames: dict[str, str] = {}
    for place in _places(root, [folder.path for folder in found if folder.path.is_symlink()], problems):
        problems += _names(place) + _links(place) + _junk(place) + _hidden(place)
        if place.pictures:
            of_masks = {place.at(name) for name in place.pictures if _is_mask(name, place)}
            masks |= of_masks
            problems += [Problem("mask", "error", key, say("is a mask, but would be trained as a picture")) for key in sorted(of_masks & set(repeats))]
            kept = _Place(place.path, place.key, place.files, [name for name in place.pictures if place.at(name) not in of_masks])
            there = _renames(kept)
            renames |= there
            problems += _stems(kept) + _captions(kept, set(there.values())) + _depth(kept, set(repeats))
        others = [name for name in place.files if _suffix(name) in images.OTHER_SUFFIXES]
        problems += [Problem("other_kind", "warning", place.at(name), say("is of a kind that is not read")) for name in others]
    return Layout(tuple(problems), frozenset(repeats), repeats, frozenset(masks), renames)


def left_out(pictures: Sequence[Picture], left: Collection[str]) -> list[Problem]:
    """Which folders' pictures training would not come to, in one sentence."""
    if not left:
        return []
    folders_of = Counter(one.folder for one in pictures if one.key in left)
    names = [f"{name or '.'} ({n})" for name, n in folders_of.most_common()]
    what = say(
        "training would read {n} of {all} pictures as the folders are now; left out are those of {names}",
        n=len(pictures) - len(left),
        all=len(pictures),
        names=names if len(names) <= NAMED + 1 else [*names[:NAMED], "…"],
    )
    return [Problem("left_out", "warning", "", what)]


def _of_training(root: Path, report: Report, anything: bool) -> list[Problem]:
    """What training's own reading of the folder says, by the folder it is about."""
    found = []
    if not anything:
        what = say("training finds no pictures here: neither in the folder itself nor in folders named N_concept")
        found.append(Problem("layout", "error", "", what))
    else:
        empty = [str(message.params["folder"]) for message in report.problems.kinds.get("empty", [])]
        found += [Problem("empty_folder", "error", _slashes(name), say("there is no picture in this folder")) for name in empty]
    for message in report.warnings.kinds.get("unnumbered", []):
        name = str(message.params["folder"])
        what = say("is left out: its name does not begin with a number of repeats of 1 or more, such as 10_{folder}", folder=name)
        found.append(Problem("folder_name", "warning", name, what))
    if "both" in report.warnings.kinds:
        found.append(Problem("both_layouts", "warning", "", say("pictures lie both in the folder itself and in N_concept folders; all of them are trained")))
    if "own" in report.warnings.kinds:
        what = say("this is an N_concept folder itself: the {n} of its name is not used unless you give the folder above", n=folders.params(root.name)[0])  # type: ignore[index]
        found.append(Problem("inner_folder", "warning", "", what))
    return found


def _places(root: Path, linked: list[Path], problems: list[Problem]) -> Iterator[_Place]:
    """Every folder below the root, and those that training reads through a link. What cannot be entered becomes a problem."""

    def closed(error: OSError) -> None:
        what = say("this folder cannot be read ({why})", why=error.strerror or str(error))
        problems.append(Problem("closed", "error", _shown(_key(root, Path(error.filename))), what))

    for top in [root, *linked]:
        for path, inner, files in os.walk(top, onerror=closed):
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name.lower() not in ("__macosx", "$recycle.bin"))
            here = Path(path)
            names = sorted([*files, *(name for name in inner if (here / name).is_symlink())])
            place = _Place(here, "" if here == root else _key(root, here), [name for name in names if _is_text(name)])
            odd = [name for name in names if not _is_text(name)]
            problems += [Problem("bad_name", "error", _shown(place.at(name)), say("its name is no valid text on this system")) for name in odd]
            pictures = [name for name in place.files if _suffix(name) in images.SUFFIXES and not name.startswith(".")]
            place.pictures = [name for name in pictures if (here / name).is_file()]
            yield place


def _names(place: _Place) -> list[Problem]:
    long = [name for name in place.files if len(str(place.path / name)) > LONGEST_PATH]
    severity = "warning" if os.name == "nt" else "hint"
    found = [Problem("long_path", severity, place.at(name), say("its path has {n} letters", n=len(str(place.path / name)))) for name in long]
    first: dict[str, str] = {}
    for name in place.pictures:
        stem = name.rpartition(".")[0]
        other = first.setdefault(stem.casefold(), stem)
        if other != stem:
            found.append(Problem("case", "warning", place.at(name), say("its name differs from {other} in upper and lower case only", other=other)))
    return found


def _links(place: _Place) -> list[Problem]:
    found = []
    for name in place.files:
        path = place.path / name
        if not path.is_symlink():
            continue
        try:
            path.stat()
        except OSError:
            found.append(Problem("broken_link", "warning", place.at(name), say("is a link that leads nowhere")))
        else:
            found.append(Problem("link", "hint", place.at(name), say("is a link to {target}", target=str(path.readlink()))))
    return found


def _junk(place: _Place) -> list[Problem]:
    junk = [name for name in place.files if name.lower() in JUNK or name.startswith("._")]
    return [Problem("junk", "hint", place.at(name), say("was put there by the system; it is no picture")) for name in junk]


def _hidden(place: _Place) -> list[Problem]:
    named = [name for name in place.files if name.startswith(".") and not name.startswith("._") and _suffix(name) in images.SUFFIXES]
    return [Problem("hidden", "warning", place.at(name), say("its name begins with a dot: training does not see it")) for name in named]


def _stems(place: _Place) -> list[Problem]:
    found = []
    first: dict[str, str] = {}
    for name in place.pictures:
        other = first.setdefault(os.path.normcase(Path(name).stem), name)
        if other != name:
            what = say("shares the caption file {text} with {other}", text=f"{Path(name).stem}{CAPTION_SUFFIX}", other=other)
            found.append(Problem("same_stem", "error", place.at(name), what))
    return found


def _captions(place: _Place, renamed: set[str]) -> list[Problem]:
    """Caption files whose picture is not there."""
    stems = {os.path.normcase(Path(name).stem) for name in place.files if _suffix(name) in (*images.SUFFIXES, *images.OTHER_SUFFIXES)}
    texts = [name for name in place.files if _suffix(name) == CAPTION_SUFFIX and not name.startswith(".")]
    lost = [name for name in texts if os.path.normcase(Path(name).stem) not in stems and place.at(name) not in renamed]
    return [Problem("orphan", "warning", place.at(name), say("is a caption without a picture of its name")) for name in lost]


def _renames(place: _Place) -> dict[str, str]:
    texts = {os.path.normcase(Path(name).stem) for name in place.files if _suffix(name) == CAPTION_SUFFIX}
    by_fold = {name.casefold(): name for name in place.files}
    found = {}
    for name in place.pictures:
        stem = Path(name).stem
        if os.path.normcase(stem) in texts:
            continue
        wanted = [f"{stem}{end}" for end in (*CAPTION_ENDS, CAPTION_SUFFIX)] + [f"{name}{CAPTION_SUFFIX}"]
        there = next((by_fold[one.casefold()] for one in wanted if one.casefold() in by_fold), None)
        if there is not None:
            found[place.at(name)] = place.at(there)
    return found


def _depth(place: _Place, trained: set[str]) -> list[Problem]:
    """A folder with pictures that training does not come to, unless its name has been judged already."""
    inside = place.key.count("/") >= 1 and folders.params(place.key.split("/")[0]) is not None
    if not place.key or not inside or any(place.at(name) in trained for name in place.pictures):
        return []
    return [Problem("deep_folder", "warning", place.key, say("its pictures are not trained: it lies inside of another folder"))]


def _is_mask(name: str, place: _Place) -> bool:
    stem = Path(name).stem.lower()
    end = next((end for end in LOOSE_MASK_ENDS if stem.endswith(end)), "")
    return stem.endswith(MASK_ENDS) or (bool(end) and stem[: -len(end)] in {Path(other).stem.lower() for other in place.pictures})


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _key(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _slashes(name: str) -> str:
    return name.replace("\\", "/") if os.name == "nt" else name


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
