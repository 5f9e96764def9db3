"""The metadata of a materialization: counts to plot, columns, contract changes, a few quarantined records.

Plain values of the use cases in, Dagster's metadata out; nothing is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import dagster as dg

from lake_pipeline.contract.paths import show_path
from lake_pipeline.escaping import markdown
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.storage.location import Location, S3Location

if TYPE_CHECKING:
    from lake_pipeline.contract.contract import Contract
    from lake_pipeline.ledger.curated import PartitionAccount
    from lake_pipeline.usecases.batches.result import BatchResult
    from lake_pipeline.usecases.checks.quarantine_sample import QuarantinedSample

Metadata: TypeAlias = Mapping[str, dg.MetadataValue]

NO_DATA = "The lake has no data for this partition, and no pending file promised it."

MAX_CHANGES = 100
"""Lines of a diff in the metadata."""

MAX_RAW_BYTES = 200
"""Bytes of a quarantined record in the metadata."""

NOT_SHOWN = "not shown: the contract excludes fields"


def partition_metadata(account: PartitionAccount) -> Metadata:
    """What a partition contains, as numbers that Dagster plots by partition."""
    counts = {
        "rows": dg.MetadataValue.int(account.rows),
        "bytes": dg.MetadataValue.int(account.bytes),
        "files": dg.MetadataValue.int(account.files),
        "raw files": dg.MetadataValue.int(account.raw_files),
    }
    return counts if account.files else {"note": dg.MetadataValue.text(NO_DATA), **counts}


def run_metadata(batches: Sequence[BatchResult], samples: Sequence[QuarantinedSample], location: Location) -> Metadata:
    """What all partitions of a run share. The counts are those of the batches, over all their partitions."""
    metadata: dict[str, dg.MetadataValue] = {
        "batches": dg.MetadataValue.text(", ".join(batch.batch_id for batch in batches) or "none: nothing was pending"),
        "batch rows quarantined": dg.MetadataValue.int(sum(batch.rows_quarantined for batch in batches)),
        "batch rows rescued": dg.MetadataValue.int(sum(batch.rows_rescued for batch in batches)),
    }
    if changes := [change for batch in batches for change in batch.contract_changes]:
        metadata["contract changes"] = dg.MetadataValue.md(_diff(changes))
    if samples:
        metadata["quarantined records"] = dg.MetadataValue.md(_table(samples, location))
    return metadata


def contract_metadata(contract: Contract) -> Metadata:
    """The columns and the JSON path that each is read from. Large for wide tables."""
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(_table_schema(contract)),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(_lineage(contract)),
    }


def _diff(changes: Sequence[str]) -> str:
    return markdown.block([*changes[:MAX_CHANGES], *(["…"] if len(changes) > MAX_CHANGES else [])], "diff")


def _table(samples: Sequence[QuarantinedSample], location: Location) -> str:
    rows = [
        (
            markdown.code(sample.key),
            str(sample.record),
            str(sample.offset),
            markdown.text(f"{sample.reason}: {sample.detail}"),
            markdown.code(_raw(sample.raw)) if sample.raw is not None else NOT_SHOWN,
            _link(sample.kept_in, location),
        )
        for sample in samples
    ]
    return markdown.table(("file", "record", "byte", "reason", "raw record", "stored in"), rows)


def _raw(raw: bytes) -> str:
    return raw[:MAX_RAW_BYTES].decode("utf-8", "replace") + ("…" if len(raw) > MAX_RAW_BYTES else "")


def _link(key: str, location: Location) -> str:
    """A link to the object in the AWS console; for other stores its path."""
    name = key.rpartition("/")[2]
    if isinstance(location, S3Location) and location.access.endpoint_url is None:
        object_key = quote(location.prefix + key)
        return markdown.link(name, f"https://console.aws.amazon.com/s3/object/{location.bucket}?prefix={object_key}")
    return markdown.code(f"{location}/{key}")


def _table_schema(contract: Contract) -> dg.TableSchema:
    descriptions = {
        column.name: f"JSON field {markdown.code(show_path(column.path))}, since contract version {column.since}"
        for column in contract.columns
    }
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=descriptions.get(field.name, "Added by the lake"),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in contract.arrow_schema()
        ]
    )


def _lineage(contract: Contract) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(asset_key="landing_files", column_name=one_line(show_path(column.path)))]
            for column in contract.columns
        }
    )
