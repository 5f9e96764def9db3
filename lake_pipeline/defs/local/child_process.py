"""Child processes that never outlive their parent: each has its own session and is ended with its descendants."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

GRACE_SECONDS = 20
"""For a graceful shutdown: webserver, daemon and code servers need about 3 s, a run needs longer."""

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Ended(BaseException):
    """Raised on SIGTERM, so that every `finally` runs, as for Ctrl-C."""


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` until the block ends; then end it and everything it started.

    It has its own session, so Ctrl-C in the terminal reaches only the parent, which decides the order. On Linux the
    kernel interrupts it if the parent is killed.
    """
    process = subprocess.Popen(command, env=dict(environment), start_new_session=True, preexec_fn=_prepare)
    try:
        yield process
    finally:
        with _interrupts_ignored():
            end(process)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt and SIGTERM `Ended`, even if the shell had SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, _raise_ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt `process`, wait for it and its descendants to exit, and kill those that don't."""
    session = _session_processes(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
    _, alive = psutil.wait_procs(session, timeout=2)
    for step in (signal.SIGTERM, signal.SIGKILL):
        for survivor in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.send_signal(step)
        _, alive = psutil.wait_procs(alive, timeout=5)


def _session_processes(session: int) -> list[psutil.Process]:
    """All processes of the session, also those whose parent has exited.

    A process with its own session is meant to outlive this one: the embedded PostgreSQL stops after its last user.
    """
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == session:
                processes.append(process)
    return processes


def _prepare() -> None:
    """Runs in the child before `command`."""
    # A shell starts background jobs with SIGINT ignored; a child that inherits this could not be interrupted.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the cleanup, or processes would be left running."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_ended(_signum: int, _frame: object) -> None:
    raise Ended
