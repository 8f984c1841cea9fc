"""The C library's heap while a CPU trains: what a step frees stays for the next one instead of going back to the system."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of glibc's mallopt, and what an ordinary process of torch has: no more blocks from mmap than this, and the
# trim threshold that glibc sets itself once a large block was freed.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
USUAL = {MMAP_MAX: 65536, TRIM_THRESHOLD: 64 * 1024**2}
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}


@contextmanager
def kept() -> Iterator[None]:
    """While open, freed memory stays in the process (glibc only; elsewhere nothing changes); then it is given back.

    Otherwise every large tensor of a step is mapped, zeroed page by page and unmapped again: a fifth of a step's time.
    """
    library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if library is None:
        yield
        return
    for parameter, value in KEPT.items():
        library.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in USUAL.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)
