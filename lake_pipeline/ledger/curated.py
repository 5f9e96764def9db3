"""The curated table: the Parquet files that readers see, by partition, contract version and raw file.

Nothing here locks or writes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import days_and_modes, partition_key
from lake_pipeline.model.partitions import PartitionKey, mode_of_key


@dataclass(frozen=True, kw_only=True)
class CuratedFile:
    """A Parquet file that readers see. `size` is in bytes; it was published under `contract_version`."""

    key: str
    partition: PartitionKey
    rows: int
    size: int
    etag: str
    contract_version: int
    batch_id: str


@dataclass(frozen=True, kw_only=True)
class PartitionAccount:
    """The curated `files` of a partition that readers see, with their `rows` and `bytes`, and their sources.

    `lineage_rows` are the rows that its `raw_files` have in it according to lineage.
    """

    files: int
    rows: int
    bytes: int
    raw_files: int
    lineage_rows: int


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The first and the last published day, and every published mode, sorted."""

    first: date
    last: date
    modes: tuple[str, ...]


class Curated(Component):
    """Files and partitions of the curated table."""

    def files(self, partitions: Collection[PartitionKey] | None = None) -> list[CuratedFile]:
        """The Parquet files that readers see, by partition and key; of some partitions if given."""
        with self._database.transaction() as connection:
            return [curated_file(row) for row in self._live_files(connection, partitions)]

    def _live_files(self, connection: Connection, partitions: Collection[PartitionKey] | None) -> Collection[Row[Any]]:
        if partitions is None:
            return connection.execute(query("live_curated_files")).all()
        return connection.execute(query("live_curated_files_of_partitions"), days_and_modes(partitions)).all()

    def files_of_versions(self, *, since: int, until: int) -> list[CuratedFile]:
        """The Parquet files that readers see and that were published under those contract versions (inclusive)."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("live_curated_files_of_versions"), {"since": since, "until": until})
            return [curated_file(row) for row in rows]

    def is_settled(self, key: str, etag: str) -> bool:
        """Whether this version of a data file or quarantine file is published, and no batch is replacing it."""
        with self._database.transaction() as connection:
            return bool(connection.scalar(query("is_settled"), {"key": key, "etag": etag}))

    def files_with(self, file_ids: Collection[int]) -> list[CuratedFile]:
        """The Parquet files that readers see and that contain rows of some raw files."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("curated_files_with"), {"file_ids": sorted(file_ids)})
            return [curated_file(row) for row in rows]

    def bytes_by_version(self, *, least: int) -> dict[int, int]:
        """Bytes that readers see, by contract version. A smaller file counts as `least` bytes."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("live_bytes_by_version"), {"least": least})
            return {row.contract_version: row.bytes for row in rows}

    def accounts(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, PartitionAccount]:
        """The account of each given partition; zeros for a partition without files."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("partition_accounts"), days_and_modes(partitions))
            return {
                partition_key(row.day, row.mode): PartitionAccount(
                    files=row.files,
                    rows=row.rows,
                    bytes=row.bytes,
                    raw_files=row.raw_files,
                    lineage_rows=row.lineage_rows,
                )
                for row in rows
            }

    def extent(self) -> Extent | None:
        """The published days and modes; None if nothing is published."""
        with self._database.transaction() as connection:
            row = connection.execute(query("curated_extent")).one()
        if row.first is None:
            return None
        return Extent(first=row.first, last=row.last, modes=tuple(sorted(map(mode_of_key, row.modes))))

    def partitions_of_day(self, day: str) -> list[PartitionKey]:
        """The published partitions of a day (YYYY-MM-DD). Raises ValueError for other text."""
        with self._database.transaction() as connection:
            modes = connection.scalars(query("modes_of_day"), {"day": date.fromisoformat(day)})
            return [PartitionKey(date.fromisoformat(day), mode_of_key(mode)) for mode in modes]


def curated_file(row: Row[Any]) -> CuratedFile:
    """A row of `curated_file` as a value."""
    return CuratedFile(
        key=row.s3_key,
        partition=partition_key(row.partition_date, row.partition_mode),
        rows=row.rows,
        size=row.size_bytes,
        etag=row.etag,
        contract_version=row.contract_version,
        batch_id=row.batch_id,
    )
