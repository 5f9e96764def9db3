"""Conversions in separate processes, so that a crash or a hang is a finding and does not end the run."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from lake_pipeline_tests.fuzz.mutations import inputs
from lake_pipeline_tests.fuzz.verdicts import problems

PATIENCE_SECONDS = 120
"""A round takes one or two seconds; one that takes this long hangs."""

_Task = int | Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of a task: how many inputs were checked, and one sentence for each error."""

    count: int
    problems: list[str]


class Worker:
    """A process that checks inputs, restarted if it died. Not thread-safe."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def judge(self, task: _Task) -> Verdict:
        """The verdict on the round of a seed, or on given files. A crash or a hang is an error too."""
        if self._process is None or self._connection is None:
            self._start()
        assert self._process is not None
        assert self._connection is not None
        try:
            self._connection.send(task)
            if self._connection.poll(PATIENCE_SECONDS):
                verdict: Verdict = self._connection.recv()
                return verdict
            problem = f"no answer in {PATIENCE_SECONDS} seconds"
        except (EOFError, OSError):
            self._process.join(PATIENCE_SECONDS)
            problem = f"the process died with exit code {self._process.exitcode}"
        self.close()
        return Verdict(count=0, problems=[problem])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _start(self) -> None:
        # A fresh interpreter: a fork would inherit the threads of libraries.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(connection: Connection) -> None:
    while True:
        try:
            task: _Task = connection.recv()
        except EOFError:
            return
        connection.send(_verdict(task))


def _verdict(task: _Task) -> Verdict:
    files, count = (task, 1) if not isinstance(task, int) else ((made := inputs(task)).files, made.count)
    try:
        return Verdict(count=count, problems=problems(files))
    except Exception:
        return Verdict(count=0, problems=[traceback.format_exc()])
