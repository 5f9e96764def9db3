"""Child processes that never outlive us: started in a session of their own, ended together, whatever ends us.

Nothing here knows what the children do.
"""

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
"""For an orderly end: the webserver, the daemon and code servers need about 3 s, a run some more to let go."""

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Ended(BaseException):
    """SIGTERM arrived: leave through every `finally`, as for Ctrl-C."""


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` until the block ends; then it and everything it started end.

    It has a session of its own, so a Ctrl-C in the terminal reaches only us and we decide the order. On Linux
    the kernel interrupts it when we are killed.
    """
    process = subprocess.Popen(command, env=dict(environment), start_new_session=True, preexec_fn=_prepare)
    try:
        yield process
    finally:
        with _undisturbed():
            end(process)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt and SIGTERM `Ended`, even where a shell made us ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, _raise_ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt `process`, wait for it and its descendants to go, and kill those that don't."""
    family = _family(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
    _, left = psutil.wait_procs(family, timeout=2)
    for step in (signal.SIGTERM, signal.SIGKILL):
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(step)
        _, left = psutil.wait_procs(left, timeout=5)


def _family(session: int) -> list[psutil.Process]:
    """Everything in the session, also what was handed to init because its parent is gone.

    What made a session of its own wants to outlive us: the embedded PostgreSQL goes when its last user has gone.
    """
    family = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == session:
                family.append(process)
    return family


def _prepare() -> None:
    """Runs in the child before it becomes `command`."""
    # A shell starts background jobs with SIGINT ignored; a child would inherit that and could not be interrupted.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGINT)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not stop the clearing up: that is how processes are left behind."""
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _raise_ended(_signum: int, _frame: object) -> None:
    raise Ended
