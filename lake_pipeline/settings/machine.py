"""What this process can know about its machine: cores and the memory limit. They set the defaults of conversion.

These are neither environment variables nor settings. A limit that can't be read does not count.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lake_pipeline.convert.request import ConversionOptions

MIN_MEMORY_BYTES = 32 << 20
"""The least default of `LAKE_MEMORY_BYTES`: with less, parts are cut into many small row groups."""

MEMORY_RATIO = 8
"""The default of `LAKE_MEMORY_BYTES` is the memory limit divided by this number, if that is less than usual."""

BASE_BYTES = 320 << 20
"""Memory of a process that converts, without rows and workers: Python, its packages and buffers of uploads."""

WORKER_BYTES = 192 << 20
"""Memory of a worker: a block of text with its slots and arrays, and the buffers to encode in. Measured on wide and on
narrow contracts: 60 to 170 MB."""

_NO_LIMIT = 1 << 60
"""cgroup v1 writes a number above this one if there is no limit."""


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_memory_bytes() -> int:
    """The memory for buffered rows: that of `ConversionOptions`, less if this process may not use much memory."""
    limit = memory_limit()
    return min(ConversionOptions().memory_bytes, max(MIN_MEMORY_BYTES, limit // MEMORY_RATIO))


def default_workers() -> int:
    """A worker for each core that this process may use, as far as its memory suffices."""
    free = memory_limit() - BASE_BYTES - default_memory_bytes()
    return max(1, min(available_cores(), free // WORKER_BYTES))


def memory_limit(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The bytes of memory that this process may use: the least of its limits and the memory of the machine."""
    return min([_physical_bytes(), *_resource_limits(), *cgroup_limits(proc, cgroups)])


def cgroup_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """The limits of the control groups of this process, version 2 and 1, and of all groups above them."""
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield from _limits(cgroups, path, "memory.max")
            elif "memory" in controllers.split(","):
                yield from _limits(cgroups / "memory", path, "memory.limit_in_bytes")


def _limits(root: Path, path: str, file: str) -> Iterator[int]:
    """The limits in `file` of a group and its parents. In a container, the path may be that of the host."""
    group = root / path.strip("/")
    for folder in [group, *group.parents]:
        if not folder.is_relative_to(root):
            return
        with suppress(OSError, ValueError):
            limit = int((folder / file).read_text())
            if limit < _NO_LIMIT:
                yield limit


def _resource_limits() -> Iterator[int]:
    """Half of the address space (`ulimit -v`), because much of it is reserved and never used; all of the data."""
    for kind, divisor in ((resource.RLIMIT_AS, 2), (resource.RLIMIT_DATA, 1)):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            yield limit // divisor


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return _NO_LIMIT
