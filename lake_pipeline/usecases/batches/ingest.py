"""Ingest: one batch from claim to archive.

    recover → claim → convert → record the manifest (the point of no return) → publish → archive

A crash before the manifest is recorded leaves only pending objects that the next sweep removes. After it, the next
worker rolls the batch forward. No database transaction is open while files are converted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.request import ConversionRequest, Progress
from lake_pipeline.errors import (
    ContractMoved,
    DataFileLost,
    FilesMoved,
    LakeError,
    VersionsMoved,
    WideningRefused,
    WorkersLost,
    is_outage,
)
from lake_pipeline.ledger.claims import INGEST
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import FileOutcome, Outcome
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.batches import circuit_breaker
from lake_pipeline.usecases.batches.circuit_breaker import Admission, admit
from lake_pipeline.usecases.batches.rebuild import finish_rebuilds
from lake_pipeline.usecases.batches.result import BatchResult, failed_result, published_result, released_result
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.archive import archive_originals
from lake_pipeline.usecases.publication.location_check import check_outcomes
from lake_pipeline.usecases.publication.sweep import sweep_if_possible
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.recovery.reconcile import adopt_run, recover
from lake_pipeline.usecases.reports.contract import changes_of_batch
from lake_pipeline.usecases.rewrites.record import record_with_rewrites
from lake_pipeline.usecases.rewrites.widen_columns import widens_from

log = logging.getLogger(__name__)

MAX_CLAIM_ATTEMPTS = 4
"""How often files are claimed again because another version of one of them came while they were converted."""

MAX_CONVERSION_ATTEMPTS = 4
"""How often one batch is converted again because another batch changed the contract meanwhile."""


def ingest_all(
    lake: Lake, *, max_batches: int | None = None, on_progress: Progress | None = None, probe_now: bool = False
) -> Iterator[BatchResult]:
    """Ingest batch after batch until nothing can be claimed, `max_batches` are done, or an outage ends one.

    Raises what `ingest_batch` raises; `probe_now` is for the first batch.
    """
    done = 0
    while max_batches is None or done < max_batches:
        result = ingest_batch(lake, on_progress=on_progress, probe_now=probe_now and not done)
        if result is None:
            return
        done += 1
        yield result
        if result.outage:
            return


def ingest_batch(
    lake: Lake,
    *,
    partitions: Collection[PartitionKey] | None = None,
    on_progress: Progress | None = None,
    on_published: Callable[[BatchResult], None] | None = None,
    probe_now: bool = False,
) -> BatchResult | None:
    """Claim and process one batch; None if there is nothing to claim.

    With `partitions`, claim only files whose key promises one of them; rows still go where the records say.
    `on_published` gets the result once readers see the batch, before its originals are archived: an interruption there
    has published. A batch that fails is a result with `error`. During the pause of an outage nothing is claimed, unless
    `probe_now`. Raises `LakePaused` then, `LakeNotThere` and `LakeMismatch`, `LedgerUnavailable` and `LedgerOutdated`,
    `LeaseLost` if this worker was too slow, and `OutcomeUnknown` if only the ledger can say later whether the batch is
    recorded.
    """
    admission = admit(lake, at_once=probe_now)
    with circuit_breaker.recorded(lake, admission):
        recover(lake)
        finish_rebuilds(lake)
    for _ in range(MAX_CLAIM_ATTEMPTS):
        adopted = adopt_run(lake, INGEST)
        claim, run_id = (adopted.claim, adopted.run_id) if adopted else (_claim(lake, partitions), None)
        if claim is None:
            circuit_breaker.succeeded(lake, admission)
            sweep_if_possible(lake)
            return None
        log.info("Batch %s: claimed %d files, %.1f MB", claim.batch_id, len(claim.files), claim.size / 1e6)
        try:
            return process_claim(lake, claim, on_progress, run_id, on_published, admission)
        except VersionsMoved as error:
            log.info("Batch %s was released: %s", claim.batch_id, error)
            conflict = error
    raise conflict


def _claim(lake: Lake, partitions: Collection[PartitionKey] | None) -> Claim | None:
    """The next files that do not wait for another version of their key; None if there are none."""
    while claim := lake.ledger.claims.take(
        owner=this_owner(),
        max_files=lake.batch_files,
        max_bytes=lake.batch_bytes,
        lease_seconds=lake.lease_seconds,
        engine=lake.engine.name,
        partitions=partitions,
    ):
        superseded = lake.ledger.file_versions.decide(claim, lake.new_version).withdrawn
        if superseded:
            log.info("Batch %s: %d files wait for another version of the same key", claim.batch_id, len(superseded))
            lake.ledger.file_versions.withdraw(claim, superseded)
            claim = replace(claim, files=tuple(file for file in claim.files if file.file_id not in superseded))
        if claim.files:
            return claim
        lake.ledger.claims.release(claim, reason="all files wait for another version of the same key")
    return None


def process_claim(
    lake: Lake,
    claim: Claim,
    on_progress: Progress | None = None,
    run_id: str | None = None,
    on_published: Callable[[BatchResult], None] | None = None,
    admission: Admission | None = None,
) -> BatchResult:
    """Convert, publish and archive the files of `claim`; `run_id` is the engine run of an adopted one."""
    started = time.monotonic()
    admission = admission or Admission()
    transaction = PublicationTransaction(lake, claim, run_id)
    try:
        with transaction:
            version, lost = _convert_and_record(transaction, on_progress)
            problem = _publish(transaction)
    except Exception as error:
        if transaction.failure is not error:
            raise
        log.error("Batch %s failed: %s", claim.batch_id, error)
        if not isinstance(error, LakeError):
            raise
        return _ended_early(lake, claim, admission, error, time.monotonic() - started)
    outage = circuit_breaker.failed(lake, admission, problem) if problem else None
    if not outage:
        circuit_breaker.succeeded(lake, admission)
    result = replace(
        published_result(claim, transaction.manifest, time.monotonic() - started, max_attempts=lake.max_attempts),
        contract_version=version,
        contract_changes=_log_changes(lake, claim, version),
        error=_not_visible_yet(problem) if problem else None,
        outage=str(outage) if outage else None,
        damage=None if lost is None else f"No column was widened, fractions are rescued. {lost}",
    )
    if result.damage:
        log.error("Batch %s: %s", claim.batch_id, result.damage)
    if problem:
        archived = 0
    else:
        if on_published:
            on_published(result)
        archived = archive_originals(lake, batch_id=claim.batch_id)
    _log_refusals(transaction.manifest.files, {file.file_id: file.key for file in claim.files})
    return replace(result, archived=archived, seconds=time.monotonic() - started)


def _ended_early(lake: Lake, claim: Claim, admission: Admission, error: LakeError, seconds: float) -> BatchResult:
    """The result of a batch that published nothing; an outage is recorded, so that no worker claims the next one."""
    if is_outage(error):
        outage = circuit_breaker.failed(lake, admission, error)
        return released_result(claim, error, seconds, outage=str(outage or error))
    if isinstance(error, WorkersLost | DataFileLost):
        return released_result(claim, error, seconds, outage=None)
    return failed_result(claim, error, seconds, max_attempts=lake.max_attempts)


def _convert_and_record(
    transaction: PublicationTransaction, on_progress: Progress | None
) -> tuple[int, DataFileLost | None]:
    """Convert until the parts fit the contract in force, and record.

    Returns the contract version, and the lost file because of which no column was widened.
    """
    lost: DataFileLost | None = None
    may_widen = True
    kept = transaction.repeated(transaction.lake.ledger.contracts.lossy_widenings)
    attempts = MAX_CONVERSION_ATTEMPTS
    while attempts:
        attempts -= 1
        report = transaction.convert(_request(transaction, may_widen=may_widen, kept=kept), on_progress)
        check_outcomes(transaction.lake, report.manifest.files)
        try:
            version = record_with_rewrites(
                transaction,
                report.manifest,
                report.contract,
                report.evidence,
                limit=transaction.lake.rewrite_bytes,
            )
        except WideningRefused as error:
            transaction.discard_pending()
            kept |= error.paths
            # Not one of the attempts: each such time another column is kept, so it ends.
            attempts += 1
            log.info("Batch %s is converted again: %s", transaction.claim.batch_id, error)
        except (ContractMoved, FilesMoved, DataFileLost) as error:
            if isinstance(error, DataFileLost):
                if not may_widen:
                    raise
                lost = error
            transaction.discard_pending()
            conflict = error
            # A lake that is never quiet enough to widen a column, or has lost a file, still publishes the batch.
            may_widen = may_widen and isinstance(error, ContractMoved)
            log.info("Batch %s is converted again: %s", transaction.claim.batch_id, error)
        else:
            return version, lost
    raise conflict


def _request(transaction: PublicationTransaction, *, may_widen: bool, kept: frozenset[str]) -> ConversionRequest:
    lake = transaction.lake
    contract = transaction.repeated(lake.ledger.contracts.latest)
    narrowest = transaction.repeated(partial(widens_from, lake, contract)) if may_widen else _next_version(contract)
    return ConversionRequest(
        batch_id=transaction.claim.batch_id,
        files=transaction.claim.files,
        contract=contract,
        options=lake.options,
        widens_from=narrowest,
        kept=kept,
        lake_id=transaction.repeated(lake.ledger.identity.read).lake_id,
    )


def _next_version(contract: Contract | None) -> int:
    return contract.version + 1 if contract else 1


def _publish(transaction: PublicationTransaction) -> LakeError | None:
    """Roll the recorded batch forward; returns what went wrong, in which case the next worker finishes it."""
    try:
        transaction.roll_forward()
    except LakeError as error:
        log.error("Batch %s is recorded, but not all of it is visible yet: %s", transaction.claim.batch_id, error)
        return error
    return None


def _not_visible_yet(problem: LakeError) -> str:
    return f"recorded, but not all of it is visible yet; it is rolled forward by the next run: {problem}"


def _log_changes(lake: Lake, claim: Claim, version: int) -> tuple[str, ...]:
    changes = tuple(map(str, changes_of_batch(lake, claim.batch_id)))
    for change in changes:
        log.info("Contract version %d: %s", version, change)
    return changes


def _log_refusals(files: Collection[FileOutcome], keys: dict[int, str]) -> None:
    for file in files:
        if file.outcome is not Outcome.CONVERTED:
            log.warning("%s %s: %s", keys[file.file_id], file.outcome.value.lower(), file.error)
