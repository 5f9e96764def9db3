"""Widen columns: rewrite published data files that have a column in a narrower type than a batch's contract.

All data files must be readable together at every commit, so the rewritten ones are part of the batch's manifest: they
are published, committed and rolled forward with it. `LAKE_REWRITE_BYTES` bounds them. Above it a column keeps its type,
fractions are rescued, and the ledger keeps the requested widening for `lake contract widen`. So it does if a published
integer would be rounded.
"""

from __future__ import annotations

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output.rewrite import rewrite
from lake_pipeline.errors import ContractMoved
from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.model.manifest import RewrittenPart
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.rewrites.lost_files import Version
from lake_pipeline.usecases.rewrites.pending_parts import PendingParts

MIN_FILE_BYTES = 1_000_000
"""A smaller file counts as this size: opening, flushing and publishing it takes as long."""


def widens_from(lake: Lake, contract: Contract | None) -> int:
    """The oldest contract version whose columns a batch may widen: its data files are below the limit."""
    if contract is None:
        return 0
    total = 0
    by_version = lake.ledger.curated.bytes_by_version(least=MIN_FILE_BYTES)
    for version in sorted(by_version, reverse=True):
        total += by_version[version]
        if total > lake.rewrite_bytes:
            return version + 1
    return 0


def check_limit(files: list[CuratedFile], limit: int | None) -> None:
    """Raises `ContractMoved` if rewriting these files takes more bytes than `limit`; None for no limit."""
    size = sum(max(file.size, MIN_FILE_BYTES) for file in files)
    if limit is not None and size > limit:
        raise ContractMoved(f"A wider column requires rewriting {size} bytes, more than LAKE_REWRITE_BYTES.")


class ColumnWidening:
    """The data files that one batch rewrites with the wider types of `contract`.

    Integers that no double holds go to `_rescued` if they may, by the command of a person.
    """

    def __init__(self, transaction: PublicationTransaction, contract: Contract, *, may_rescue: bool) -> None:
        self._may_rescue = may_rescue
        self._store = transaction.lake.store
        self._contract = contract
        self._parts = PendingParts[RewrittenPart](transaction, "looking for narrow columns in", self._rewrite)

    def update(self, files: list[CuratedFile]) -> tuple[RewrittenPart, ...]:
        """Those of `files` that have a narrow column, rewritten.

        Raises `WideningRefused` if values would go to `_rescued` and may not, `FilesMoved` if another batch is
        replacing one of them, `DataFileLost` if one is gone, and `LeaseLost`.
        """
        return self._parts.update({(file.key, file.etag) for file in files})

    def _rewrite(self, version: Version) -> RewrittenPart | None:
        key, etag = version
        return rewrite(self._store, key, etag, self._contract, may_rescue=self._may_rescue)
