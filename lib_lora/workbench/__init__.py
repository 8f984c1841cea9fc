"""The dataset page's server side: folders that are open, what each browser edits in them, and what runs in the background."""

from lib_lora.workbench.bench import Workbench
from lib_lora.workbench.opened import Opened
from lib_lora.workbench.tasks import Task, Tasks, Turn

__all__ = ["Opened", "Task", "Tasks", "Turn", "Workbench"]
