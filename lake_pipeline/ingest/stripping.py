"""Stripping: published files, curated and of quarantined records, without the rows of some raw files, as pending
objects of a batch.

What was written at one look at the lake is kept for the next one, as far as the published file is still the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.stripping import strip
from lake_pipeline.errors import FilesMoved, LakeError, ObjectChanged, ObjectMissing
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import StrippedPart

log = logging.getLogger(__name__)

Version = tuple[str, str]
"""Key and ETag of a published file."""


class Stripping:
    """The stripped parts of one batch."""

    def __init__(self, lake: Lake, claim: Claim, heartbeat: Heartbeat) -> None:
        self._lake = lake
        self._claim = claim
        self._heartbeat = heartbeat
        self._gone: frozenset[int] = frozenset()
        self._contract: Contract | None = None
        self._curated: dict[Version, StrippedPart | None] = {}
        self._quarantine: dict[Version, StrippedPart | None] = {}
        self._lock = threading.Lock()

    def without(self, file_ids: Collection[int], contract: Contract | None = None) -> tuple[StrippedPart, ...]:
        """Every published file that holds rows of `file_ids`, without them; with the wider types of `contract`.

        Raises `FilesMoved` where another batch replaces one of them at this moment, and `LeaseLost`.
        """
        self._begin(file_ids)
        if contract != self._contract:
            self._abort(self._curated, list(self._curated))
            self._contract = contract
        files = self._lake.ledger.curated_files_with(file_ids) if file_ids else []
        return self._stripped({(file.key, file.etag) for file in files}, self._curated, self._strip_one)

    def unquarantined(self, file_ids: Collection[int]) -> tuple[StrippedPart, ...]:
        """The same for the files that hold quarantined records of `file_ids`."""
        self._begin(file_ids)
        live = set(self._lake.ledger.quarantine_files_of(file_ids)) if file_ids else set()
        return self._stripped(live, self._quarantine, self._strip_quarantine)

    def forget(self) -> None:
        """Abort everything that was written."""
        for parts in (self._curated, self._quarantine):
            self._abort(parts, list(parts))

    def _begin(self, file_ids: Collection[int]) -> None:
        if self._gone != frozenset(file_ids):
            self.forget()
            self._gone = frozenset(file_ids)

    def _stripped(
        self, live: set[Version], parts: dict[Version, StrippedPart | None], strip_one: Callable[[Version], None]
    ) -> tuple[StrippedPart, ...]:
        if live:
            # Without anybody waiting for it; it tells the sweeper to leave pending objects of published keys alone.
            self._lake.ledger.set_gate(self._claim, seconds=0)
        self._strip([version for version in sorted(live) if version not in parts], strip_one)
        self._abort(parts, [known for known in parts if known not in live])
        return tuple(part for known in sorted(parts) if (part := parts[known]) is not None)

    def _strip(self, files: list[Version], strip_one: Callable[[Version], None]) -> None:
        if files:
            log.info("Batch %s: taking rows out of %d published files", self._claim.batch_id, len(files))
        with ThreadPoolExecutor(self._lake.options.workers, thread_name_prefix="strip") as pool:
            for _ in pool.map(strip_one, files):
                self._heartbeat.check()

    def _strip_one(self, version: Version) -> None:
        key, etag = version
        try:
            part = strip(self._lake.store, key, etag, self._gone, self._contract)
        except (ObjectChanged, ObjectMissing) as error:
            raise FilesMoved(f"{key} is being replaced by another batch. ({error})") from error
        with self._lock:
            self._curated[version] = part

    def _strip_quarantine(self, version: Version) -> None:
        """None where no record goes: the ledger only knows which batch a file is of, not whose records it has."""
        key, etag = version
        part: StrippedPart | None
        try:
            part = strip(self._lake.store, key, etag, self._gone)
        except ObjectMissing:
            # These files expire where an operator wants that. Then the ledger forgets this one, too.
            part = StrippedPart(key=key, replaces=etag, rows=0, removed_by_file={}, object=None)
        except ObjectChanged as error:
            raise FilesMoved(f"{key} is being replaced by another batch. ({error})") from error
        if part.object and not part.removed_by_file:
            self._lake.store.abort(part.object)
            part = None
        with self._lock:
            self._quarantine[version] = part

    def _abort(self, parts: dict[Version, StrippedPart | None], gone: list[Version]) -> None:
        for known in gone:
            part = parts.pop(known)
            try:
                if part and part.object:
                    self._lake.store.abort(part.object)
            except LakeError as error:
                log.warning("%s could not be aborted: %s", known[0], error)
