"""The watch that ends a conversion early: after a few files in a row fail because of an outage, no more are tried.

A file that can't be reached costs half a minute of retries; a batch of a thousand would take hours to fail.
"""

from __future__ import annotations

import threading

from lake_pipeline.errors import Outage
from lake_pipeline.model.files import RawFile

FILES_IN_A_ROW = 3
"""Files that fail because of an outage, while no other one can be read, until the conversion ends."""


class OutageWatch:
    """Counts the files that an outage made unreadable since the last one that was read. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: set[int] = set()
        self._outage: Outage | None = None

    def check(self) -> None:
        """Raises the outage once too many files failed in a row."""
        if self._outage is not None:
            raise self._outage

    @property
    def is_over(self) -> bool:
        """Whether too many files failed in a row."""
        return self._outage is not None

    def failed(self, file: RawFile, error: Exception) -> None:
        """`file` can't be read. Raises the outage like `check`."""
        self.count(file.file_id, error)
        self.check()

    def count(self, file_id: int, error: Exception) -> None:
        """Count a file that failed, once. Only an `Outage` counts."""
        if not isinstance(error, Outage):
            return
        with self._lock:
            self._files.add(file_id)
            if len(self._files) >= FILES_IN_A_ROW:
                self._outage = self._outage or error

    def succeeded(self) -> None:
        """A file was read."""
        if self._files:
            with self._lock:
                self._files.clear()
