"""File conflicts: other batches are publishing data files that this work has to read or replace.

It waits, rolls forward what dead workers left half published, and looks again: more than a minute in all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from lake_pipeline.errors import FilesMoved
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.reconcile import finish_publications

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 40
"""Attempts before giving up: more than a minute with pauses up to `MAX_PAUSE`."""

MAX_PAUSE = 2.0

Result = TypeVar("Result")


def retry_file_conflicts(lake: Lake, subject: str, attempt: Callable[[bool], Result]) -> Result:
    """The result of `attempt`, repeated while it raises `FilesMoved`; its argument says whether it is a later attempt.

    Raises the last `FilesMoved`. `subject` starts the log lines.
    """
    for number, pause in enumerate(_pauses()):
        try:
            return attempt(number > 0)
        except FilesMoved as error:
            conflict = error
            log.info("%s waits: %s", subject, error)
            time.sleep(pause)
            finish_publications(lake)
    raise conflict


def _pauses() -> Iterator[float]:
    """No pause after the first attempt, which may have been too early by a moment; then longer and longer ones."""
    yield 0.0
    for number in range(MAX_ATTEMPTS - 1):
        yield min(MAX_PAUSE, 0.05 * 2.0**number)
