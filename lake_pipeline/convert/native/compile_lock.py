"""The lock around compilation: of several processes that start at once, one compiles and the others wait for it.

It only saves time. Code is written atomically, so two compilations at once are harmless, and nothing here fails: if a
folder has no working locks (read-only, some network file systems), or if the other process takes too long, the caller
compiles without the lock.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

LOCK_FILE = "compile.lock"
"""Its name in a folder of the code cache. It is never removed: a process may have just opened it."""

MAX_WAIT_SECONDS = 120.0
"""After this time another process is taken to hang: compiling takes ten seconds, a few times more on a busy machine."""

_POLL_SECONDS = 0.1
_HELD = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def compile_lock(folder: Path | None, max_wait: float = MAX_WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock of a folder of the code cache, waiting `max_wait` seconds for it; see above for when it does not.

    The system releases the lock if the process that holds it is killed.
    """
    descriptor = _opened(folder / LOCK_FILE) if folder is not None else None
    try:
        if descriptor is not None:
            _acquire(descriptor, max_wait)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(file: Path) -> int | None:
    with suppress(OSError):
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    return None


def _acquire(descriptor: int, max_wait: float) -> None:
    """Lock the file if that is possible. It polls, because a lock on a network file system may block for ever."""
    deadline, is_announced = time.monotonic() + max_wait, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() >= deadline:
                return
        if not is_announced:
            is_announced = True
            log.warning("Another process is compiling the conversion kernel; waiting for it.")
        time.sleep(_POLL_SECONDS)
