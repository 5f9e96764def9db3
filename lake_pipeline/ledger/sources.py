"""Sources: where published rows came from, and where the bytes they were made of stand now.

Nothing here locks or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row

from lake_pipeline.ledger.claims import days_and_modes, raw_file
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.views import CuratedFile, curated_file
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey, mode_of_key
from lake_pipeline.model.states import ArchiveState, FileState


@dataclass(frozen=True, kw_only=True)
class Source:
    """A raw file with its state and its published rows; `file.place` is where its bytes should stand."""

    file: RawFile
    state: FileState
    published: int


@dataclass(frozen=True, kw_only=True)
class Link:
    """`rows` of a raw file that stand in a curated file which readers see."""

    file_id: int
    curated_key: str
    partition: PartitionKey
    rows: int


class Sources(Database):
    """The part of the ledger that knows what came from what."""

    def versions_of(self, file: str) -> list[Source]:
        """Every version of the key `file`, oldest first; or the one file with that id, where it is a number."""
        file_id = int(file) if file.isdecimal() else None
        with self.transaction() as connection:
            return _sources(connection.execute(query("versions_of"), {"key": file, "file_id": file_id}))

    def partitions_of_day(self, day: str) -> list[PartitionKey]:
        """The partitions of a day (YYYY-MM-DD) that readers see rows in. Raises ValueError for anything else."""
        with self.transaction() as connection:
            modes = connection.scalars(query("modes_of_day"), {"day": date.fromisoformat(day)})
            return [PartitionKey(date.fromisoformat(day), mode_of_key(mode)) for mode in modes]

    def sources_of(self, partitions: Collection[PartitionKey]) -> list[Source]:
        """The raw files that gave rows to some partitions."""
        with self.transaction() as connection:
            return _sources(connection.execute(query("sources_of_partitions"), days_and_modes(partitions)))

    def lineage_of(self, file_ids: Collection[int]) -> list[Link]:
        """Where the published rows of some raw files stand."""
        with self.transaction() as connection:
            return [
                Link(
                    file_id=row.file_id,
                    curated_key=row.s3_key,
                    partition=PartitionKey(row.partition_date, mode_of_key(row.partition_mode)),
                    rows=row.rows,
                )
                for row in connection.execute(query("lineage_of"), {"file_ids": sorted(file_ids)})
            ]

    def quarantine_files_of(self, file_ids: Collection[int]) -> list[tuple[str, str]]:
        """Key and ETag of the files that may hold quarantined records of some raw files: those of their batches."""
        with self.transaction() as connection:
            rows = connection.execute(query("quarantine_files_of"), {"file_ids": sorted(file_ids)})
            return [(row.s3_key, row.etag) for row in rows]

    def curated_files_with(self, file_ids: Collection[int]) -> list[CuratedFile]:
        """The Parquet files that readers see and that hold rows of some raw files."""
        with self.transaction() as connection:
            rows = connection.execute(query("curated_files_with"), {"file_ids": sorted(file_ids)})
            return [curated_file(row) for row in rows]


def _sources(rows: Iterable[Row[Any]]) -> list[Source]:
    return [
        Source(
            file=raw_file(row, archived_at=row.archive_key if row.archive_state == ArchiveState.ARCHIVED else None),
            state=FileState(row.processing_status),
            published=row.rows_published or 0,
        )
        for row in rows
    ]
