"""Remove rows: rewrite published data files and quarantine files without the rows of some raw files.

What is written stays pending; the batch that needs it records and publishes it.
"""

from __future__ import annotations

from collections.abc import Collection

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output.remove_rows import remove_rows
from lake_pipeline.errors import ObjectMissing
from lake_pipeline.model.manifest import ReducedPart
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.rewrites.lost_files import Version
from lake_pipeline.usecases.rewrites.pending_parts import PendingParts


class RowRemoval:
    """The files that one batch rewrites without the rows of some raw files."""

    def __init__(self, transaction: PublicationTransaction, *, may_rescue: bool = False) -> None:
        self._may_rescue = may_rescue
        self._lake = transaction.lake
        self._claim = transaction.claim
        self._file_ids: frozenset[int] = frozenset()
        self._contract: Contract | None = None
        self._curated = PendingParts[ReducedPart](transaction, "removing rows from", self._rewrite_curated)
        self._quarantine = PendingParts[ReducedPart](transaction, "removing rows from", self._rewrite_quarantine)

    def curated_without(self, file_ids: Collection[int], contract: Contract | None = None) -> tuple[ReducedPart, ...]:
        """Every data file that has rows of `file_ids`, without them; with the wider types of `contract`.

        Raises `FilesMoved` if another batch is replacing one of them, `DataFileLost` if one is gone, and `LeaseLost`.
        """
        self._choose(file_ids)
        if contract != self._contract:
            self._curated.discard()
            self._contract = contract
        files = self._lake.ledger.curated.files_with(file_ids) if file_ids else []
        return self._update(self._curated, {(file.key, file.etag) for file in files})

    def quarantine_without(self, file_ids: Collection[int]) -> tuple[ReducedPart, ...]:
        """The same for the quarantine files that may have records of `file_ids`."""
        self._choose(file_ids)
        files = self._lake.ledger.lineage.quarantine_files(file_ids) if file_ids else []
        return self._update(self._quarantine, set(files))

    def _choose(self, file_ids: Collection[int]) -> None:
        if self._file_ids != frozenset(file_ids):
            self._curated.discard()
            self._quarantine.discard()
            self._file_ids = frozenset(file_ids)

    def _update(self, parts: PendingParts[ReducedPart], live: set[Version]) -> tuple[ReducedPart, ...]:
        if live:
            # Holds no commits; it makes the sweep leave pending objects of published keys alone.
            self._lake.ledger.publication.hold_commits(self._claim, seconds=0)
        return parts.update(live)

    def _rewrite_curated(self, version: Version) -> ReducedPart:
        key, etag = version
        store, file_ids = self._lake.store, self._file_ids
        return remove_rows(store, key, etag, file_ids, self._contract, may_rescue=self._may_rescue)

    def _rewrite_quarantine(self, version: Version) -> ReducedPart | None:
        """None if no record goes: the ledger only knows the batch of a quarantine file, not whose records it has."""
        key, etag = version
        try:
            part = remove_rows(self._lake.store, key, etag, self._file_ids)
        except ObjectMissing:
            # The store may delete these files after `quarantine_days`. Then the ledger drops this one, too.
            return ReducedPart(key=key, replaces=etag, rows=0, removed_by_file={}, object=None)
        if part.object and not part.removed_by_file:
            self._lake.store.abort(part.object)
            return None
        return part
