"""A command in processes of its own, and the memory that it and everything it started had at most.

The sum over the tree is sampled, so that a JVM and worker processes count; what one process had at most the kernel
knows exactly, so a short peak of it is not missed. Pages shared by several processes count in each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.1
"""A look takes 2.3 ms, so this costs about 2 % of one core while something runs, the same for every contender."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended; `code` is None where it was stopped because it took too long."""

    code: int | None
    peak_bytes: int


def run_apart(command: Sequence[str], log: Path, limit_seconds: float) -> Ended:
    """Run `command` with its output in `log`, and end everything it started when it takes too long."""
    deadline = time.monotonic() + limit_seconds
    with log.open("wb") as stream:
        # A session of its own, so that what it leaves behind can be ended as one group.
        process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
    peak = 0
    try:
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)
                return Ended(code=process.returncode, peak_bytes=max(peak, _most_of_one(usage.ru_maxrss)))
            if time.monotonic() > deadline:
                return Ended(code=None, peak_bytes=peak)
            peak = max(peak, _resident(process.pid))
            time.sleep(SAMPLE_SECONDS)
    finally:
        _end_group(process)


def _resident(pid: int) -> int:
    """Resident bytes of a process and all its descendants, now."""
    try:
        root = psutil.Process(pid)
        return sum(_resident_alone(process) for process in [root, *root.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def _resident_alone(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _most_of_one(maxrss: int) -> int:
    """Linux tells kilobytes, macOS bytes."""
    return maxrss if sys.platform == "darwin" else maxrss * 1024


def _end_group(process: subprocess.Popen[bytes]) -> None:
    # Where nothing is left of the group, Linux says so and macOS says that it is not ours.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
