"""Views: what `lake status` and the sensors read.

Nothing here locks or writes. A result may be outdated: a file that is shown as waiting may be claimed a moment later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lake_pipeline.ledger.connection import Component
from lake_pipeline.ledger.contract_agreement import lossy_widenings, requested_widenings
from lake_pipeline.ledger.queries import query
from lake_pipeline.ledger.rows import partition_key
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey, mode_of_key
from lake_pipeline.model.states import ArchiveState, FileState

_ACCOUNTED = (FileState.SUCCEEDED, FileState.QUARANTINED)
"""Files whose rows count. The rows of superseded files are not published any more."""


@dataclass(frozen=True, kw_only=True)
class LakeStatus:
    """The status of the lake. `files` and `bytes` (as stored) have every state, zeros included.

    The row counts are those of SUCCEEDED and QUARANTINED files. `contract_version` is 0 if there is none.
    `wanted_widenings` has the JSON paths that wait for `lake contract widen`; `lossy_widenings` those of them that have
    integers beyond 2^53.
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
    lossy_widenings: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Claimable files and their bytes as stored. `lane` is the first lane that has one."""

    files: int
    bytes: int
    lane: Lane = Lane.HISTORY


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Waiting time and throughput: how long the first due file of the queue has waited (0 if none is due), and the
    files, bytes (as stored) and rows of the batches published in the last hour."""

    waiting_seconds: float
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class PartitionBacklog:
    """Claimable files that are expected in `partition`, in all lanes. `lane` is the first lane that has one."""

    partition: PartitionKey
    files: int
    bytes: int
    lane: Lane


class Views(Component):
    """Status, backlog and throughput."""

    def status(self) -> LakeStatus:
        """The status of the lake. The cost does not depend on the number of files."""
        with self._database.transaction() as connection:
            tally = connection.execute(query("tally")).all()
            curated = connection.execute(query("curated_totals")).one()
            contract_version = connection.scalar(query("contract_number"))
            widenings = requested_widenings(connection)
            lossy = lossy_widenings(connection)

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
            wanted_widenings=tuple(widenings),
            lossy_widenings=lossy,
        )

    def pending_by_partition(self, *, limit: int) -> list[PartitionBacklog]:
        """The first `limit` partitions with waiting files: weekly lane first, then the oldest day."""
        with self._database.transaction() as connection:
            rows = connection.execute(query("pending_by_partition"), {"limit": limit})
            return [
                PartitionBacklog(
                    partition=partition_key(row.expected_date, row.expected_mode),
                    files=row.files,
                    bytes=row.bytes,
                    lane=Lane(row.lane),
                )
                for row in rows
            ]

    def pending_unpartitioned(self) -> Backlog:
        """Claimable files without an expected partition."""
        with self._database.transaction() as connection:
            files, size, lane = connection.execute(query("pending_unpartitioned")).one()
        return Backlog(files=files, bytes=size, lane=Lane.HISTORY if lane is None else Lane(lane))

    def throughput(self) -> Throughput:
        """Waiting time, and what the last hour published."""
        with self._database.transaction() as connection:
            row = connection.execute(query("throughput")).one()
        return Throughput(
            waiting_seconds=max(0.0, float(row.waiting_seconds or 0)), files=row.files, bytes=row.bytes, rows=row.rows
        )

    def modes(self) -> list[str]:
        """Every mode that is published or expected from a waiting file, sorted."""
        with self._database.transaction() as connection:
            return sorted(map(mode_of_key, connection.scalars(query("modes"))))
