"""The result of a batch, as a value for commands, runs and tests. Nothing is decided or read here."""

from __future__ import annotations

from dataclasses import dataclass

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.settlement import attempts_of
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import NOTHING_TO_PUBLISH, Manifest, Outcome
from lake_pipeline.model.partitions import PartitionKey


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """The account of one batch. `files` = `succeeded` + `failed` + `quarantined` + `released`; `bytes` are raw bytes as
    stored.

    `rows_read` = `rows_published` + `rows_quarantined`. `error` is set if the whole batch failed; its files then wait
    in the ledger for their next attempt. If the store or the engine was the cause, `released` files are pending again
    as before, and `outage` says since when it fails and what to do. `contract_changes` has a line for each column that
    is new or wider; `rewritten_files` counts data files that were rewritten with a wider column. `damage` is
    set if a column was not widened, because a published file is gone. `unpublished` of the quarantined files have
    records, and none of them can be published; `unpublished_reason` is about the first.
    """

    batch_id: str
    files: int
    succeeded: int = 0
    failed: int = 0
    quarantined: int = 0
    released: int = 0
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
    outage: str | None = None
    damage: str | None = None
    unpublished: int = 0
    unpublished_reason: str | None = None


def released_result(claim: Claim, error: Exception, seconds: float, *, outage: str | None) -> BatchResult:
    """A batch that was given back whole, because of an outage, lost workers or a lost data file."""
    return BatchResult(
        batch_id=claim.batch_id,
        files=len(claim.files),
        released=len(claim.files),
        bytes=claim.size,
        seconds=seconds,
        error=str(error),
        outage=outage,
    )


def failed_result(claim: Claim, error: Exception, seconds: float, *, max_attempts: int) -> BatchResult:
    """A batch that failed as a whole. Files without a further attempt are quarantined."""
    has_retry = 0 if isinstance(error, PermanentError) else _with_retry(claim, max_attempts)
    return BatchResult(
        batch_id=claim.batch_id,
        files=len(claim.files),
        failed=has_retry,
        quarantined=len(claim.files) - has_retry,
        bytes=claim.size,
        seconds=seconds,
        error=str(error),
    )


def published_result(claim: Claim, manifest: Manifest, seconds: float, *, max_attempts: int) -> BatchResult:
    """The account of a batch past its point of no return, from its manifest.

    A failed file without a further attempt is quarantined.
    """
    attempts = {file.file_id: file.attempts for file in claim.files}
    failed = [file for file in manifest.files if file.outcome is Outcome.FAILED]
    retried = [file for file in failed if attempts[file.file_id] < attempts_of(file.reason, max_attempts)]

    unpublished = [file for file in manifest.files if file.reason == NOTHING_TO_PUBLISH]

    def total(count: str) -> int:
        return sum(getattr(file, count) for file in manifest.files)

    def with_outcome(outcome: Outcome) -> int:
        return sum(file.outcome is outcome for file in manifest.files)

    return BatchResult(
        batch_id=claim.batch_id,
        files=len(claim.files),
        succeeded=with_outcome(Outcome.CONVERTED),
        failed=len(retried),
        quarantined=with_outcome(Outcome.REFUSED) + len(failed) - len(retried),
        rows_read=total("read"),
        rows_published=total("published"),
        rows_quarantined=total("quarantined"),
        rows_rescued=total("rescued"),
        partitions=manifest.partitions,
        curated_files=len(manifest.curated),
        bytes=claim.size,
        seconds=seconds,
        rewritten_files=len(manifest.rewritten),
        unpublished=len(unpublished),
        unpublished_reason=unpublished[0].error if unpublished else None,
    )


def _with_retry(claim: Claim, max_attempts: int) -> int:
    return sum(file.attempts < max_attempts for file in claim.files)
