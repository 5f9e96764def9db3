"""Who holds a claim, and whether that process still exists.

An owner is a process: its host and boot, its PID namespace, its PID and the moment it started. That is enough
to know at once that a worker on this machine was killed, without waiting for its lease; of a worker elsewhere
nothing is ever concluded.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil


def this_owner() -> str:
    """This process, as `host/boot/namespace/pid/NUMBER/START`."""
    pid = os.getpid()
    return f"{_here()}/pid/{pid}/{_started(pid) or '-'}"


def owner_is_dead(owner: str) -> bool:
    """True only when `owner` was a process of this machine and provably exists no more."""
    place, _, process = owner.rpartition("/pid/")
    pid, _, started = process.partition("/")
    if place != _here() or not pid.isdecimal():
        return False
    return _started(int(pid)) != started


@cache
def _here() -> str:
    return f"{socket.gethostname()}/{_boot()}/{_pid_namespace()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _pid_namespace() -> str:
    """Two containers on one host see different processes under the same PID."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "-"


def _started(pid: int) -> str | None:
    """When the process started, in a clock that is never set; None when there is no such process.

    A killed process that its parent has not waited for does nothing any more: it counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _started_portable(pid)
    except (OSError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything; fields 3 (state) and 22 (start, in ticks since boot) come after it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _started_portable(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "-"
