"""How what a batch did becomes what Dagster shows: materializations, metadata and check results by partition.

It reads the ledger and Parquet footers through the use case `verify` and decides nothing: when a run fails is
for `conversion` to say.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg
from dagster import DagsterEventType
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)

from lake_pipeline.defs.checks import Target, evaluations, failed_checks
from lake_pipeline.defs.partitions import dagster_key
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.contract.contract import Contract
    from lake_pipeline.ingest.discover import Discovery
    from lake_pipeline.ingest.lake import Lake
    from lake_pipeline.ingest.result import BatchResult
    from lake_pipeline.ingest.verdicts import PartitionVerdicts
    from lake_pipeline.ledger.views import PartitionAccount

Context: TypeAlias = dg.OpExecutionContext | dg.AssetExecutionContext
Metadata: TypeAlias = Mapping[str, dg.MetadataValue]

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

NO_DATA = "The lake has no data for this partition, and no file that promises it was waiting."


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
    from lake_pipeline.ingest.verify import verify

    shared = _run_metadata(batches, lake.ledger.contract())
    return [
        PartitionReport(
            partition=verdicts.partition,
            verdicts=verdicts,
            metadata={**_partition_metadata(verdicts.account), **shared},
        )
        for verdicts in verify(lake, partitions)
    ]


def log_materializations(context: Context, reports: Sequence[PartitionReport]) -> None:
    """One materialization for each report, for partitions that Dagster does not report by itself."""
    for report in reports:
        context.log_event(
            dg.AssetMaterialization(
                CURATED, partition=dagster_key(report.partition), metadata=report.metadata, tags=UP_TO_DATE
            )
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
    now = time.time()
    for report in reports:
        target = Target(run_id=context.run.run_id, storage_id=latest[str(report.partition)], timestamp=now)
        for evaluation in evaluations(report.verdicts, target):
            context.log_event(evaluation)  # type: ignore[arg-type]  # handled there, but missing in its type


def discovery_metadata(found: Discovery) -> Metadata:
    """What a listing found, as numbers that Dagster plots over time."""
    return {
        "seen": dg.MetadataValue.int(found.seen),
        "new": dg.MetadataValue.int(found.new),
        "known": dg.MetadataValue.int(found.known),
        "new bytes": dg.MetadataValue.int(found.new_bytes),
        "skipped": dg.MetadataValue.int(found.skipped),
        "frozen": dg.MetadataValue.int(found.frozen),
    }


def _partition_metadata(account: PartitionAccount) -> Metadata:
    told = {
        "rows": dg.MetadataValue.int(account.rows),
        "bytes": dg.MetadataValue.int(account.bytes),
        "files": dg.MetadataValue.int(account.files),
        "raw files": dg.MetadataValue.int(account.raw_files),
    }
    return told if account.files else {"note": dg.MetadataValue.text(NO_DATA), **told}


def _run_metadata(batches: Sequence[BatchResult], contract: Contract | None) -> Metadata:
    """What all partitions of a run share. The counts are the batches', over all their partitions."""
    told: dict[str, dg.MetadataValue] = {
        "batches": dg.MetadataValue.text(", ".join(batch.batch_id for batch in batches) or "none: nothing was pending"),
        "batch rows quarantined": dg.MetadataValue.int(sum(batch.rows_quarantined for batch in batches)),
        "batch rows rescued": dg.MetadataValue.int(sum(batch.rows_rescued for batch in batches)),
    }
    if changed := [change for batch in batches for change in batch.contract_changes]:
        told["contract changes"] = dg.MetadataValue.text("\n".join(changed))
    if contract is not None:
        told["contract version"] = dg.MetadataValue.int(contract.version)
        told["dagster/column_schema"] = dg.MetadataValue.table_schema(_table_schema(contract))
    return told


def _table_schema(contract: Contract) -> dg.TableSchema:
    """Every column of the table; one that comes from a JSON field tells which."""
    paths = {column.name: ".".join(column.path) for column in contract.columns}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=f"JSON field {paths[field.name]}" if field.name in paths else "Added by the lake",
            )
            for field in contract.arrow_schema()
        ]
    )
