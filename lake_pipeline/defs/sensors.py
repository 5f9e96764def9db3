"""All sensors. They read the ledger and Dagster, and request runs; they never claim or convert.

Requests may be late, duplicated or lost without harm, because the ledger is the queue: a run that finds nothing to
claim says so and ends. One sensor writes: `landing_events_sensor` registers files itself, because a run takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lake_pipeline.defs.alerts.conditions import alert_on_trouble
from lake_pipeline.defs.alerts.run_failures import alert_on_failure
from lake_pipeline.defs.consumers.catalog_asset import has_catalog
from lake_pipeline.defs.consumers.catalog_sensor import catalog_sensor
from lake_pipeline.defs.discovery.landing_events_sensor import landing_events_sensor
from lake_pipeline.defs.pending.pending_files_sensor import pending_files_sensor
from lake_pipeline.settings import Settings


def all_sensors(settings: Settings, batch_job: dg.JobDefinition) -> Sequence[dg.SensorDefinition]:
    """Every sensor that these settings need. `batch_job` is `ingest_batch_job`."""
    return [
        pending_files_sensor(settings, batch_job),
        alert_on_failure(settings),
        alert_on_trouble(settings),
        *([landing_events_sensor(settings)] if settings.storage.events_queue_url else []),
        *([catalog_sensor(settings)] if has_catalog(settings) else []),
    ]
