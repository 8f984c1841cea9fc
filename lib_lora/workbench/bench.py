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
        self._turns: dict[str, threading.Lock] = {}

    def folder(self, name: str, text: str) -> Path:
        """A folder that a user named, inside what is opened to them; errors call it `name`."""
        return opened_folder(name, text, self.host.paths().roots)

    def open(self, text: str) -> Opened:
        """Open a folder, or look again into one that is open. While it is read it stays open for everybody else."""
        root = self.folder("folder", text)
        id = set_id(root)
        with self._turn(id):
            found = self._opened.get(id)
            # A link that leads elsewhere since is another folder.
            if found is None or set_id(found.root) != id:
                found = Opened(root, self.host.paths().state, self.host.paths().roots)
            else:
                found.refresh()
            self._keep(found)
            return found

    def _turn(self, id: str) -> threading.Lock:
        """Held while a folder is read: nobody waits for a folder that somebody else opens."""
        with self._lock:
            return self._turns.setdefault(id, threading.Lock())

    def _keep(self, found: Opened) -> None:
        """The one asked for last stays longest; what has edits that are not saved stays in any case."""
        with self._lock:
            others = [one for one in self._opened.values() if one is not found]
            idle = [one for one in others if one.id == found.id or not one.unsaved()]
            gone = [one for one in idle if one.id == found.id] or idle[: max(0, len(others) - OPEN + 1)]
            self._opened = {**{one.id: one for one in others if one not in gone}, found.id: found}
        for one in gone:
            one.close()

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
            found.close(wait=True)
