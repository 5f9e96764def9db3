"""`curated_catalog`: the table that Athena reads, and the sensor that has it brought up to date.

A lake in a directory has none. The sensor compares what the table should be, by contract and ledger, with what the last
run made of it; it asks Glue nothing, so what somebody changes there by hand stays until the asset is materialized.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

from lake_pipeline.defs.assets import GROUP
from lake_pipeline.defs.in_flight import IN_FLIGHT
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.ingest.lake import Lake
    from lake_pipeline.storage.places import S3Place

CATALOG_NAME = "curated_catalog"
CATALOG_JOB = "curated_catalog_job"

CATALOG_SECONDS = 300
"""Which modes there are takes a look at every published file in the ledger: about a third of a second for a million."""

PAUSE = timedelta(hours=1)
"""Behind a run that failed: each one is told to whoever hears of failed runs."""

DEFINITION = "definition"
"""The metadata that tells what the table was made to be."""


def curated_catalog(settings: Settings) -> dg.AssetsDefinition:
    """The table in the Glue Data Catalog."""

    @dg.asset(
        name=CATALOG_NAME,
        group_name=GROUP,
        deps=[CURATED_NAME],
        kinds={"glue", "athena"},
        description="Database and table of the Glue Data Catalog, in step with the contract (columns with their JSON "
        "paths) and with what is published (years and modes of the projected partitions). Requested by catalog_sensor "
        "whenever one of them has changed. Harmless to repeat.",
    )
    def catalog(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult[None]:
        from lake_pipeline.provision.catalog import catalog as resources_of
        from lake_pipeline.provision.catalog import required_table
        from lake_pipeline.provision.plan import provision

        table = required_table(*_lake_and_place(settings, lake))
        changes = list(provision(resources_of(table)))
        for change in changes:
            context.log.info("\n".join([f"{change.resource} changed", *change.lines()]))
        return dg.MaterializeResult(
            metadata={
                "table": f"{settings.glue_database}.{CURATED_NAME}",
                "changes": len(changes),
                "contract_version": table.contract.version,
                DEFINITION: table.fingerprint,
            }
        )

    return catalog


def catalog_job() -> AssetJob:
    """Brings the table up to date."""
    return dg.define_asset_job(
        CATALOG_JOB,
        selection=[CATALOG_NAME],
        executor_def=dg.in_process_executor,
        description="Brings the table of the Glue Data Catalog up to date. Requested by catalog_sensor.",
    )


def catalog_sensor(settings: Settings, job: AssetJob) -> dg.SensorDefinition:
    """Requests the asset when contract, years or modes are others than those the table was made with.

    No ingest waits for it or fails with it. Off where the store is none of AWS: there is no Glue beside it.
    """
    on_aws = settings.s3_endpoint_url is None

    @dg.sensor(
        name="catalog_sensor",
        job=job,
        minimum_interval_seconds=CATALOG_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on_aws else dg.DefaultSensorStatus.STOPPED,
        description="Requests curated_catalog when the contract has changed, or a mode or a year is published that the "
        "table of Athena does not know. After a run that failed it waits for an hour. Switch it off where nobody uses "
        "Athena.",
    )
    def look(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]
    ) -> dg.RunRequest | dg.SkipReason:
        from lake_pipeline.provision.catalog import curated_table

        table = curated_table(*_lake_and_place(settings, lake))
        if table is None:
            return dg.SkipReason("There is no table yet: its columns come with the first batch.")
        if table.fingerprint == _made(context.instance):
            return dg.SkipReason("The table is as contract and ledger have it.")
        if waits := _waits(context.instance):
            return dg.SkipReason(waits)
        return dg.RunRequest()

    return look


def _lake_and_place(settings: Settings, lake: LakeResource) -> "tuple[Lake, S3Place, str]":
    """What the table is made from: the lake, where its files are, and the name of the database."""
    from lake_pipeline.opening import s3_place_of

    return lake.open(), s3_place_of(settings, CATALOG_NAME), settings.glue_database


def _made(instance: dg.DagsterInstance) -> object:
    """What the table was made to be when it last was; None if it never was."""
    event = instance.get_latest_materialization_event(dg.AssetKey(CATALOG_NAME))
    made = event.asset_materialization if event else None
    found = made.metadata.get(DEFINITION) if made else None
    return found.value if found else None


def _waits(instance: dg.DagsterInstance) -> str | None:
    """Why nothing is requested although the table is old; None if nothing is in the way."""
    for last in instance.get_run_records(dg.RunsFilter(job_name=CATALOG_JOB), limit=1):
        if last.dagster_run.status in IN_FLIGHT:
            return "The table is old; a run that brings it up to date is under way."
        ended = datetime.fromtimestamp(last.end_time or last.update_timestamp.timestamp(), UTC)
        if not last.dagster_run.is_success and datetime.now(UTC) - ended < PAUSE:
            return (
                f"The table is old, and run {last.dagster_run.run_id} could not bring it up to date; its log says why. "
                f"The next one comes at {ended + PAUSE:%H:%M} UTC, or materialize {CATALOG_NAME} yourself."
            )
    return None
