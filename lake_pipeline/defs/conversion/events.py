"""Turns the results of batches into Dagster events: materializations, metadata and check results by partition.

It reads the ledger and Parquet footers through `usecases.checks`. `conversion.op` decides whether a run fails.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from lake_pipeline.defs.checks import GUARDS
from lake_pipeline.defs.conversion.metadata import Metadata, contract_metadata, partition_metadata, run_metadata
from lake_pipeline.defs.discovery.landing_files import LANDING_NAME, LISTING_VERSION
from lake_pipeline.defs.instance import step_events
from lake_pipeline.defs.instance.step_events import CheckTarget, Context
from lake_pipeline.defs.partitions import dagster_key
from lake_pipeline.escaping import markdown
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.usecases.batches.result import BatchResult
    from lake_pipeline.usecases.checks.verdicts import PartitionVerdicts, Verdict
    from lake_pipeline.usecases.lake import Lake

CURATED = dg.AssetKey(CURATED_NAME)

MAX_SAMPLES = 5
"""Quarantined records in the metadata of a run."""

MAX_COLUMNS = 20_000
"""Columns in the metadata of one run, over all its partitions, at about 200 bytes each; above this limit only the last
partition has them."""


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """What a run reports for one partition."""

    partition: PartitionKey
    verdicts: PartitionVerdicts
    metadata: Metadata

    @property
    def failed_checks(self) -> list[str]:
        """A sentence for each failed check."""
        return [f"check {name} failed: {verdict.text}" for name, verdict in self.verdicts.named() if not verdict.passed]


def partition_reports(
    lake: Lake, batches: Sequence[BatchResult], partitions: Collection[PartitionKey]
) -> list[PartitionReport]:
    """A report for each of `partitions`, sorted; reads one Parquet footer for each of their files."""
    from lake_pipeline.usecases.checks.quarantine_sample import sample
    from lake_pipeline.usecases.checks.verify import verify

    all_verdicts, contract = verify(lake, partitions), lake.ledger.contracts.latest()
    samples = sample(lake, [batch.batch_id for batch in batches if batch.rows_quarantined], most=MAX_SAMPLES)
    shared = dict(run_metadata(batches, samples, lake.store.location))
    columns: Metadata = {}
    if contract is not None:
        shared["contract version"] = dg.MetadataValue.int(contract.version)
        columns = contract_metadata(contract)
    in_every_partition = contract is None or len(all_verdicts) * len(contract.columns) <= MAX_COLUMNS
    return [
        PartitionReport(
            partition=verdicts.partition,
            verdicts=verdicts,
            metadata={
                **partition_metadata(verdicts.account),
                **shared,
                **(columns if in_every_partition or verdicts is all_verdicts[-1] else {}),
            },
        )
        for verdicts in all_verdicts
    ]


def add_metadata(context: dg.AssetExecutionContext, reports: Sequence[PartitionReport]) -> None:
    """Add metadata to the materializations that Dagster logs itself: those of the run's own partitions."""
    step_events.add_partition_metadata(context, CURATED, {str(report.partition): report.metadata for report in reports})


def log_materializations(context: Context, reports: Sequence[PartitionReport]) -> None:
    """Log one materialization for each report, for partitions whose materializations Dagster does not log itself."""
    tags = step_events.version_tags(LANDING_NAME, LISTING_VERSION)
    step_events.log_materializations(
        context,
        [
            (
                f"Materialized {report.partition}.",
                dg.AssetMaterialization(
                    CURATED, partition=dagster_key(report.partition), metadata=report.metadata, tags=tags
                ),
            )
            for report in reports
        ],
    )


def log_checks(context: Context, reports: Sequence[PartitionReport]) -> None:
    """Log the check results of each report; they refer to the partition's latest materialization."""
    keys = {str(report.partition) for report in reports}
    if not keys:
        return
    # One query for all: for a range of hundreds of partitions, one query each would take longer than the batch.
    latest = context.instance.get_latest_storage_id_by_partition(
        CURATED, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions=keys
    )
    now, evaluations = time.time(), list[dg.AssetCheckEvaluation]()
    for report in reports:
        target = CheckTarget(run_id=context.run.run_id, storage_id=latest[str(report.partition)], timestamp=now)
        evaluations += _evaluations(report.partition, report.verdicts.named(), target)
    _log_evaluations(context, evaluations)


def log_expectations(context: Context, verdicts: Mapping[PartitionKey, Mapping[str, Verdict]]) -> int:
    """Log check results of partitions that this run did not convert; returns for how many.

    Partitions that were never materialized are skipped: Dagster shows no check result without a materialization.
    """
    latest = context.instance.get_latest_storage_id_by_partition(
        CURATED, dg.DagsterEventType.ASSET_MATERIALIZATION, partitions={str(partition) for partition in verdicts}
    )
    materializations = {
        record.storage_id: record
        for record in context.instance.fetch_materializations(
            dg.AssetRecordsFilter(CURATED, storage_ids=sorted(latest.values())), limit=max(1, len(latest))
        ).records
    }
    evaluations = list[dg.AssetCheckEvaluation]()
    for partition, by_check in verdicts.items():
        if storage_id := latest.get(str(partition)):
            record = materializations[storage_id]
            target = CheckTarget(run_id=record.run_id, storage_id=storage_id, timestamp=record.timestamp)
            evaluations += _evaluations(partition, by_check.items(), target)
    _log_evaluations(context, evaluations)
    return len(latest)


def _evaluations(
    partition: PartitionKey, verdicts: Iterable[tuple[str, Verdict]], target: CheckTarget
) -> Iterator[dg.AssetCheckEvaluation]:
    """The results of a partition's checks by name.

    `dg.AssetCheckResult` has no partition in a run over several of them, and cannot be used in a job of ops. Without
    the target the UI would show nothing.
    """
    for name, verdict in verdicts:
        yield dg.AssetCheckEvaluation(
            asset_key=CURATED,
            check_name=name,
            # Dagster shows a warning only for a check that did not pass.
            passed=verdict.passed and not verdict.warns,
            metadata={fact: _fact(value) for fact, value in verdict.facts.items()},
            description=markdown.text(verdict.text),
            severity=dg.AssetCheckSeverity.WARN if verdict.warns else dg.AssetCheckSeverity.ERROR,
            blocking=name in GUARDS,
            partition=str(partition),
            target_materialization_data=target,
        )


def _fact(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def _log_evaluations(context: Context, evaluations: Sequence[dg.AssetCheckEvaluation]) -> None:
    step_events.log_check_evaluations(context, [(_message(evaluation), evaluation) for evaluation in evaluations])


def _message(evaluation: dg.AssetCheckEvaluation) -> str:
    outcome = "passed" if evaluation.passed else "did not pass"
    return f"{evaluation.check_name} of {evaluation.partition} {outcome}: {evaluation.description}"
