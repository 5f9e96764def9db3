"""Skipped entries: what the landing zones contain that can't be read, until a listing no longer meets it.

Which entries are skipped is up to discovery.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.skipped import SkippedEntry, SkipReason

MAX_ENTRIES = 1000
"""Entries of one listing that are stored: a folder of a million pipes must not fill the ledger."""


@dataclass(frozen=True, kw_only=True)
class RecordedSkip:
    """An entry, and when it was met first and last."""

    skipped: SkippedEntry
    first_seen: datetime
    last_seen: datetime


class Skipped(Component):
    """The entries that can't be read."""

    def record(self, entries: Collection[SkippedEntry], *, is_complete: bool) -> None:
        """Store up to `MAX_ENTRIES` entries. After a complete listing, the others are deleted."""
        by_name = {entry.entry: entry for entry in entries}
        kept = sorted(by_name.values(), key=lambda entry: entry.entry)[:MAX_ENTRIES]
        values = {
            "entries": [entry.entry for entry in kept],
            "reasons": [entry.reason.value for entry in kept],
            "details": [entry.detail for entry in kept],
        }
        with self._database.transaction() as connection:
            if kept:
                connection.execute(query("record_skipped"), values)
            if is_complete:
                connection.execute(query("clear_skipped"))

    def entries(self, *, limit: int = MAX_ENTRIES) -> tuple[list[RecordedSkip], int]:
        """Up to `limit` entries, first the one that was met first, and the number of all."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("skipped_entries"), {"limit": limit}).all()
        recorded = [
            RecordedSkip(
                skipped=SkippedEntry(entry=row.entry, reason=SkipReason(row.reason), detail=row.detail),
                first_seen=row.first_seen_at,
                last_seen=row.last_seen_at,
            )
            for row in rows
        ]
        return recorded, rows[0].entries if rows else 0
