"""Child processes by fork: everything is imported once, so a trial starts within a hundredth of a second.

The process that forks must have no threads. A child sends its result through a pipe and exits without cleaning up.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PATIENCE = 60
"""Seconds after which its alarm ends a child that hangs; 0 for never."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a child ended: by `signal`, with the text of an `error`, or with a `value`. `said` is its last message."""

    signal: int | None = None
    error: str | None = None
    value: Any = None
    said: str = ""

    @property
    def killed(self) -> bool:
        return self.signal == signal.SIGKILL


class Child:
    """A running child. `function` gets a function to send a message that arrives even if the child is killed."""

    def __init__(self, function: Callable[[Callable[[str], None]], Any], *, patience: int = PATIENCE) -> None:
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            _run(function, writer, patience)
        os.close(writer)

    def has_stopped(self) -> bool:
        """Wait until a signal has stopped it, or it has ended; True for the former."""
        options = os.WEXITED | os.WSTOPPED | os.WNOWAIT
        status = os.waitid(os.P_PID, self.pid, options)
        return status is not None and status.si_code == os.CLD_STOPPED

    def wait(self) -> Ending:
        """Wait for its end."""
        with os.fdopen(self._reader, "rb") as pipe:
            content = pipe.read()
        _, status = os.waitpid(self.pid, 0)
        said, _, result = content.partition(b"\0")
        if os.WIFSIGNALED(status):
            return Ending(signal=os.WTERMSIG(status), said=said.decode())
        value, error = pickle.loads(result)
        return Ending(value=value, error=error, said=said.decode())


def in_child(function: Callable[[Callable[[str], None]], Any]) -> Ending:
    """Run `function` in a child and wait for it."""
    return Child(function).wait()


def _run(function: Callable[[Callable[[str], None]], Any], writer: int, patience: int) -> None:
    """Never returns."""
    signal.alarm(patience)
    value, error = None, None
    try:
        value = function(lambda text: _write(writer, text.encode()))
    except BaseException:
        error = traceback.format_exc()
    _write(writer, b"\0" + pickle.dumps((value, error)))
    os._exit(0)


def _write(writer: int, content: bytes) -> None:
    while content:
        content = content[os.write(writer, content) :]
