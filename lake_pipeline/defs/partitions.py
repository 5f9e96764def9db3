"""All partition definitions: `date` (daily) × `mode` (dynamic: modes are added as they are seen).

Also converts between the lake's `PartitionKey` and Dagster's keys. Conversion computes a record's partition; the ledger
knows which partitions have pending files.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from lake_pipeline.model.partitions import PartitionKey

MODES = dg.DynamicPartitionsDefinition(name="lake_modes")
"""The modes seen so far. The Dagster instance stores them under this name."""

DATE_DIMENSION = "date"
MODE_DIMENSION = "mode"

DAYS_AHEAD = 1
"""Tomorrow in UTC is a valid key: east of Greenwich it has begun, and its records arrive today."""


def lake_partitions(first_date: date, last_date: date | None = None) -> dg.MultiPartitionsDefinition:
    """`date` from `first_date` to `last_date` (at most tomorrow) × `mode`. A key looks like `2026-02-03|live`."""
    days = dg.DailyPartitionsDefinition(
        start_date=first_date.isoformat(),
        # Dagster's end is exclusive.
        end_date=(last_date + timedelta(days=1)).isoformat() if last_date else None,
        end_offset=1 + DAYS_AHEAD,
    )
    return dg.MultiPartitionsDefinition({DATE_DIMENSION: days, MODE_DIMENSION: MODES})


def dagster_key(partition: PartitionKey) -> dg.MultiPartitionKey:
    """Dagster's key of `partition`; as text it equals `str(partition)`."""
    return dg.MultiPartitionKey({DATE_DIMENSION: partition.day.isoformat(), MODE_DIMENSION: partition.mode_key})


def lake_key(key: str) -> PartitionKey:
    """The inverse of `dagster_key`. Raises ValueError if `key` is not a date and a mode."""
    return PartitionKey.parse(str(key))


def has_day(first_date: date, last_date: date | None, day: date) -> bool:
    """Whether `day` is a key of the `date` dimension. A request for any other day fails the sensor's whole tick."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=DAYS_AHEAD)
    return first_date <= day <= min(last_date or tomorrow, tomorrow)


def unknown_modes(instance: dg.DagsterInstance, partitions: Iterable[PartitionKey]) -> list[str]:
    """The mode keys of `partitions` that Dagster has not seen yet, sorted."""
    seen_modes = MODES.get_partition_keys(dynamic_partitions_store=instance)
    return sorted({partition.mode_key for partition in partitions}.difference(seen_modes))


def add_modes(instance: dg.DagsterInstance, partitions: Iterable[PartitionKey]) -> None:
    """Add the modes of `partitions` to Dagster. Idempotent."""
    request = MODES.build_add_request(unknown_modes(instance, partitions))
    if request.partition_keys:
        instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)


def named_partitions(
    partitions: dg.PartitionsDefinition[str], instance: dg.DagsterInstance, keys: Iterable[str]
) -> list[PartitionKey]:
    """The partitions of `keys`, sorted. Raises `dg.Failure`, which names one, if Dagster does not have all of them."""
    selected = set(keys)
    unknown = sorted(selected.difference(partitions.get_partition_keys(dynamic_partitions_store=instance)))
    if unknown:
        raise dg.Failure(
            f"{len(unknown)} of {len(selected)} partitions don't exist, for example {unknown[0]!r}. A key looks like "
            "2026-02-03|live; days go from LAKE_FIRST_DATE to LAKE_LAST_DATE, and modes are added as they are seen.",
            allow_retries=False,
        )
    return sorted(map(lake_key, selected))
