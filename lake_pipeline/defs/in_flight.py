"""The conversion runs that Dagster has queued or running, and which partitions they will take care of.

Runs that people launched count like the sensor's own: work that is under way must not be requested twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
)

from lake_pipeline.defs.partitions import lake_key
from lake_pipeline.model.files import Lane
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

Range: TypeAlias = tuple[PartitionKey, PartitionKey]
"""The first and the last partition that a run was asked for."""

INGEST_BATCH_JOB = "ingest_batch_job"
PARTITION_JOB = "json_parsed_parquet_job"

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
IN_FLIGHT = (*WAITING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

POOL = "lake_conversion"
"""The pool of the runs that convert; its limit is LAKE_MAX_RUNS."""

LOOKED_AT = 1000
"""Runs read at most: a backfill of thousands is more than any limit anyway."""


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """`runs` of conversion under way; `queued_batches` of them are batches that have claimed nothing yet.

    `backfills` are the runs of backfills, which are not counted among `runs`: a backfill that takes days must not keep
    the weekly drop from being requested. How many of all convert at a time is bounded by the pool. `ranges` is what
    is asked for, `queued_backfills` what runs of backfills were asked for that have not begun.
    """

    runs: int
    queued_batches: int
    backfills: int
    ranges: tuple[Range, ...]
    queued_backfills: tuple[Range, ...] = ()

    def covers(self, partition: PartitionKey, lane: Lane) -> bool:
        """Whether a run under way will take what waits for `partition` in `lane`. Weekly drops wait for no backfill."""
        ranges = self.ranges if lane is Lane.WEEKLY else (*self.ranges, *self.queued_backfills)
        return any(
            first.day <= partition.day <= last.day
            # Modes have no order that we know, so a range over several of them is taken as all of them.
            and (first.mode != last.mode or partition.mode == first.mode)
            for first, last in ranges
        )


def in_flight(instance: dg.DagsterInstance) -> InFlight:
    """What is under way now on `instance`, over all code locations that have these jobs."""
    runs = [run for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_FLIGHT]), limit=LOOKED_AT) if _converts(run)]
    backfills = sum(BACKFILL_ID_TAG in run.tags for run in runs)
    return InFlight(
        runs=len(runs) - backfills,
        queued_batches=sum(run.job_name == INGEST_BATCH_JOB and run.status in WAITING for run in runs),
        backfills=backfills,
        ranges=tuple(found for run in runs if not _is_queued_backfill(run) and (found := _range(run))),
        queued_backfills=tuple(found for run in runs if _is_queued_backfill(run) and (found := _range(run))),
    )


def _converts(run: dg.DagsterRun) -> bool:
    return run.job_name in (INGEST_BATCH_JOB, PARTITION_JOB) or dg.AssetKey(CURATED_NAME) in (run.asset_selection or ())


def _is_queued_backfill(run: dg.DagsterRun) -> bool:
    return BACKFILL_ID_TAG in run.tags and run.status in WAITING


def _range(run: dg.DagsterRun) -> Range | None:
    one = run.tags.get(PARTITION_NAME_TAG)
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, one)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG, one)
    return (lake_key(first), lake_key(last)) if first and last else None
