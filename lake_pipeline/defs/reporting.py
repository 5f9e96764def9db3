"""How what a batch did becomes what Dagster shows: materializations, metadata and check results by partition.

It reads the ledger and Parquet footers through the use case `verify` and decides nothing: when a run fails is
for `conversion` to say.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

import dagster as dg
from dagster import DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from dagster._core.events import (
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)

from lake_pipeline.defs.checks import Target, evaluations, failed_checks
from lake_pipeline.defs.metadata import Metadata, contract_metadata, partition_metadata, run_metadata
from lake_pipeline.defs.partitions import dagster_key
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.ingest.lake import Lake
    from lake_pipeline.ingest.result import BatchResult
    from lake_pipeline.ingest.verdicts import PartitionVerdicts, Verdict

Context: TypeAlias = dg.OpExecutionContext | dg.AssetExecutionContext

CURATED = dg.AssetKey(CURATED_NAME)

LISTING_VERSION = dg.DataVersion("INITIAL")
"""The data version of `landing_files`, always: which files are new is the ledger's business. With a version for
each listing the UI would call every partition unsynced after it. The value is what Dagster takes for an asset that
was never materialized, so files registered by `lake discover` alone count the same."""

UP_TO_DATE = {
    CODE_VERSION_TAG: "1",
    f"{INPUT_DATA_VERSION_TAG_PREFIX}/landing_files": LISTING_VERSION.value,
    f"{INPUT_EVENT_POINTER_TAG_PREFIX}/landing_files": NULL_EVENT_POINTER,
}
"""What Dagster itself notes on a materialization of an asset, for those that are logged by hand."""

MOST_SAMPLES = 5
"""Quarantined records that a run shows."""

MOST_COLUMNS = 20_000
"""Columns told in one run, over all its partitions, at about 200 bytes each; above that the last partition has them."""


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """What is told of one partition."""

    partition: PartitionKey
    verdicts: PartitionVerdicts
    metadata: Metadata

    @property
    def failed_checks(self) -> list[str]:
        """A sentence for each check that failed."""
        return failed_checks(self.verdicts)


def partition_reports(
    lake: Lake, batches: Sequence[BatchResult], partitions: Collection[PartitionKey]
) -> list[PartitionReport]:
    """A report for each of `partitions`, sorted; reads one Parquet footer for each of their files."""
    from lake_pipeline.ingest.quarantined import sample
    from lake_pipeline.ingest.verify import verify

    found, contract = verify(lake, partitions), lake.ledger.contract()
    samples = sample(lake, [batch.batch_id for batch in batches if batch.rows_quarantined], most=MOST_SAMPLES)
    shared = dict(run_metadata(batches, samples, lake.store.place))
    columns: Metadata = {}
    if contract is not None:
        shared["contract version"] = dg.MetadataValue.int(contract.version)
        columns = contract_metadata(contract)
    everywhere = contract is None or len(found) * len(contract.columns) <= MOST_COLUMNS
    return [
        PartitionReport(
            partition=verdicts.partition,
            verdicts=verdicts,
            metadata={
                **partition_metadata(verdicts.account),
                **shared,
                **(columns if everywhere or verdicts is found[-1] else {}),
            },
        )
        for verdicts in found
    ]


def add_metadata(context: dg.AssetExecutionContext, reports: Sequence[PartitionReport]) -> None:
    """Give Dagster what it is to tell of partitions that it reports by itself, those that the run was asked for."""
    step = context.get_step_execution_context()
    for report in reports:
        # What `add_asset_metadata` does, but that makes all keys of the range each time to see whether this is one: 2 s
        # of a run over a year.
        step._metadata_accumulator = step._metadata_accumulator.with_additional_asset_metadata(
            asset_key=CURATED, metadata=report.metadata, partition_key=str(report.partition)
        )


def log_materializations(context: Context, reports: Sequence[PartitionReport]) -> None:
    """One materialization for each report, for partitions that Dagster does not report by itself."""
    made = [
        dg.AssetMaterialization(
            CURATED, partition=dagster_key(report.partition), metadata=report.metadata, tags=UP_TO_DATE
        )
        for report in reports
    ]
    _log(
        context,
        DagsterEventType.ASSET_MATERIALIZATION,
        [(f"Materialized {each.partition}.", StepMaterializationData(each)) for each in made],
    )


def log_checks(context: Context, reports: Sequence[PartitionReport]) -> None:
    """The check results of each report, pointing at the partition's latest materialization."""
    keys = {str(report.partition) for report in reports}
    if not keys:
        return
    # One query for all: after a range of hundreds of partitions, one for each would take longer than the batch.
    latest = context.instance.get_latest_storage_id_by_partition(
        CURATED, DagsterEventType.ASSET_MATERIALIZATION, partitions=keys
    )
    now, told = time.time(), list[AssetCheckEvaluation]()
    for report in reports:
        target = Target(run_id=context.run.run_id, storage_id=latest[str(report.partition)], timestamp=now)
        told += evaluations(report.partition, report.verdicts.named(), target)
    _log_evaluations(context, told)


def log_expectations(context: Context, found: Mapping[PartitionKey, Mapping[str, Verdict]]) -> int:
    """Check results of partitions that this run did not make; returns of how many.

    Those that were never materialized have none: Dagster shows no result that is about no materialization.
    """
    latest = context.instance.get_latest_storage_id_by_partition(
        CURATED, DagsterEventType.ASSET_MATERIALIZATION, partitions={str(partition) for partition in found}
    )
    made = {
        record.storage_id: record
        for record in context.instance.fetch_materializations(
            dg.AssetRecordsFilter(CURATED, storage_ids=sorted(latest.values())), limit=max(1, len(latest))
        ).records
    }
    told = list[AssetCheckEvaluation]()
    for partition, verdicts in found.items():
        if number := latest.get(str(partition)):
            target = Target(run_id=made[number].run_id, storage_id=number, timestamp=made[number].timestamp)
            told += evaluations(partition, verdicts.items(), target)
    _log_evaluations(context, told)
    return len(latest)


def _log_evaluations(context: Context, evaluations: Sequence[AssetCheckEvaluation]) -> None:
    _log(context, DagsterEventType.ASSET_CHECK_EVALUATION, [(_sentence(each), each) for each in evaluations])


def _sentence(evaluation: AssetCheckEvaluation) -> str:
    outcome = "passed" if evaluation.passed else "did not pass"
    return f"{evaluation.check_name} of {evaluation.partition} {outcome}: {evaluation.description}"


def _log(
    context: Context,
    kind: DagsterEventType,
    told: Sequence[tuple[str, StepMaterializationData | AssetCheckEvaluation]],
) -> None:
    """Log sentences with their data as one batch of events; `log_event` would have each stored by itself."""
    from lake_pipeline.defs.event_log import LakeEventLog

    # Any other storage, like that of a deployment without our dagster.yaml, takes no results of checks in batches.
    together = isinstance(context.instance.event_log_storage, LakeEventLog)
    step, batch = context.get_step_execution_context(), str(uuid4())
    for number, (sentence, data) in enumerate(told, start=1):
        place = DagsterEventBatchMetadata(batch, is_end=number == len(told)) if together else None
        DagsterEvent.from_step(kind, step, event_specific_data=data, message=sentence, batch_metadata=place)
