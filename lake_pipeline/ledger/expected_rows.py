"""Expected rows: what the keys of raw files announce for a partition, and what has arrived.

Read-only, like `views`. `usecases.checks.expectations` decides what is too little or too late.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import days_and_modes
from lake_pipeline.model.partitions import PartitionKey, mode_of_key


@dataclass(frozen=True, kw_only=True)
class PartitionExpectation:
    """What is expected in a partition, and what it has.

    Of the files that are expected in it, `pending` wait for their first attempt, `failed` for a retry, and
    `quarantined` are quarantined. `waiting_for` is the time since the oldest waiting file was discovered, None if none
    waits. The rows are those of its source files and of the quarantined ones. `newest_took` is the time from discovery
    to publication of its newest source file. `rows_of_weeks_before` has the published rows of the same mode 7, 14, 21
    and 28 days earlier; days without rows are left out.
    """

    pending: int
    failed: int
    quarantined: int
    waiting_for: timedelta | None
    rows_read: int
    rows_quarantined: int
    newest: datetime | None
    newest_took: timedelta | None
    rows_of_weeks_before: tuple[int, ...] = ()


class ExpectedRows(Component):
    """Expected and received rows of partitions."""

    def of_partitions(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, PartitionExpectation]:
        """The expectation of each given partition. Reads its waiting, quarantined and published raw files."""
        with self._database.transaction() as connection:
            return {
                PartitionKey(row.day, mode_of_key(row.mode)): PartitionExpectation(
                    pending=row.pending,
                    failed=row.failed,
                    quarantined=row.quarantined,
                    waiting_for=row.waiting_for,
                    rows_read=row.rows_read,
                    rows_quarantined=row.rows_quarantined,
                    newest=row.newest,
                    newest_took=row.newest_took,
                    rows_of_weeks_before=tuple(row.rows_of_weeks_before),
                )
                for row in connection.execute(query("expected_rows"), days_and_modes(partitions))
            }

    def partitions_to_check(self, *, since: date, limit: int) -> list[PartitionKey]:
        """The `limit` newest partitions that were published since a day, or that files wait for; newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("partitions_to_check"), {"since": since, "limit": limit})
            return [PartitionKey(row.day, mode_of_key(row.mode)) for row in rows]
