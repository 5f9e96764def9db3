"""The conversion runs that Dagster has queued or running, and which partitions they will take care of.

Runs that people launched count like the sensor's own: work that is under way must not be requested twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from lake_pipeline.defs.partitions import lake_key
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

INGEST_BATCH_JOB = "ingest_batch_job"
PARTITION_JOB = "json_parsed_parquet_job"

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
IN_FLIGHT = (*WAITING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

LOOKED_AT = 1000
"""Runs read at most: a backfill of thousands is more than any limit anyway."""


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """`runs` of conversion under way; `queued_batches` of them are batches that have claimed nothing yet."""

    runs: int
    queued_batches: int
    ranges: tuple[tuple[PartitionKey, PartitionKey], ...]

    def covers(self, partition: PartitionKey) -> bool:
        """Whether a run under way was asked for `partition`."""
        return any(
            first.day <= partition.day <= last.day
            # Modes have no order that we know, so a range over several of them is taken as all of them.
            and (first.mode != last.mode or partition.mode == first.mode)
            for first, last in self.ranges
        )


def in_flight(instance: dg.DagsterInstance) -> InFlight:
    """What is under way now on `instance`, over all code locations that have these jobs."""
    runs = [run for run in instance.get_runs(dg.RunsFilter(statuses=[*IN_FLIGHT]), limit=LOOKED_AT) if _converts(run)]
    return InFlight(
        runs=len(runs),
        queued_batches=sum(run.job_name == INGEST_BATCH_JOB and run.status in WAITING for run in runs),
        ranges=tuple(found for run in runs if (found := _range(run))),
    )


def _converts(run: dg.DagsterRun) -> bool:
    return run.job_name in (INGEST_BATCH_JOB, PARTITION_JOB) or dg.AssetKey(CURATED_NAME) in (run.asset_selection or ())


def _range(run: dg.DagsterRun) -> tuple[PartitionKey, PartitionKey] | None:
    one = run.tags.get(PARTITION_NAME_TAG)
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG, one)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG, one)
    return (lake_key(first), lake_key(last)) if first and last else None
