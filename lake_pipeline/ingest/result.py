"""What became of a batch, as a value for commands, runs and tests. Nothing is decided or read here."""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import Manifest, Outcome
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """The account of one batch. `files` = `succeeded` + `failed` + `quarantined`; `bytes` are raw bytes as stored.

    `rows_read` = `rows_published` + `rows_quarantined`. `error` is set where the whole batch failed; its files
    then wait in the ledger for their next attempt. `contract_changes` has a line for each column that is new or wider;
    `rewritten_files` counts published files that were written again with a wider column.
    """

    batch_id: str
    files: int
    succeeded: int = 0
    failed: int = 0
    quarantined: int = 0
    rows_read: int = 0
    rows_published: int = 0
    rows_quarantined: int = 0
    rows_rescued: int = 0
    partitions: tuple[PartitionKey, ...] = ()
    curated_files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    contract_version: int = 0
    contract_changes: tuple[str, ...] = ()
    rewritten_files: int = 0
    archived: int = 0
    error: str | None = None


def failed_result(claim: Claim, error: Exception, seconds: float) -> BatchResult:
    """A batch that failed as a whole."""
    return BatchResult(
        batch_id=claim.batch_id,
        files=len(claim.files),
        failed=len(claim.files),
        bytes=claim.size,
        seconds=seconds,
        error=str(error),
    )


def published_result(claim: Claim, manifest: Manifest, seconds: float) -> BatchResult:
    """The account of a batch that is past its point of no return, as far as its manifest tells."""

    def total(count: str) -> int:
        return sum(getattr(file, count) for file in manifest.files)

    def with_outcome(outcome: Outcome) -> int:
        return sum(file.outcome is outcome for file in manifest.files)

    return BatchResult(
        batch_id=claim.batch_id,
        files=len(claim.files),
        succeeded=with_outcome(Outcome.CONVERTED),
        failed=with_outcome(Outcome.FAILED),
        quarantined=with_outcome(Outcome.REFUSED),
        rows_read=total("read"),
        rows_published=total("published"),
        rows_quarantined=total("quarantined"),
        rows_rescued=total("rescued"),
        partitions=manifest.partitions,
        curated_files=len(manifest.curated),
        bytes=claim.size,
        seconds=seconds,
        rewritten_files=len(manifest.rewritten),
    )
