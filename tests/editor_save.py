"""A save in a process of its own, which a test kills in the middle: python editor_save.py ROOT STATE WRITES_BEFORE_IT_WAITS."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from lib_lora.editor import journal, operations
from lib_lora.editor.session import Session
from lib_lora.pictures import catalog


def main(root: Path, state: Path, writes: int) -> None:
    done = 0
    write, alone = journal.write_bytes, threading.Lock()

    def counted(path: Path, content: bytes) -> None:
        nonlocal done
        if path.suffix != ".txt" or not path.is_relative_to(root):
            return write(path, content)
        with alone:
            if done == writes:
                print("between", flush=True)
                time.sleep(600)
            done += 1
            return write(path, content)

    journal.write_bytes = counted
    session = Session(catalog.read(root), state)
    session.apply(operations.read({"kind": "add", "tags": ["trig"]}), session.keys)
    session.save()
    print("saved", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
