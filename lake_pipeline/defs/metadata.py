"""What a materialization tells, as people read and plot it: numbers, the columns, a diff, a few quarantined records.

Plain values of the use cases in, Dagster's metadata out; nothing is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import dagster as dg

from lake_pipeline.contract.paths import show_path
from lake_pipeline.storage.places import Place, S3Place

if TYPE_CHECKING:
    from lake_pipeline.contract.contract import Contract
    from lake_pipeline.ingest.discover import Discovery
    from lake_pipeline.ingest.quarantined import QuarantinedSample
    from lake_pipeline.ingest.result import BatchResult
    from lake_pipeline.ledger.views import PartitionAccount

Metadata: TypeAlias = Mapping[str, dg.MetadataValue]

NO_DATA = "The lake has no data for this partition, and no file that promises it was waiting."

MOST_CHANGES = 100
"""Lines of a diff that are shown."""

MOST_RAW = 200
"""Bytes of a quarantined record that are shown."""


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


def partition_metadata(account: PartitionAccount) -> Metadata:
    """What a partition holds, as numbers that Dagster plots by partition."""
    told = {
        "rows": dg.MetadataValue.int(account.rows),
        "bytes": dg.MetadataValue.int(account.bytes),
        "files": dg.MetadataValue.int(account.files),
        "raw files": dg.MetadataValue.int(account.raw_files),
    }
    return told if account.files else {"note": dg.MetadataValue.text(NO_DATA), **told}


def run_metadata(batches: Sequence[BatchResult], samples: Sequence[QuarantinedSample], place: Place) -> Metadata:
    """What all partitions of a run share. The counts are the batches', over all their partitions."""
    told: dict[str, dg.MetadataValue] = {
        "batches": dg.MetadataValue.text(", ".join(batch.batch_id for batch in batches) or "none: nothing was pending"),
        "batch rows quarantined": dg.MetadataValue.int(sum(batch.rows_quarantined for batch in batches)),
        "batch rows rescued": dg.MetadataValue.int(sum(batch.rows_rescued for batch in batches)),
    }
    if changed := [change for batch in batches for change in batch.contract_changes]:
        told["contract changes"] = dg.MetadataValue.md(_diff(changed))
    if samples:
        told["quarantined records"] = dg.MetadataValue.md(_table(samples, place))
    return told


def contract_metadata(contract: Contract) -> Metadata:
    """The columns, with what each comes from. Large where there are many."""
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(_table_schema(contract)),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(_lineage(contract)),
    }


def _diff(changes: Sequence[str]) -> str:
    lines = [*changes[:MOST_CHANGES], *(["…"] if len(changes) > MOST_CHANGES else [])]
    return "\n".join(["```diff", *lines, "```"])


def _table(samples: Sequence[QuarantinedSample], place: Place) -> str:
    rows = [
        f"| {_code(each.key)} | {each.record} | {each.offset} | {each.reason}: {_cell(each.detail)} | "
        f"{_code(_raw(each.raw))} | {_link(each.kept_in, place)} |"
        for each in samples
    ]
    return "\n".join(
        ["| file | record | byte | why | record as it was | kept in |", "|---|---|---|---|---|---|", *rows]
    )


def _raw(raw: bytes) -> str:
    return raw[:MOST_RAW].decode("utf-8", "replace") + ("…" if len(raw) > MOST_RAW else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    # What a sender wrote is shown as it is and never read as Markdown.
    return f"`{_cell(text).replace('`', 'ˋ')}`" if text.strip() else ""


def _link(key: str, place: Place) -> str:
    """The object in the console of AWS; elsewhere its path."""
    name = key.rpartition("/")[2]
    if isinstance(place, S3Place) and place.access.endpoint_url is None:
        return f"[{name}](https://console.aws.amazon.com/s3/object/{place.bucket}?prefix={quote(place.prefix + key)})"
    return _code(f"{place}/{key}")


def _table_schema(contract: Contract) -> dg.TableSchema:
    told = {
        column.name: f"JSON field {show_path(column.path)}, since contract version {column.since}"
        for column in contract.columns
    }
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=told.get(field.name, "Added by the lake"),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in contract.arrow_schema()
        ]
    )


def _lineage(contract: Contract) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(asset_key="landing_files", column_name=show_path(column.path))]
            for column in contract.columns
        }
    )
