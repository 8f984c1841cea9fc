"""Workbench(host): which folders are open. Everything the dataset page does begins here."""

from __future__ import annotations

import threading
from pathlib import Path

from lib_lora.core.errors import NotFound
from lib_lora.core.messages import say
from lib_lora.core.roots import opened_folder
from lib_lora.hosts.base import Host
from lib_lora.tagging.service import Taggers
from lib_lora.workbench.opened import Opened, set_id
from lib_lora.workbench.tasks import Tasks

OPEN = 8


class Workbench:
    """The open folders of one server and the tasks on them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.tasks = Tasks()
        self.taggers = Taggers(host)
        self._opened: dict[str, Opened] = {}
        self._lock = threading.Lock()

    def folder(self, name: str, text: str) -> Path:
        """A folder that a user named, inside what is opened to them; errors call it `name`."""
        return opened_folder(name, text, self.host.paths().roots)

    def open(self, text: str) -> Opened:
        """Open a folder, or look again into one that is open."""
        root = self.folder("folder", text)
        with self._lock:
            found = self._opened.pop(set_id(root), None)
            if found is None:
                found = Opened(root, self.host.paths().state, self.host.paths().roots)
            else:
                found.refresh()
            # The one asked for last stays longest.
            self._opened = {**dict(list(self._opened.items())[-(OPEN - 1) :]), found.id: found}
            return found

    def opened(self, id: str) -> Opened:
        """A folder that is open, by its id."""
        found = self._opened.get(id)
        if found is None:
            raise NotFound(say("This folder is not open here any more: open it again."))
        return found

    def shutdown(self) -> None:
        """End what runs."""
        self.tasks.shutdown()
        self.taggers.shutdown()
        for found in self._opened.values():
            found.analyst.stop()
