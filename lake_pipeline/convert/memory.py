"""Memory: what a conversion gives back to the system when it is over.

Allocators keep what they had for what comes next. That is quick and mostly right; after records of 30 MB it is half a
gigabyte, on top of the next conversion.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pyarrow as pa

KEPT_BYTES = 512 << 20
"""Resident memory up to which nobody asks for more to be given back: it takes hundredths of a second."""


def give_back() -> None:
    """Give back what is free: Arrow's always, glibc's where the process is large."""
    pa.default_memory_pool().release_unused()
    if _libc is not None and _resident() > KEPT_BYTES:
        _libc.malloc_trim(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None


_libc = _glibc()
