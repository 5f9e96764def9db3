"""`landing_events_sensor`: registers files as S3 reports their arrival in an SQS queue."""

import dagster as dg

from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings

POLL_INTERVAL_SECONDS = 30

POLL_SECONDS = 10
"""How long a tick waits for a message. SQS allows 20; an empty poll costs as much as one that returns ten messages."""

TICK_SECONDS = 30
"""Dagster ends a tick that takes 60."""


def landing_events_sensor(settings: Settings) -> dg.SensorDefinition:
    """Registers the files of S3 events; pending_files_sensor then requests their conversion."""

    @dg.sensor(
        name="landing_events_sensor",
        minimum_interval_seconds=POLL_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Polls the SQS queue of LAKE_EVENTS_QUEUE_URL, registers the files that landed, then deletes the "
        "messages. The schedule weekly_listing finds files without a message.",
    )
    def register_landed_files(lake: dg.ResourceParam[LakeResource]) -> dg.SkipReason:
        from lake_pipeline.composition import event_queue
        from lake_pipeline.usecases.discovery.notifications import register_arrivals

        arrivals = register_arrivals(
            lake.open(), event_queue(settings), wait_seconds=POLL_SECONDS, most_seconds=TICK_SECONDS
        )
        unreadable = f" {arrivals.unreadable} others have keys that can't be used." if arrivals.unreadable else ""
        return dg.SkipReason(
            f"{arrivals.messages} messages reported {arrivals.seen} files, {arrivals.new} of them new.{unreadable}"
        )

    return register_landed_files
