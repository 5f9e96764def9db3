"""Lineage: which raw files published rows came from, and where the bytes of these files are now.

Nothing here locks or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import days_and_modes, raw_file
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey, mode_of_key
from lake_pipeline.model.states import ArchiveState, FileState


@dataclass(frozen=True, kw_only=True)
class LineageLink:
    """`rows` of a raw file in a curated file that readers see."""

    file_id: int
    curated_key: str
    partition: PartitionKey
    rows: int


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A raw file with its state and its published rows; `file.current_key` is the key of its bytes now."""

    file: RawFile
    state: FileState
    published: int


class Lineage(Component):
    """Links between raw files and curated files."""

    def sources(self, partitions: Collection[PartitionKey]) -> list[SourceFile]:
        """The raw files with rows in some partitions."""
        with self._database.transaction() as connection:
            return source_files(connection.execute(query("sources_of_partitions"), days_and_modes(partitions)))

    def links(self, file_ids: Collection[int]) -> list[LineageLink]:
        """The curated files that contain the rows of some raw files."""
        with self._database.transaction() as connection:
            return [
                LineageLink(
                    file_id=row.file_id,
                    curated_key=row.s3_key,
                    partition=PartitionKey(row.partition_date, mode_of_key(row.partition_mode)),
                    rows=row.rows,
                )
                for row in connection.execute(query("lineage_of"), {"file_ids": sorted(file_ids)})
            ]

    def quarantine_files(self, file_ids: Collection[int]) -> list[tuple[str, str]]:
        """Key and ETag of the files that may contain quarantined records of some raw files: those of their batches."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("quarantine_files_of"), {"file_ids": sorted(file_ids)})
            return [(row.s3_key, row.etag) for row in rows]


def source_files(rows: Iterable[Row[Any]]) -> list[SourceFile]:
    """Rows of `file_processing_status` as values."""
    return [
        SourceFile(
            file=raw_file(row, archive_key=row.archive_key if row.archive_state == ArchiveState.ARCHIVED else None),
            state=FileState(row.processing_status),
            published=row.rows_published or 0,
        )
        for row in rows
    ]
