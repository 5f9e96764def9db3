"""One batch from claim to archive: the story of the lake, as a flow chart in code.

    recover → claim → convert → record the manifest (the point of no return) → publish → archive

Before the manifest is recorded a crash leaves nothing but litter; after it whoever comes next rolls the batch
forward. No transaction is open while a file is converted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from lake_pipeline.convert.request import ConversionReport, ConversionRequest, Progress
from lake_pipeline.errors import ContractMoved, FilesMoved, LakeError, LeaseLost, OutcomeUnknown, VersionsMoved
from lake_pipeline.ingest.archive import archive_originals
from lake_pipeline.ingest.contracts import changes_of_batch
from lake_pipeline.ingest.converting import convert, forget_run
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ingest.lease import Heartbeat
from lake_pipeline.ingest.publish import abort, roll_forward
from lake_pipeline.ingest.rebuild import finish_rebuilds
from lake_pipeline.ingest.reconcile import adopt_run, recover, sweep_if_possible
from lake_pipeline.ingest.result import BatchResult, failed_result, published_result
from lake_pipeline.ingest.widening import Recording, widens_from
from lake_pipeline.ledger.claims import INGEST
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.model.claims import Claim
from lake_pipeline.model.manifest import FileOutcome, Manifest, Outcome
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.model.states import BatchState

log = logging.getLogger(__name__)

CLAIMS = 4
"""How often files are claimed again because another version of one of them came while they were converted."""

CONVERSIONS = 4
"""How often one batch is converted again because another batch moved the contract meanwhile."""


def ingest_all(
    lake: Lake, *, max_batches: int | None = None, on_progress: Progress | None = None
) -> Iterator[BatchResult]:
    """Ingest batch after batch until nothing can be claimed, or `max_batches` were done."""
    done = 0
    while max_batches is None or done < max_batches:
        result = ingest_batch(lake, on_progress=on_progress)
        if result is None:
            return
        done += 1
        yield result


def ingest_batch(
    lake: Lake,
    *,
    partitions: Collection[PartitionKey] | None = None,
    on_progress: Progress | None = None,
    on_published: Callable[[BatchResult], None] | None = None,
) -> BatchResult | None:
    """Claim and process one batch; None when there is nothing to claim.

    With `partitions`, only files whose key promises one of them are claimed; the rows go where the records say.
    `on_published` hears of the batch once readers see it, before its originals are archived: what is interrupted
    there has published.
    A batch that fails is a result with `error`. Raises `LedgerUnavailable` and `LedgerOutdated`, `LeaseLost` where
    this worker was too slow, and `OutcomeUnknown` where only the ledger can tell later what became of the batch.
    """
    recover(lake)
    finish_rebuilds(lake)
    for _ in range(CLAIMS):
        adopted = adopt_run(lake, INGEST)
        claim, run_id = (adopted.claim, adopted.run_id) if adopted else (_claim(lake, partitions), None)
        if claim is None:
            sweep_if_possible(lake)
            return None
        log.info("Batch %s: claimed %d files, %.1f MB", claim.batch_id, len(claim.files), claim.size / 1e6)
        try:
            return _process(lake, claim, on_progress, run_id, on_published)
        except VersionsMoved as error:
            log.info("Batch %s was given back: %s", claim.batch_id, error)
            moved = error
    raise moved


def _claim(lake: Lake, partitions: Collection[PartitionKey] | None) -> Claim | None:
    """The next files of which no other version goes first; None when there are none."""
    while claim := lake.ledger.claim(
        owner=this_owner(),
        max_files=lake.batch_files,
        max_bytes=lake.batch_bytes,
        lease_seconds=lake.lease_seconds,
        engine=lake.engine.name,
        partitions=partitions,
    ):
        pointless = lake.ledger.judge_versions(claim, lake.new_version).steps_back
        if pointless:
            log.info("Batch %s: %d files have another version that goes first", claim.batch_id, len(pointless))
            lake.ledger.step_back(claim, pointless)
            claim = replace(claim, files=tuple(file for file in claim.files if file.file_id not in pointless))
        if claim.files:
            return claim
        lake.ledger.release(claim, reason="another version of every file goes first")
    return None


def _process(
    lake: Lake,
    claim: Claim,
    on_progress: Progress | None,
    run_id: str | None,
    on_published: Callable[[BatchResult], None] | None = None,
) -> BatchResult:
    """Convert and publish; with `run_id`, what an engine run converts already."""
    started = time.monotonic()
    with Heartbeat(lake.ledger, claim) as heartbeat:
        try:
            manifest, version = _convert_and_record(lake, claim, heartbeat, on_progress, run_id)
        except VersionsMoved as error:
            lake.ledger.release(claim, reason=str(error))
            raise
        except (LeaseLost, OutcomeUnknown):
            raise  # the files are somebody else's, or past the point of no return: the next worker finds out
        except LakeError as error:
            return _failed(lake, claim, error, time.monotonic() - started)
        except Exception as error:
            _failed(lake, claim, error, time.monotonic() - started)
            raise
        except BaseException:
            # Stopped by a person: the files go back at once and the attempt does not count against them.
            lake.ledger.release(claim, reason="interrupted")
            sweep_if_possible(lake)
            raise
        problem = _publish(lake, claim, manifest)
    result = replace(
        published_result(claim, manifest, time.monotonic() - started),
        contract_version=version,
        contract_changes=_tell_changes(lake, claim, version),
        error=problem,
    )
    if problem:
        archived = 0
    else:
        if on_published:
            on_published(result)
        archived = archive_originals(lake, batch_id=claim.batch_id)
    _tell_refusals(manifest.files, {file.file_id: file.key for file in claim.files})
    return replace(result, archived=archived, seconds=time.monotonic() - started)


def _convert_and_record(
    lake: Lake, claim: Claim, heartbeat: Heartbeat, on_progress: Progress | None, run_id: str | None
) -> tuple[Manifest, int]:
    """Convert until the parts fit the contract in force, then pass the point of no return."""
    may_widen = True
    for _ in range(CONVERSIONS):
        report = _convert(lake, claim, on_progress, run_id, may_widen=may_widen)
        recording = Recording(lake, claim, heartbeat, report.manifest, report.contract, limit=lake.rewrite_bytes)
        try:
            version = recording.record(report.evidence)
            return recording.manifest, version
        except (ContractMoved, FilesMoved) as error:
            forget_run(lake, claim)
            abort(lake.store, recording.manifest)
            moved, run_id = error, None
            # A lake that is never quiet enough to widen a column still takes the batch.
            may_widen = may_widen and isinstance(error, ContractMoved)
            log.info("Batch %s is converted again: %s", claim.batch_id, error)
        except OutcomeUnknown:
            return recording.manifest, _recorded_version(lake, claim)
        except LeaseLost:
            # Whoever took the batch over may have taken its run over, and the parts with it: the ledger knows.
            sweep_if_possible(lake)
            raise
        except LakeError:
            forget_run(lake, claim)
            abort(lake.store, recording.manifest)
            raise
    raise moved


def _recorded_version(lake: Lake, claim: Claim) -> int:
    """The contract version, where the ledger has the manifest although the connection broke while it was told.

    Raises OutcomeUnknown where it has not: the parts stay until the ledger itself has given the batch up.
    """
    state = lake.ledger.batch_states([claim.batch_id]).get(claim.batch_id)
    contract = lake.ledger.contract()
    if state is BatchState.CLAIMED or contract is None:
        raise OutcomeUnknown(
            f"The connection to the ledger broke while batch {claim.batch_id} was recorded, and it is not recorded. "
            "Its files are claimed again when the lease runs out; there is nothing to do."
        )
    return contract.version


def _publish(lake: Lake, claim: Claim, manifest: Manifest) -> str | None:
    """Roll the recorded batch forward; returns what went wrong, in which case whoever comes next goes on."""
    try:
        roll_forward(lake, claim.batch_id, manifest)
    except LakeError as error:
        log.error("Batch %s is recorded but not all of it is visible yet: %s", claim.batch_id, error)
        return f"recorded, but not all of it is visible yet; it is rolled forward by the next run: {error}"
    return None


def _convert(
    lake: Lake, claim: Claim, on_progress: Progress | None, run_id: str | None, *, may_widen: bool
) -> ConversionReport:
    contract = lake.ledger.contract()
    newest = contract.version if contract else 0
    request = ConversionRequest(
        batch_id=claim.batch_id,
        files=claim.files,
        contract=contract,
        options=lake.options,
        widens_from=widens_from(lake, contract) if may_widen else newest + 1,
    )
    return convert(lake, claim, request, on_progress, run_id)


def _failed(lake: Lake, claim: Claim, error: Exception, seconds: float) -> BatchResult:
    log.error("Batch %s failed: %s", claim.batch_id, error)
    lake.ledger.fail(claim, error, max_attempts=lake.max_attempts)
    # What broke the batch may have kept it from removing its parts, too: a full disk does.
    sweep_if_possible(lake)
    return failed_result(claim, error, seconds)


def _tell_changes(lake: Lake, claim: Claim, version: int) -> tuple[str, ...]:
    changes = tuple(map(str, changes_of_batch(lake, claim.batch_id)))
    for change in changes:
        log.info("Contract version %d: %s", version, change)
    return changes


def _tell_refusals(files: Collection[FileOutcome], keys: dict[int, str]) -> None:
    for file in files:
        if file.outcome is not Outcome.CONVERTED:
            log.warning("%s %s: %s", keys[file.file_id], file.outcome.value.lower(), file.error)
