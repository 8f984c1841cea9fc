"""Routes of the dataset page: opening a folder, and how far the work on it is."""

from __future__ import annotations

from typing import Any

from lib_lora.api.endpoint import Ask, Route, text
from lib_lora.core.errors import ConfigError
from lib_lora.core.messages import say
from lib_lora.workbench import Opened, Task, Workbench


def routes(bench: Workbench) -> tuple[Route, ...]:
    """All of them."""

    def open_folder(ask: Ask) -> dict[str, Any]:
        """Open a folder of pictures: its set's id, its folders with counts, and what is wrong with it."""
        # The path as it was typed, whatever somebody else called the same folder.
        return set_document(bench.open(text(ask, "folder")), ask) | {"root": str(bench.folder("folder", text(ask, "folder")))}

    def task(ask: Ask) -> dict[str, Any]:
        """How far a task is."""
        return task_document(bench.tasks.status(_id(ask)), ask)

    def cancel(ask: Ask) -> dict[str, Any]:
        """Ask a task to end at the next good moment."""
        bench.tasks.cancel(text(ask, "task"))
        return {"task": text(ask, "task")}

    return (
        Route("POST", "dataset/open", open_folder, {"folder": True}),
        Route("GET", "dataset/task", task, quick=True),
        Route("POST", "dataset/task/cancel", cancel, {"task": True}),
    )


def set_document(opened: Opened, ask: Ask) -> dict[str, Any]:
    """An open folder as plain data."""
    catalog = opened.catalog
    shelves = [{"key": one.key, "repeats": one.repeats, "concept": one.concept, "count": one.count} for one in catalog.shelves]
    problems = [problem.text(ask.words) for problem in catalog.problems]
    return {"set": opened.id, "root": str(opened.root), "images": len(catalog.pictures), "folders": shelves, "problems": problems}


def task_document(task: Task, ask: Ask) -> dict[str, Any]:
    """A task as plain data, its sentences in the asker's language."""
    return {
        "task": task.id,
        "kind": task.kind,
        "phase": task.phase,
        "running": task.running,
        "done": task.done,
        "total": task.total,
        "message": task.message.text(ask.words) if task.message else "",
        "warnings": [warning.text(ask.words) for warning in task.warnings],
        "error": "\n".join(problem.text(ask.words) for problem in task.problems),
        "result": dict(task.result),
    }


def _id(ask: Ask) -> str:
    found = ask.query.get("task", "")
    if not found:
        raise ConfigError(say("{name}: this field is missing", name="task"))
    return found
