"""Promises: what the keys of raw files promise to a partition, and how much of it has come.

Only looks, like `views`; what is too little or too late is for `ingest.expectations` to say.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lake_pipeline.ledger.claims import days_and_modes
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.partitions import PartitionKey, mode_of_key


@dataclass(frozen=True, kw_only=True)
class PartitionPromise:
    """What a partition may expect, and got.

    Of the files whose keys promise it `pending` wait for their first attempt, `failed` for another one and `refused`
    are quarantined; `waiting_for` is how long the oldest of those that wait is known, None where none waits. The rows
    are those of the raw files that gave it rows, and of the refused ones. `newest_took` is how long the newest file
    that gave it rows had waited when it was published. `rows_of_weeks_before` are those that are published for the same
    mode 7, 14, 21 and 28 days earlier; a day without any is not among them.
    """

    pending: int
    failed: int
    refused: int
    waiting_for: timedelta | None
    rows_read: int
    rows_quarantined: int
    newest: datetime | None
    newest_took: timedelta | None
    rows_of_weeks_before: tuple[int, ...] = ()


class Promises(Database):
    """The part of the ledger that knows what was promised."""

    def partition_promises(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, PartitionPromise]:
        """The promise of each given partition; reads the rows of its waiting, refused and published raw files."""
        with self.transaction() as connection:
            return {
                PartitionKey(row.day, mode_of_key(row.mode)): PartitionPromise(
                    pending=row.pending,
                    failed=row.failed,
                    refused=row.refused,
                    waiting_for=row.waiting_for,
                    rows_read=row.rows_read,
                    rows_quarantined=row.rows_quarantined,
                    newest=row.newest,
                    newest_took=row.newest_took,
                    rows_of_weeks_before=tuple(row.rows_of_weeks_before),
                )
                for row in connection.execute(query("partition_promises"), days_and_modes(partitions))
            }

    def partitions_to_look_at(self, *, since: date, limit: int) -> list[PartitionKey]:
        """The newest `limit` partitions that are published since a day, or that files wait for; the newest first."""
        with self.transaction() as connection:
            rows = connection.execute(query("partitions_to_look_at"), {"since": since, "limit": limit})
            return [PartitionKey(row.day, mode_of_key(row.mode)) for row in rows]
