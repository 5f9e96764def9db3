"""How many runs of which kind a backlog needs. Plain values in, plain values out, so that each rule is easy to test.

The sensor reads what is pending from the ledger and what is in flight from Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey

MAX_ROUNDS = 3
"""Rounds of runs that partitions wait for a run of their own; with more partitions, batches take their files too. A run
takes seconds to start, so a history of thousands of partitions would take days one by one."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Pending files. `partition` is None if their keys promise none that Dagster has; `bytes` is the stored size."""

    files: int
    bytes: int
    partition: PartitionKey | None = None
    lane: Lane = Lane.HISTORY


@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """The limits of one batch."""

    files: int
    bytes: int

    def batches(self, work: Sequence[Work]) -> int:
        """How many batches take all of `work`, by the tighter limit."""
        files, size = sum(item.files for item in work), sum(item.bytes for item in work)
        return max(-(-files // self.files), -(-size // self.bytes))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs to request: one for each of `partitions`, and `batches` that take any pending files.

    `batch_lane` is the first lane in which the batches will find files. `skip_reason` is shown to people if there is
    nothing to request.
    """

    partitions: tuple[Work, ...] = ()
    batches: int = 0
    batch_lane: Lane = Lane.HISTORY
    skip_reason: str = ""


def plan_runs(
    by_partition: Sequence[Work],
    without_partition: Work,
    *,
    size: BatchSize,
    max_runs: int,
    in_flight: int = 0,
    queued_batches: int = 0,
) -> Plan:
    """Divide the free ones of `max_runs` runs between partitions (in the given order) and batches.

    `in_flight` runs are queued or running; `queued_batches` of them have not claimed yet, so the files they will take
    are not requested again.
    """
    free = max(0, max_runs - in_flight)
    crowded = len(by_partition) > MAX_ROUNDS * max_runs
    needed = size.batches([without_partition, *by_partition]) if crowded else size.batches([without_partition])
    # A batch claims weekly files of any partition first, so one batch always precedes single partitions.
    limit = free if crowded else max(1, free - len(by_partition))
    batches = min(max(0, needed - queued_batches), free, limit)
    partitions = tuple(by_partition[: free - batches])
    if batches or partitions:
        batch_work = [*([without_partition] if without_partition.files else []), *(by_partition if crowded else [])]
        return Plan(
            partitions=partitions,
            batches=batches,
            batch_lane=min((work.lane for work in batch_work), default=Lane.HISTORY),
        )
    return Plan(skip_reason=_skip_reason(in_flight, max_runs))


def _skip_reason(in_flight: int, max_runs: int) -> str:
    if in_flight >= max_runs:
        return (
            f"Files are pending, and {in_flight} conversion runs are queued or running; LAKE_MAX_RUNS allows "
            f"{max_runs}. The next tick checks again."
        )
    return "The queued or running runs will take all pending files."
