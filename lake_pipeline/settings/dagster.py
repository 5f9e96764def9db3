"""Dagster's own storage, schedules, limits and alerts. What its checks compare with is in `checks`."""

from __future__ import annotations

from pydantic import Field

from lake_pipeline.settings.group import SettingsGroup
from lake_pipeline.settings.value_types import AlertTarget, Cron, HttpUrl, Owner, PostgresUrl


class DagsterSettings(SettingsGroup):
    """Dagster: storage, schedules, runs and alerts"""

    dagster_url: PostgresUrl | None = Field(default=None, repr=False)
    """The PostgreSQL of Dagster's own storage: runs, events, schedules. Keep it apart from the ledger."""

    max_runs: int = Field(default=2, ge=1, le=1000)
    """The maximum number of concurrent conversion runs, and of runs that the sensor requests in advance."""

    sensor_seconds: int = Field(default=300, ge=1, le=86_400)
    """How often the sensor looks for pending files."""

    listing_cron: Cron = "0 6 * * 1"
    """When to list the landing zones, in UTC: minute, hour, day, month, weekday."""

    upkeep_cron: Cron = "17 * * * *"
    """When to reclaim the files of dead workers, finish archiving and delete leftovers, in UTC."""

    fsck_cron: Cron = "0 2 * * *"
    """When to compare the store with the ledger and run the partition checks again, in UTC."""

    owner: Owner = "team:lake"
    """The owner that Dagster shows with each asset: an e-mail address or `team:name`."""

    alerts: AlertTarget | None = Field(default=None, repr=False)
    """Where to report failed runs and other alert conditions, in addition to the log. Either the ARN of an SNS topic,
    or the URL of a webhook that accepts `{"text": …}`, like Slack's."""

    ui_url: HttpUrl | None = None
    """The URL of the Dagster UI, for links in alerts."""
