"""Log records of this project as one line each, for each handler.

A record factory reaches every logger, handler and formatter of a process, Dagster's too. It is installed by the entry
points: commands, Dagster definitions, Glue scripts. Records of other packages stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lake_pipeline.escaping.lines import one_line

PROJECT = "lake_pipeline"
"""The root of the names of the project's loggers."""


class OneLineRecords:
    """A record factory around another one."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        # `logging.makeLogRecord`, which Dagster uses, makes records without a name first.
        name = record.name or ""
        if name == PROJECT or name.startswith(f"{PROJECT}."):
            record.msg, record.args = one_line(record.getMessage()), None
        return record


def escape_log_records() -> None:
    """Escape the messages of the project's loggers in this process from now on. Idempotent."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, OneLineRecords):
        logging.setLogRecordFactory(OneLineRecords(factory))
