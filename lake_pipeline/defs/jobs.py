"""Jobs: the runs that sensors, schedules and people launch by name.

All steps run in the process of the run: starting a process for each step costs seconds (four steps took 22 s
instead of 0.4 s). Nothing is retried by Dagster: the ledger owns retries.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from lake_pipeline.defs.in_flight import INGEST_BATCH_JOB, PARTITION_JOB
from lake_pipeline.defs.maintenance import FSCK_NAME
from lake_pipeline.storage.zones import CURATED_NAME

LISTING_JOB = "landing_files_job"
FSCK_JOB = "lake_fsck_job"

BATCH_BOUND = {MAX_RUNTIME_SECONDS_TAG: "21600"}
"""Six hours, far more than a batch takes: a run whose machine went down must not keep its place for a day."""


def ingest_batch_job(run_conversion: dg.OpDefinition) -> dg.JobDefinition:
    """One batch of whatever is pending, whatever partitions it touches. `run_conversion` is the op of the asset."""

    @dg.job(
        name=INGEST_BATCH_JOB,
        executor_def=dg.in_process_executor,
        tags=BATCH_BOUND,
        description="Converts one batch of whatever is pending, weekly drops first, and reports every partition it "
        "touched. Requested by pending_files_sensor; launched by hand it takes the next files, if there are any. With "
        "`partitions` in its config it does what materializing exactly these does, in one run whatever lies between "
        "them.",
    )
    def ingest_batch() -> None:
        run_conversion()

    return ingest_batch


def partition_job() -> AssetJob:
    """Converts what is pending for one partition, or for a range of them."""
    return dg.define_asset_job(
        PARTITION_JOB,
        selection=[CURATED_NAME],
        executor_def=dg.in_process_executor,
        tags=BATCH_BOUND,
        description="Converts what is pending for the chosen partitions. Requested by pending_files_sensor.",
    )


def listing_job() -> AssetJob:
    """Lists the landing zones."""
    return dg.define_asset_job(
        LISTING_JOB,
        selection=["landing_files"],
        executor_def=dg.in_process_executor,
        # It takes seconds, and conversions that wait in the queue may take hours.
        tags={"dagster/priority": "10"},
        description="Registers every new file of the landing zones in the ledger.",
    )


def fsck_job() -> AssetJob:
    """Compares the store with the ledger."""
    return dg.define_asset_job(
        FSCK_JOB,
        selection=[FSCK_NAME],
        executor_def=dg.in_process_executor,
        description="Compares the store with the ledger; what it finds is the check of lake_fsck.",
    )
