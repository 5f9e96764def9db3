"""The conversion runs that Dagster has queued or running, and the partitions they will convert.

Runs that people launched count like the sensor's own: work in progress must not be requested twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from lake_pipeline.defs.conversion.runs import (
    BACKFILL_TAG,
    IN_FLIGHT,
    INGEST_BATCH_JOB,
    PARTITION_JOB,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    WAITING,
)
from lake_pipeline.defs.partitions import lake_key
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

Range: TypeAlias = tuple[PartitionKey, PartitionKey]
"""The first and the last partition that a run was requested for."""

MAX_RUNS_READ = 1000
"""A backfill of thousands of runs exceeds any limit anyway."""


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """Conversion runs that are queued or running.

    `runs` counts those outside of backfills; `queued_batches` of them are batches that have claimed nothing yet.
    `backfills` counts the runs of backfills separately: a backfill that takes days must not block the requests for the
    weekly drop. The pool limits how many runs convert at the same time. `ranges` are the partitions of all runs except
    queued runs of backfills, whose partitions are `queued_backfills`.
    """

    runs: int
    queued_batches: int
    backfills: int
    ranges: tuple[Range, ...]
    queued_backfills: tuple[Range, ...] = ()

    def covers(self, partition: PartitionKey, lane: Lane) -> bool:
        """Whether a run will take the pending files of `partition` in `lane`. Weekly drops don't wait for backfills."""
        ranges = self.ranges if lane is Lane.WEEKLY else (*self.ranges, *self.queued_backfills)
        return any(
            first.day <= partition.day <= last.day
            # Modes are not ordered, so a range over several modes counts as all of them.
            and (first.mode != last.mode or partition.mode == first.mode)
            for first, last in ranges
        )


def in_flight(instance: dg.DagsterInstance) -> InFlight:
    """The conversion runs of `instance` now, over all code locations that have these jobs."""
    runs = [
        run for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_FLIGHT]), limit=MAX_RUNS_READ) if _converts(run)
    ]
    backfills = sum(BACKFILL_TAG in run.tags for run in runs)
    return InFlight(
        runs=len(runs) - backfills,
        queued_batches=sum(run.job_name == INGEST_BATCH_JOB and run.status in WAITING for run in runs),
        backfills=backfills,
        ranges=tuple(_ranges(run for run in runs if not _is_queued_backfill(run))),
        queued_backfills=tuple(_ranges(filter(_is_queued_backfill, runs))),
    )


def _converts(run: dg.DagsterRun) -> bool:
    return run.job_name in (INGEST_BATCH_JOB, PARTITION_JOB) or dg.AssetKey(CURATED_NAME) in (run.asset_selection or ())


def _is_queued_backfill(run: dg.DagsterRun) -> bool:
    return BACKFILL_TAG in run.tags and run.status in WAITING


def _ranges(runs: Iterable[dg.DagsterRun]) -> Iterator[Range]:
    for run in runs:
        partition = run.tags.get(PARTITION_TAG)
        first = run.tags.get(RANGE_START_TAG, partition)
        last = run.tags.get(RANGE_END_TAG, partition)
        if first and last:
            yield lake_key(first), lake_key(last)
