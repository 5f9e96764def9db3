"""Owners of claims, and whether their process still exists.

An owner is a process: host, boot, PID namespace, PID and start time. That shows at once that a worker on this machine
was killed, before its lease ends. For a worker on another machine only the lease counts.
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
    return f"{_this_machine()}/pid/{pid}/{_started(pid) or '-'}"


def owner_is_dead(owner: str) -> bool:
    """True only if `owner` was a process of this machine that no longer exists."""
    machine, _, process = owner.rpartition("/pid/")
    pid, _, started = process.partition("/")
    if machine != _this_machine() or not pid.isdecimal():
        return False
    return _started(int(pid)) != started


@cache
def _this_machine() -> str:
    return f"{socket.gethostname()}/{_boot()}/{_pid_namespace()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(psutil.boot_time()))


def _pid_namespace() -> str:
    """Two containers on one host have different processes with the same PID."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "-"


def _started(pid: int) -> str | None:
    """Start time of the process, on a clock that is never set; None if there is no such process.

    A zombie (killed, but its parent has not waited for it) counts as gone.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _started_portable(pid)
    except (OSError, ProcessLookupError):
        return None
    # The name in parentheses may contain anything; fields 3 (state) and 22 (start, in ticks since boot) come after it.
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
