"""All schedules: what runs by the clock. What runs because work is pending is requested by a sensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from lake_pipeline.defs.jobs import lake_fsck_job, landing_files_job
from lake_pipeline.defs.operations.expectations import expectations_job
from lake_pipeline.defs.operations.upkeep import lake_upkeep_job
from lake_pipeline.settings import Settings


def all_schedules(settings: Settings) -> Sequence[dg.ScheduleDefinition]:
    """Every schedule."""
    return [
        _schedule(
            "weekly_listing",
            landing_files_job,
            settings.dagster.listing_cron,
            "Registers the files of the weekly drop (LAKE_LISTING_CRON); pending_files_sensor then requests runs.",
        ),
        _schedule(
            "nightly_fsck",
            lake_fsck_job,
            settings.dagster.fsck_cron,
            "Compares the store with the ledger (LAKE_FSCK_CRON). An inconsistency fails the check of lake_fsck.",
        ),
        _schedule(
            "nightly_expectations",
            expectations_job,
            settings.dagster.fsck_cron,
            "Checks completeness and freshness of the latest partitions again (LAKE_FSCK_CRON), even without new runs.",
        ),
        _schedule(
            "lake_upkeep",
            lake_upkeep_job,
            settings.dagster.upkeep_cron,
            "Reclaims the files of lost workers, archives leftover originals and sweeps (LAKE_UPKEEP_CRON).",
        ),
    ]


def _schedule(name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
