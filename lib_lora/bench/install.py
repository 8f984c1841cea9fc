"""The time install.py takes when there is nothing to do, as at nearly every start of the WebUI."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What a run that added everything leaves behind, written into an environment of its own: this one is not touched.
SETTLE = "import sys, install; install.Memory({need.key: '' for need in install.wanted(sys.version_info)}).keep()"


def measure(runs: int = 9) -> dict[str, Any]:
    """Median seconds of whole processes, in a throwaway environment that sees all packages of this one."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, system_site_packages=True, with_pip=False)
        python = str(Path(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
        subprocess.run([python, "-c", SETTLE], cwd=ROOT, check=True)
        seconds, said = [], ""
        for _ in range(runs):
            started = time.perf_counter()
            ended = subprocess.run([python, "install.py"], cwd=ROOT, check=True, capture_output=True, text=True)
            seconds.append(time.perf_counter() - started)
            said = ended.stdout + ended.stderr
    return {"install_s": statistics.median(seconds), "runs": runs, "said": said.strip(), "python": sys.version.split()[0]}
