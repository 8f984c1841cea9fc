"""Caption files → the caption of each picture in a folder, or why it has none."""

from __future__ import annotations

from pathlib import Path

from lib_lora.core.files import ordinary
from lib_lora.core.messages import Message, count, say
from lib_lora.dataset import captions
from lib_lora.dataset.config import CaptionConfig
from lib_lora.dataset.findings import Report
from lib_lora.dataset.folders import CAPTION_SUFFIX, Folder


def read(folder: Folder, config: CaptionConfig, report: Report) -> dict[Path, str]:
    """The caption of each picture that has one: the first line of its file, or the folder's concept without one.

    What has neither, and files that cannot be used, are problems in the report.
    """
    found: dict[Path, str] = {}
    bare: list[Path] = []
    longer: list[Path] = []
    for path in folder.pictures:
        file = folder.texts.get(path.stem)
        if file is not None:
            lines = _lines(file, report)
            if lines:
                found[path] = lines[0]
                longer += [file] if any(lines[1:]) else []
        elif folder.concept:
            found[path] = folder.concept
            bare.append(path)
        else:
            text = f"{path.stem}{CAPTION_SUFFIX}"
            message = say("{file}: no caption: write {text}, or put the picture into a folder named N_concept", file=report.name(path), text=text)
            report.problems.add("bare", message)
    if bare:
        report.warnings.add("concept", _bare(bare, captions.with_trigger(folder.concept, config), report))
    if longer:
        message = count(
            len(longer),
            "1 caption has more than one line, only the first is used: {names}",
            "{n} captions have more than one line, only the first is used: {names}",
            names=report.names(longer),
        )
        report.warnings.add("longer", message)
    return found


def _bare(paths: list[Path], text: str, report: Report) -> Message:
    return count(
        len(paths),
        "1 picture has no caption file and is trained as “{text}”: {names}",
        "{n} pictures have no caption file and are trained as “{text}”: {names}",
        text=text,
        names=report.names(paths),
    )


def _lines(path: Path, report: Report) -> list[str]:
    """The lines of a caption file, the first not empty; none where it is a problem."""
    name = report.name(path)
    try:
        # utf-8-sig: Windows' editors put a mark before the text, which is none of it.
        lines = captions.lines(ordinary(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        report.problems.add("caption", say("{file}: this caption cannot be opened ({why})", file=name, why=error.strerror or str(error)))
        return []
    except UnicodeDecodeError:
        report.problems.add("caption", say("{file}: this caption is not UTF-8 text; save it as UTF-8", file=name))
        return []
    if not any(lines):
        report.problems.add("caption", say("{file}: this caption is empty; write what the picture shows", file=name))
        return []
    if not lines[0]:
        report.problems.add("caption", say("{file}: the first line of this caption is empty, and only that line is used; remove it", file=name))
        return []
    return lines
