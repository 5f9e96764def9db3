"""Archive queue: published originals that still have to move to the archive, and the record that they did.

The objects themselves are moved by the caller.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query


@dataclass(frozen=True, kw_only=True)
class ArchiveTask:
    """Move the version `etag` of `key` to `archive_key`."""

    file_id: int
    key: str
    etag: str
    archive_key: str


class Archive(Component):
    """The queue of originals that have to be archived."""

    def pending(self, *, limit: int, batch_id: str | None = None) -> list[ArchiveTask]:
        """At most `limit` published originals that are not archived yet, of one batch if given."""
        with self._database.transaction() as connection:
            if batch_id is None:
                rows = connection.execute(query("awaiting_archive"), {"limit": limit})
            else:
                rows = connection.execute(query("awaiting_archive_of_batch"), {"limit": limit, "batch_id": batch_id})
            return [
                ArchiveTask(file_id=row.file_id, key=row.s3_key, etag=row.etag, archive_key=row.archive_key)
                for row in rows
            ]

    def change_key(self, file_id: int, archive_key: str) -> None:
        """Give an original another key in the archive, because its own is taken."""
        with self._database.transaction() as connection:
            connection.execute(query("change_archive_key"), {"file_id": file_id, "archive_key": archive_key})

    def mark_returned(self, file_id: int) -> None:
        """Record that an archived original is back in the landing zone, where it is another version now. Idempotent."""
        with self._database.transaction() as connection:
            connection.execute(query("mark_returned"), {"file_id": file_id})

    def mark_archived(self, file_ids: Collection[int]) -> None:
        """Record that these originals were moved to the archive. Idempotent."""
        if file_ids:
            with self._database.transaction() as connection:
                connection.execute(query("mark_archived"), {"file_ids": sorted(file_ids)})
