"""Schedules: what happens by the clock. What happens because there is work is a sensor's."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

from lake_pipeline.settings import Settings


def weekly_listing(settings: Settings, listing_job: AssetJob) -> dg.ScheduleDefinition:
    """Lists the landing zones when the weekly drop has arrived."""
    return _schedule(
        "weekly_listing",
        listing_job,
        settings.listing_cron,
        "Registers the files of the weekly drop (LAKE_LISTING_CRON); pending_files_sensor has them converted.",
    )


def nightly_fsck(settings: Settings, fsck_job: AssetJob) -> dg.ScheduleDefinition:
    """Compares the store with the ledger."""
    return _schedule(
        "nightly_fsck",
        fsck_job,
        settings.fsck_cron,
        "Compares the store with the ledger (LAKE_FSCK_CRON); what is wrong fails the check of lake_fsck.",
    )


def nightly_expectations(settings: Settings, expectations_job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Brings the checks of time up to date."""
    return _schedule(
        "nightly_expectations",
        expectations_job,
        settings.fsck_cron,
        "Checks completeness and freshness of the latest partitions again (LAKE_FSCK_CRON), also where nothing runs.",
    )


def upkeep(settings: Settings, upkeep_job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Sweeps where nothing is ingested for a while."""
    return _schedule(
        "lake_upkeep",
        upkeep_job,
        settings.upkeep_cron,
        "Takes back the files of lost workers, archives what is left over and sweeps (LAKE_UPKEEP_CRON).",
    )


def _schedule(name: str, job: dg.JobDefinition | AssetJob, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
