"""Settling: files that were changed a moment ago may still be written, so discovery waits for them and looks again.

A producer that writes slowly is older than the minimum age between two writes; its file is then registered, and what
comes later is a new version. The archive and the reader compare size and time again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from lake_pipeline.storage.object_store import ObjectInfo, ObjectStore

MAX_WAITING_FILES = 100_000
"""Young files that one discovery waits for: about 30 MB. More are left to the next listing."""

MAX_WAIT_SECONDS = 30.0
"""If the minimum age is longer, discovery does not wait: the next listing finds the files."""

OnWait = Callable[[int, float], None]
"""Called before waiting, with the number of young files and the seconds."""


class Settling:
    """Holds back the files that are younger than `min_age` seconds. `young` counts those that were not returned."""

    def __init__(self, store: ObjectStore, min_age: float, on_wait: OnWait | None = None) -> None:
        self._store = store
        self._min_age = min_age
        self._on_wait = on_wait
        self._waiting: list[ObjectInfo] = []
        self.young = 0

    def settled(self, objects: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The objects that are old enough; at the end also those that have become old enough without a change."""
        if not self._min_age:
            yield from objects
            return
        for info in objects:
            if not self._is_young(info):
                yield info
            elif len(self._waiting) < MAX_WAITING_FILES:
                self._waiting.append(info)
            else:
                self.young += 1
        yield from self._later()

    def _later(self) -> Iterator[ObjectInfo]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        seconds = max(info.modified or 0.0 for info in waiting) + self._min_age - time.time()
        if seconds > MAX_WAIT_SECONDS:
            self.young += len(waiting)
            return
        if seconds > 0:
            if self._on_wait:
                self._on_wait(len(waiting), seconds)
            time.sleep(seconds)
        for info in waiting:
            if self._is_unchanged(info):
                yield info
            else:
                self.young += 1

    def _is_unchanged(self, info: ObjectInfo) -> bool:
        current = self._store.stat(info.key)
        return current is not None and current.etag == info.etag

    def _is_young(self, info: ObjectInfo) -> bool:
        """A time in the future is that of a clock ahead, or was set by hand: waiting for it could take years."""
        return info.modified is not None and abs(time.time() - info.modified) < self._min_age
