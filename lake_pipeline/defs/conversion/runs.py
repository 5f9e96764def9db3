"""How Dagster's conversion runs are recognized: job names, the pool, run states and tags."""

from __future__ import annotations

import dagster as dg

INGEST_BATCH_JOB = "ingest_batch_job"
PARTITION_JOB = "json_parsed_parquet_job"

POOL = "lake_conversion"
"""The pool of the runs that convert; its limit is LAKE_MAX_RUNS."""

WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
IN_FLIGHT = (*WAITING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

BACKFILL_TAG = "dagster/backfill"
PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
SENSOR_TAG = "dagster/sensor_name"
PRIORITY_TAG = "dagster/priority"
"""Tags that Dagster sets or reads. It has no public names for them; a test compares these with its own."""
