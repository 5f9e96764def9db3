"""Stripping: published files without the rows of some raw files, as pending objects of a batch.

What was written at one look at the lake is kept for the next one, as far as the published file is still the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from lake_pipeline.convert.stripping import strip
from lake_pipeline.errors import FilesMoved, LakeError, ObjectChanged, ObjectMissing
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ledger.views import CuratedFile
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import StrippedPart

log = logging.getLogger(__name__)


class Stripping:
    """The stripped parts of one batch."""

    def __init__(self, lake: Lake, claim: Claim, heartbeat: Heartbeat) -> None:
        self._lake = lake
        self._claim = claim
        self._heartbeat = heartbeat
        self._gone: frozenset[int] = frozenset()
        self._parts: dict[tuple[str, str], StrippedPart] = {}
        self._lock = threading.Lock()

    def without(self, file_ids: Collection[int]) -> tuple[StrippedPart, ...]:
        """Every published file that holds rows of `file_ids`, without them.

        Raises `FilesMoved` where another batch replaces one of them at this moment, and `LeaseLost`.
        """
        if self._gone != frozenset(file_ids):
            self.forget()
            self._gone = frozenset(file_ids)
        files = self._lake.ledger.curated_files_with(file_ids) if file_ids else []
        if files:
            # Without anybody waiting for it; it tells the sweeper to leave pending objects of published keys alone.
            self._lake.ledger.set_gate(self._claim, seconds=0)
        self._strip([file for file in files if (file.key, file.etag) not in self._parts])
        live = {(file.key, file.etag) for file in files}
        self._abort([known for known in self._parts if known not in live])
        return tuple(self._parts[known] for known in sorted(self._parts))

    def forget(self) -> None:
        """Abort everything that was written."""
        self._abort(list(self._parts))

    def _strip(self, files: list[CuratedFile]) -> None:
        if files:
            log.info("Batch %s: taking rows out of %d published files", self._claim.batch_id, len(files))
        with ThreadPoolExecutor(self._lake.options.workers, thread_name_prefix="strip") as pool:
            for _ in pool.map(self._strip_one, files):
                self._heartbeat.check()

    def _strip_one(self, file: CuratedFile) -> None:
        try:
            part = strip(self._lake.store, file.key, file.etag, self._gone)
        except (ObjectChanged, ObjectMissing) as error:
            raise FilesMoved(f"{file.key} is being replaced by another batch. ({error})") from error
        with self._lock:
            self._parts[file.key, file.etag] = part

    def _abort(self, gone: list[tuple[str, str]]) -> None:
        for known in gone:
            part = self._parts.pop(known)
            try:
                if part.object:
                    self._lake.store.abort(part.object)
            except LakeError as error:
                log.warning("%s could not be aborted: %s", part.key, error)
