"""Schedules: what happens by the clock. What happens because there is work is a sensor's."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

from lake_pipeline.settings import Settings


def weekly_listing(settings: Settings, listing_job: AssetJob) -> dg.ScheduleDefinition:
    """Lists the landing zones when the weekly drop has arrived (`LAKE_LISTING_CRON`, in UTC)."""
    return dg.ScheduleDefinition(
        name="weekly_listing",
        job=listing_job,
        cron_schedule=settings.listing_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Registers the files of the weekly drop; pending_files_sensor has them converted.",
    )
