"""Rebuild: convert partitions again from the originals of their files, and replace them in one publication.

    look at what is published → convert its originals → compare rows in other partitions → record → publish

It replaces exactly the rows that it looked at; what others publish meanwhile stays. Originals are read from the
archive, or from the landing zone if they are not archived yet. Memory is bounded as in any conversion. If the worker of
a rebuild is dead and its engine run is not, the next worker continues it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.request import ConversionRequest, Progress
from lake_pipeline.errors import ContractMoved, FilesMoved, LakeError, LeaseLost, OutcomeUnknown, PermanentError
from lake_pipeline.ledger.owner import this_owner
from lake_pipeline.ledger.recovery import AdoptedRun
from lake_pipeline.ledger.replacement import REBUILD
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.batches.rebuild_scope import (
    MAX_NAMED_ITEMS,
    RebuildScope,
    check_outcomes,
    check_outside,
    look,
)
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.transaction import PublicationTransaction
from lake_pipeline.usecases.recovery.reconcile import adopt_run, recover
from lake_pipeline.usecases.rewrites.remove_rows import RowRemoval

log = logging.getLogger(__name__)

MAX_REBUILD_ATTEMPTS = 4
"""How often a rebuild restarts because others changed the contract, or replaced the same published files."""


@dataclass(frozen=True, kw_only=True)
class RebuildResult:
    """What was replaced: `files` raw files were read, `rows` of `partitions` are now in `curated_files` data files."""

    batch_id: str
    partitions: tuple[PartitionKey, ...]
    files: int
    rows_before: int
    rows: int
    replaced_files: int
    curated_files: int
    seconds: float


def rebuild(
    lake: Lake, partitions: Collection[PartitionKey], on_progress: Progress | None = None
) -> RebuildResult | None:
    """Replace what is published in `partitions` by what their originals give now; None if nothing is published.

    Raises `PermanentError` if an original is gone or can't be converted any more, or if its records would now be in
    other partitions too: then nothing was changed. Otherwise what an ingest raises.
    """
    for _ in range(MAX_REBUILD_ATTEMPTS):
        recover(lake)
        if same := [result for result in finish_rebuilds(lake) if set(result.partitions) == set(partitions)]:
            return same[-1]
        scope = look(lake, partitions)
        if not scope.curated:
            return None
        claim = lake.ledger.claims.open_empty(
            REBUILD,
            owner=this_owner(),
            lease_seconds=lake.lease_seconds,
            engine=lake.engine.name,
            partitions=partitions,
        )
        transaction = PublicationTransaction(lake, claim)
        try:
            with transaction:
                return _rebuild(transaction, scope, on_progress)
        except (ContractMoved, FilesMoved) as error:
            log.info("Batch %s restarts: %s", claim.batch_id, error)
            conflict = error
    raise conflict


def finish_rebuilds(lake: Lake) -> list[RebuildResult]:
    """Continue the rebuilds whose worker is dead and whose engine run is alive; returns their results."""
    results: list[RebuildResult] = []
    while adopted := adopt_run(lake, REBUILD):
        try:
            results.append(_continue(lake, adopted))
        except (LeaseLost, OutcomeUnknown):
            raise
        except LakeError as error:
            named = ", ".join(map(str, adopted.partitions[:MAX_NAMED_ITEMS]))
            log.warning("Batch %s, a rebuild of %s, was abandoned: %s", adopted.claim.batch_id, named, error)
    return results


def published_partitions(lake: Lake, chosen: Iterable[str]) -> list[PartitionKey]:
    """The partitions that a person names: `2026-02-03|live`, a path with `year=…/mode=…`, or a day for all its modes.

    Raises `PermanentError` for anything else.
    """
    partitions: list[PartitionKey] = []
    for text in chosen:
        try:
            if "|" in text:
                partitions.append(PartitionKey.parse(text))
            elif "=" in text:
                partitions.append(PartitionKey.of_path(text.rstrip("/") + "/"))
            else:
                partitions += lake.ledger.curated.partitions_of_day(text)
        except ValueError as error:
            raise PermanentError(f"{error}; a partition is 2026-02-03|live, or 2026-02-03 for all modes.") from error
    return sorted(set(partitions))


def _continue(lake: Lake, adopted: AdoptedRun) -> RebuildResult:
    with PublicationTransaction(lake, adopted.claim, adopted.run_id) as transaction:
        return _rebuild(transaction, look(lake, adopted.partitions), None)


def _rebuild(transaction: PublicationTransaction, scope: RebuildScope, on_progress: Progress | None) -> RebuildResult:
    started = time.monotonic()
    _convert_and_record(transaction, scope, on_progress)
    transaction.roll_forward()
    curated = transaction.manifest.curated
    return RebuildResult(
        batch_id=transaction.claim.batch_id,
        partitions=tuple(sorted(scope.partitions)),
        files=len(scope.sources),
        rows_before=sum(file.rows for file in scope.curated),
        rows=sum(part.rows for part in curated),
        replaced_files=len(scope.curated),
        curated_files=len(curated),
        seconds=time.monotonic() - started,
    )


def _convert_and_record(transaction: PublicationTransaction, scope: RebuildScope, on_progress: Progress | None) -> None:
    report = transaction.convert(_request(transaction, scope), on_progress)
    check_outcomes(transaction.lake, scope, report)
    manifest = _only_inside(transaction.lake, scope, report.manifest)
    # The conversion has quarantined all of these records again.
    file_ids = [source.file.file_id for source in scope.sources]
    manifest = replace(manifest, reduced_quarantine=RowRemoval(transaction).quarantine_without(file_ids))
    transaction.record(manifest, report.contract)


def _request(transaction: PublicationTransaction, scope: RebuildScope) -> ConversionRequest:
    contract = transaction.lake.ledger.contracts.latest() or Contract()
    return ConversionRequest(
        batch_id=transaction.claim.batch_id,
        files=tuple(source.file for source in scope.sources),
        contract=contract,
        options=transaction.lake.options,
        # Only an ingest or `lake contract widen` widens columns: they rewrite the files that are not rebuilt.
        widens_from=contract.version + 1,
        lake_id=transaction.lake.ledger.identity.read().lake_id,
    )


def _only_inside(lake: Lake, scope: RebuildScope, manifest: Manifest) -> Manifest:
    """What is published of the conversion. Rows in other partitions are published already; their parts are aborted."""
    inside = tuple(part for part in manifest.curated if part.partition in scope.partitions)
    outside = [part for part in manifest.curated if part.partition not in scope.partitions]
    check_outside(scope, outside)
    for part in outside:
        lake.store.abort(part.object)
    return replace(manifest, curated=inside, files=(), rebuilt=manifest.files, reduced=scope.reduced)
