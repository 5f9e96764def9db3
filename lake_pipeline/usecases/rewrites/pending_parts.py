"""Pending parts: rewritten data files of one batch that are not published yet.

What was written for one look at the lake is kept for the next one if the published file is still the same. This module
decides nothing about what is rewritten or recorded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from lake_pipeline.errors import ObjectChanged, ObjectMissing
from lake_pipeline.model.manifest import ReducedPart, RewrittenPart
from lake_pipeline.usecases.publication.publish import abort
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.rewrites.lost_files import Version, replaced_or_lost

log = logging.getLogger(__name__)

Part = TypeVar("Part", RewrittenPart, ReducedPart)


class PendingParts(Generic[Part]):
    """The parts of one batch, by the version that they replace. They are aborted if the batch is released.

    `write` makes the part of a version, or None if the file needs no rewrite. `doing` says in the log what it does.
    """

    def __init__(
        self, transaction: PublicationTransaction, doing: str, write: Callable[[Version], Part | None]
    ) -> None:
        self._transaction = transaction
        self._doing = doing
        self._write: Callable[[Version], Part | None] = write
        self._parts: dict[Version, Part | None] = {}
        self._lock = threading.Lock()
        transaction.on_discard(self.discard)

    def update(self, live: Collection[Version]) -> tuple[Part, ...]:
        """The parts of exactly these versions: write what is missing, abort the others.

        Raises `FilesMoved` if another batch is replacing one of them, `DataFileLost` if one is gone, and `LeaseLost`.
        """
        missing = [version for version in sorted(live) if version not in self._parts]
        if missing:
            log.info("Batch %s: %s %d published files", self._transaction.claim.batch_id, self._doing, len(missing))
        workers = self._transaction.lake.options.workers
        with ThreadPoolExecutor(workers, thread_name_prefix="rewrite") as pool:
            for _ in pool.map(self._write_one, missing):
                self._transaction.check_lease()
        self._abort([version for version in self._parts if version not in live])
        return tuple(part for version in sorted(self._parts) if (part := self._parts[version]) is not None)

    def discard(self) -> None:
        """Abort all parts."""
        self._abort(list(self._parts))

    def _write_one(self, version: Version) -> None:
        try:
            part = self._write(version)
        except (ObjectMissing, ObjectChanged) as error:
            raise replaced_or_lost(self._transaction.lake, version, error) from error
        with self._lock:
            self._parts[version] = part

    def _abort(self, versions: Collection[Version]) -> None:
        parts = [self._parts.pop(version) for version in versions]
        objects = [part.object for part in parts if part is not None and part.object is not None]
        abort(self._transaction.lake.store, objects)
