"""All jobs: the runs that sensors, schedules and people launch by name.

All steps run in the process of the run: a process for each step costs seconds (four steps took 22 s instead of 0.4 s).
Dagster retries nothing: the ledger owns retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from lake_pipeline.defs.consumers.catalog_asset import CATALOG_NAME, has_catalog
from lake_pipeline.defs.conversion.runs import INGEST_BATCH_JOB, PARTITION_JOB
from lake_pipeline.defs.discovery.landing_files import LANDING_NAME
from lake_pipeline.defs.operations.expectations import expectations_job
from lake_pipeline.defs.operations.fsck_asset import FSCK_NAME
from lake_pipeline.defs.operations.upkeep import lake_upkeep_job
from lake_pipeline.settings import Settings
from lake_pipeline.storage.zones import CURATED_NAME

BATCH_TIMEOUT = {dg.MAX_RUNTIME_SECONDS_TAG: "21600"}
"""Six hours, far more than a batch takes: a run whose machine died must not hold its pool slot for a day."""

landing_files_job = dg.define_asset_job(
    "landing_files_job",
    selection=[LANDING_NAME],
    executor_def=dg.in_process_executor,
    # It takes seconds, and queued conversions may take hours.
    tags={"dagster/priority": "10"},
    description="Registers every new file of the landing zones in the ledger.",
)

json_parsed_parquet_job = dg.define_asset_job(
    PARTITION_JOB,
    selection=[CURATED_NAME],
    executor_def=dg.in_process_executor,
    tags=BATCH_TIMEOUT,
    description="Converts what is pending for the chosen partitions. Requested by pending_files_sensor.",
)

lake_fsck_job = dg.define_asset_job(
    "lake_fsck_job",
    selection=[FSCK_NAME],
    executor_def=dg.in_process_executor,
    description="Compares the store with the ledger. The check of lake_fsck has the result.",
)

curated_catalog_job = dg.define_asset_job(
    "curated_catalog_job",
    selection=[CATALOG_NAME],
    executor_def=dg.in_process_executor,
    description="Brings the table of the Glue Data Catalog up to date. Requested by catalog_sensor.",
)


def ingest_batch_job(run_conversion: dg.OpDefinition) -> dg.JobDefinition:
    """Converts one batch of pending files of any partition. `run_conversion` is the op of `json_parsed_parquet`."""

    @dg.job(
        name=INGEST_BATCH_JOB,
        executor_def=dg.in_process_executor,
        tags=BATCH_TIMEOUT,
        description="Converts one batch of pending files, weekly drops first, and reports every partition that gained "
        "rows. Requested by pending_files_sensor; launched by hand it takes the next files, if there are any. With "
        "`partitions` in its config it does what materializing exactly these partitions does, in one run, even if "
        "they have gaps.",
    )
    def ingest_batch() -> None:
        run_conversion()

    return ingest_batch


def all_jobs(settings: Settings, batch_job: dg.JobDefinition) -> Sequence[Any]:
    """Every job. Not typed, because the type of an asset job is private to Dagster."""
    return [
        batch_job,
        json_parsed_parquet_job,
        landing_files_job,
        lake_fsck_job,
        expectations_job,
        lake_upkeep_job,
        *([curated_catalog_job] if has_catalog(settings) else []),
    ]
