"""`catalog_sensor`: requests `curated_catalog` if contract or published data no longer match the table.

It compares the required definition with the one of the last materialization. It does not read Glue, so a manual change
there stays until the asset is materialized.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from lake_pipeline.defs.consumers.catalog_asset import CATALOG_NAME, DEFINITION, table_inputs
from lake_pipeline.defs.conversion.runs import IN_FLIGHT
from lake_pipeline.defs.jobs import curated_catalog_job
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings

INTERVAL_SECONDS = 300
"""Listing the modes scans every published file in the ledger: about a third of a second for a million."""

RETRY_PAUSE = timedelta(hours=1)
"""After a failed run, because each failed run raises an alert."""


def catalog_sensor(settings: Settings) -> dg.SensorDefinition:
    """Requests the asset if contract, years or modes differ from those of the table.

    No ingest waits for it or fails with it. Off if the store is not on AWS: there is no Glue.
    """
    on_aws = settings.storage.s3_endpoint_url is None

    @dg.sensor(
        name="catalog_sensor",
        job=curated_catalog_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on_aws else dg.DefaultSensorStatus.STOPPED,
        description="Requests curated_catalog if the contract has changed, or if a mode or a year was published that "
        "the Athena table does not have. After a failed run it waits for an hour. Turn it off if you don't use Athena.",
    )
    def request_catalog(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]
    ) -> dg.RunRequest | dg.SkipReason:
        from lake_pipeline.provision.catalog import curated_table

        table = curated_table(*table_inputs(settings, lake))
        if table is None:
            return dg.SkipReason("There is no table yet: the first batch creates its columns.")
        if table.fingerprint == _latest_definition(context.instance):
            return dg.SkipReason("The table matches contract and ledger.")
        if reason := _reason_to_wait(context.instance):
            return dg.SkipReason(reason)
        return dg.RunRequest()

    return request_catalog


def _latest_definition(instance: dg.DagsterInstance) -> object:
    """The table's definition at its last materialization; None if there is none."""
    event = instance.get_latest_materialization_event(dg.AssetKey(CATALOG_NAME))
    materialization = event.asset_materialization if event else None
    definition = materialization.metadata.get(DEFINITION) if materialization else None
    return definition.value if definition else None


def _reason_to_wait(instance: dg.DagsterInstance) -> str | None:
    """Why no run is requested although the table is outdated; None if one should be."""
    for record in instance.get_run_records(dg.RunsFilter(job_name=curated_catalog_job.name), limit=1):
        run = record.dagster_run
        if run.status in IN_FLIGHT:
            return "The table is outdated; a run that updates it is queued or running."
        ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
        if not run.is_success and datetime.now(UTC) - ended < RETRY_PAUSE:
            return (
                f"The table is outdated, and run {run.run_id} failed to update it; see its log. The next run is "
                f"requested at {ended + RETRY_PAUSE:%H:%M} UTC, or materialize {CATALOG_NAME} yourself."
            )
    return None
