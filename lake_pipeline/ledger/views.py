"""The read side: what `lake status`, the sensor and the checks see.

Nothing here locks or writes, and nothing decides: a file that is shown as waiting may be claimed a moment later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row

from lake_pipeline.ledger.agreeing import wanted_widenings
from lake_pipeline.ledger.claims import days_and_modes
from lake_pipeline.ledger.connection import Database
from lake_pipeline.ledger.queries import query
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey, mode_of_key
from lake_pipeline.model.states import ArchiveState, FileState

_ACCOUNTED = (FileState.SUCCEEDED, FileState.QUARANTINED)
"""Files whose rows count: what was superseded gave its rows away."""


@dataclass(frozen=True, kw_only=True)
class LakeStatus:
    """The lake at a glance. `files` and `bytes` (as stored) have every state, zeros included.

    The row counts are those of SUCCEEDED and QUARANTINED files; `contract_version` is 0 where there is none;
    `wanted_widenings` are the JSON paths for which `lake contract widen` is asked.
    """

    files: Mapping[FileState, int]
    bytes: Mapping[FileState, int]
    rows_read: int
    rows_published: int
    rows_quarantined: int
    rows_rescued: int
    partitions: int
    curated_files: int
    contract_version: int
    archived: int
    wanted_widenings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Files that could be claimed now, and their bytes as stored. `lane` is the first in which one waits."""

    files: int
    bytes: int
    lane: Lane = Lane.HISTORY


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How the lake is doing: how long the first file of the queue waits in seconds, 0 where none is due, and the files,
    bytes (as stored) and rows that the batches of the last hour took or published."""

    waiting_seconds: float
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class PartitionBacklog:
    """Files that could be claimed now and promise `partition`, in whichever lane.

    `lane` is the first lane in which one waits.
    """

    partition: PartitionKey
    files: int
    bytes: int
    lane: Lane


@dataclass(frozen=True, kw_only=True)
class CuratedFile:
    """A Parquet file that readers see: `size` in bytes, `contract_version` that it was published under."""

    key: str
    partition: PartitionKey
    rows: int
    size: int
    etag: str
    contract_version: int
    batch_id: str


@dataclass(frozen=True, kw_only=True)
class PartitionAccount:
    """A partition's live curated `files` with their `rows` and `bytes`, and what they were made of.

    `lineage_rows` is what its `raw_files` gave to it according to the lineage.
    """

    files: int
    rows: int
    bytes: int
    raw_files: int
    lineage_rows: int


@dataclass(frozen=True, kw_only=True)
class FileEvent:
    """One step of a file. `detail` is the error, or why it was given back."""

    at: datetime
    from_state: FileState
    to_state: FileState
    batch_id: str | None
    detail: str | None


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The first and the last day that is published, and every mode, sorted."""

    first: date
    last: date
    modes: tuple[str, ...]


class Views(Database):
    """The part of the ledger that only looks."""

    def status(self) -> LakeStatus:
        """The lake at a glance, at the same cost whatever the number of files."""
        with self.transaction() as connection:
            tally = connection.execute(query("tally")).all()
            curated = connection.execute(query("curated_totals")).one()
            contract_version = connection.scalar(query("contract_number"))
            wanted = wanted_widenings(connection)

        def rows(count: str) -> int:
            return sum(getattr(row, count) for row in tally if row.processing_status in _ACCOUNTED)

        return LakeStatus(
            files={state: sum(row.files for row in tally if row.processing_status == state) for state in FileState},
            bytes={state: sum(row.bytes for row in tally if row.processing_status == state) for state in FileState},
            rows_read=rows("rows_read"),
            rows_published=rows("rows_published"),
            rows_quarantined=rows("rows_quarantined"),
            rows_rescued=rows("rows_rescued"),
            partitions=curated.partitions,
            curated_files=curated.files,
            contract_version=contract_version or 0,
            archived=sum(row.files for row in tally if row.archive_state == ArchiveState.ARCHIVED),
            wanted_widenings=tuple(wanted),
        )

    def pending_by_partition(self, *, limit: int) -> list[PartitionBacklog]:
        """The first `limit` partitions that files wait for: weekly lane first, then the oldest day."""
        with self.transaction() as connection:
            rows = connection.execute(query("pending_by_partition"), {"limit": limit})
            return [
                PartitionBacklog(
                    partition=_partition(row.expected_date, row.expected_mode),
                    files=row.files,
                    bytes=row.bytes,
                    lane=Lane(row.lane),
                )
                for row in rows
            ]

    def pending_unplaced(self) -> Backlog:
        """What could be claimed now and promises no partition."""
        with self.transaction() as connection:
            files, size, lane = connection.execute(query("pending_unplaced")).one()
        return Backlog(files=files, bytes=size, lane=Lane.HISTORY if lane is None else Lane(lane))

    def pulse(self) -> Pulse:
        """What waits and what was done lately."""
        with self.transaction() as connection:
            row = connection.execute(query("pulse")).one()
        return Pulse(
            waiting_seconds=max(0.0, float(row.waiting_seconds or 0)), files=row.files, bytes=row.bytes, rows=row.rows
        )

    def curated_files(self, partitions: Collection[PartitionKey] | None = None) -> list[CuratedFile]:
        """The Parquet files that readers see, by partition and key; of some partitions if they are named."""
        with self.transaction() as connection:
            return [curated_file(row) for row in self._live_files(connection, partitions)]

    def _live_files(self, connection: Connection, partitions: Collection[PartitionKey] | None) -> Collection[Row[Any]]:
        if partitions is None:
            return connection.execute(query("live_curated_files")).all()
        return connection.execute(query("live_curated_files_of_partitions"), days_and_modes(partitions)).all()

    def partition_accounts(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, PartitionAccount]:
        """The account of each given partition; all zeros for one that has no files."""
        with self.transaction() as connection:
            rows = connection.execute(query("partition_accounts"), days_and_modes(partitions))
            return {
                _partition(row.day, row.mode): PartitionAccount(
                    files=row.files,
                    rows=row.rows,
                    bytes=row.bytes,
                    raw_files=row.raw_files,
                    lineage_rows=row.lineage_rows,
                )
                for row in rows
            }

    def extent(self) -> Extent | None:
        """The days and modes that are published; None where nothing is."""
        with self.transaction() as connection:
            row = connection.execute(query("curated_extent")).one()
        if row.first is None:
            return None
        return Extent(first=row.first, last=row.last, modes=tuple(sorted(map(mode_of_key, row.modes))))

    def modes(self) -> list[str]:
        """Every mode that is published or that the key of a waiting file promises, sorted."""
        with self.transaction() as connection:
            return sorted(map(mode_of_key, connection.scalars(query("modes"))))

    def events(self, file_id: int) -> list[FileEvent]:
        """The history of a file, oldest first. Its registration is no event."""
        with self.transaction() as connection:
            return [
                FileEvent(
                    at=row.at,
                    from_state=FileState(row.from_state),
                    to_state=FileState(row.to_state),
                    batch_id=row.batch_id,
                    detail=row.detail,
                )
                for row in connection.execute(query("events"), {"file_id": file_id})
            ]


def _partition(day: Any, mode_key: str) -> PartitionKey:
    return PartitionKey(day, mode_of_key(mode_key))


def curated_file(row: Row[Any]) -> CuratedFile:
    """A row of `curated_file` as a value."""
    return CuratedFile(
        key=row.s3_key,
        partition=_partition(row.partition_date, row.partition_mode),
        rows=row.rows,
        size=row.size_bytes,
        etag=row.etag,
        contract_version=row.contract_version,
        batch_id=row.batch_id,
    )
