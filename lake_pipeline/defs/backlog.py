"""How many runs of which kind a backlog needs: plain values in, plain values out, so that a rule is easy to test.

What is pending comes from the ledger, what is in flight from Dagster; both are read by the sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey

PATIENCE = 3
"""Rounds of runs that partitions wait for a run of their own; above that batches take their files along. A run
takes seconds to start, so a history of thousands of partitions would take days one by one."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Files that wait. `partition` is None where their keys promise none that Dagster has; `bytes` as stored."""

    files: int
    bytes: int
    partition: PartitionKey | None = None
    lane: Lane = Lane.HISTORY


@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """The most that one batch takes."""

    files: int
    bytes: int

    def batches(self, work: Sequence[Work]) -> int:
        """How many batches take all of `work`; the tighter of both bounds counts."""
        files, size = sum(each.files for each in work), sum(each.bytes for each in work)
        return max(-(-files // self.files), -(-size // self.bytes))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Runs to request: one for each of `partitions`, and `batches` that take whatever is pending.

    `batch_lane` is the first lane that the batches find something in. `why_nothing` is for people, where there are
    neither.
    """

    partitions: tuple[Work, ...] = ()
    batches: int = 0
    batch_lane: Lane = Lane.HISTORY
    why_nothing: str = ""


def plan_runs(
    placed: Sequence[Work],
    unplaced: Work,
    *,
    size: BatchSize,
    max_runs: int,
    in_flight: int = 0,
    queued_batches: int = 0,
) -> Plan:
    """Share the free ones of `max_runs` runs between partitions (`placed`, first come first) and batches.

    `in_flight` runs are queued or running; `queued_batches` of them have not claimed yet, so what they will take
    is not requested again.
    """
    free = max(0, max_runs - in_flight)
    crowded = len(placed) > PATIENCE * max_runs
    needed = size.batches([unplaced, *placed]) if crowded else size.batches([unplaced])
    # A batch claims weekly files first wherever they are, so one batch always goes ahead of single partitions.
    most = free if crowded else max(1, free - len(placed))
    batches = min(max(0, needed - queued_batches), free, most)
    partitions = tuple(placed[: free - batches])
    if batches or partitions:
        taken = [*([unplaced] if unplaced.files else []), *(placed if crowded else [])]
        return Plan(
            partitions=partitions, batches=batches, batch_lane=min((work.lane for work in taken), default=Lane.HISTORY)
        )
    return Plan(why_nothing=_why_nothing(in_flight, max_runs))


def _why_nothing(in_flight: int, max_runs: int) -> str:
    if in_flight >= max_runs:
        return (
            f"Files are pending, and {in_flight} conversion runs are queued or running; LAKE_MAX_RUNS allows "
            f"{max_runs}. The next tick looks again."
        )
    return "All pending files will be taken by the runs that are queued or running."
