"""Forget: remove a raw file's rows from all data files, in one publication; the file stays forgotten.

The original is not touched, in the landing zone or in the archive. The ledger keeps the version, so that no listing
registers it again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lake_pipeline.contract.contract import Contract
from lake_pipeline.errors import FilesMoved, PermanentError, RetainedBySnapshots
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.ledger.replacement import FORGET
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.states import FileState
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.recovery.file_conflicts import retry_file_conflicts
from lake_pipeline.usecases.recovery.reconcile import recover
from lake_pipeline.usecases.reports.lineage import Lineage, lineage
from lake_pipeline.usecases.rewrites.remove_rows import RowRemoval

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ForgetResult:
    """What was removed: `before` is the lineage as it was; `rewritten` and `deleted` count data files."""

    batch_id: str
    before: Lineage
    rewritten: int
    deleted: int


def forget(lake: Lake, file: str) -> ForgetResult:
    """Remove the rows of every version of `file` from the data files; the versions become SUPERSEDED.

    Raises `RetainedBySnapshots` if snapshots have rows of any version, replaced ones included. Raises
    `PermanentError` if the file is unknown, already forgotten or being processed; otherwise what an ingest raises. If
    it is interrupted before its point of no return, nothing has changed; after it, the next worker finishes it.
    """
    recover(lake)
    before = lineage(lake, file)
    _check_snapshots(lake, file, before)
    file_ids = _forgettable(before, file)
    claim = lake.ledger.claims.open_empty(FORGET, owner=this_owner(), lease_seconds=lake.lease_seconds)
    with PublicationTransaction(lake, claim) as transaction:
        _record(transaction, file_ids)
        transaction.roll_forward()
    reduced = transaction.manifest.reduced
    return ForgetResult(
        batch_id=claim.batch_id,
        before=before,
        rewritten=sum(part.object is not None for part in reduced),
        deleted=sum(part.object is None for part in reduced),
    )


def _record(transaction: PublicationTransaction, file_ids: tuple[int, ...]) -> None:
    lake = transaction.lake
    removal = RowRemoval(transaction)
    contract = lake.ledger.contracts.latest() or Contract()

    def attempt(_is_later: bool) -> None:
        manifest = Manifest(
            curated=(),
            quarantine=(),
            files=(),
            reduced=removal.curated_without(file_ids),
            reduced_quarantine=removal.quarantine_without(file_ids),
            superseded=file_ids,
        )
        transaction.record(manifest, contract)

    try:
        retry_file_conflicts(lake, f"Batch {transaction.claim.batch_id}", attempt)
    except FilesMoved as error:
        raise FilesMoved(
            f"Nothing was forgotten: other workers kept using the same files. Try again. ({error})"
        ) from error


def _check_snapshots(lake: Lake, file: str, before: Lineage) -> None:
    """Rows in a snapshot would stay readable, so the file would not be forgotten: a person decides."""
    snapshots = lake.ledger.snapshots.containing([version.file.file_id for version in before.versions])
    if snapshots:
        raise RetainedBySnapshots(file, snapshots)


def _forgettable(before: Lineage, file: str) -> tuple[int, ...]:
    versions = [version for version in before.versions if version.state is not FileState.SUPERSEDED]
    if not versions:
        raise PermanentError(f"{file} has no rows in the lake: it was already replaced or forgotten.")
    if any(version.state is FileState.PROCESSING for version in versions):
        raise PermanentError(
            f"{file} is being processed. Wait until that is done, or release it with `lake release`, then forget it."
        )
    return tuple(version.file.file_id for version in versions)
