"""Builds the definitions from settings. Nothing is opened, read or connected to here."""

from __future__ import annotations

import warnings

import dagster as dg

from lake_pipeline.defs.assets import all_assets
from lake_pipeline.defs.conversion.curated_table import json_parsed_parquet
from lake_pipeline.defs.jobs import all_jobs, ingest_batch_job
from lake_pipeline.defs.partitions import lake_partitions
from lake_pipeline.defs.resources import all_resources
from lake_pipeline.defs.schedules import all_schedules
from lake_pipeline.defs.sensors import all_sensors
from lake_pipeline.escaping.log_records import escape_log_records
from lake_pipeline.settings import Settings


def build_defs(settings: Settings) -> dg.Definitions:
    """Fresh definitions over the lake of `settings`; tests build their own instead of patching."""
    escape_log_records()
    _ignore_preview_warnings()
    curated = json_parsed_parquet(settings, lake_partitions(settings.records.first_date, settings.records.last_date))
    batch_job = ingest_batch_job(curated.op)
    return dg.Definitions(
        assets=all_assets(settings, curated),
        jobs=all_jobs(settings, batch_job),
        sensors=all_sensors(settings, batch_job),
        schedules=all_schedules(settings),
        resources=all_resources(settings),
        # Also for runs launched by hand in the UI.
        executor=dg.in_process_executor,
    )


def _ignore_preview_warnings() -> None:
    """Partitioned checks and some parameters are previews in this version of Dagster.

    Every process would print the warnings when it loads the definitions. Some are raised after `build_defs` returns.
    """
    warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
    warnings.filterwarnings("ignore", "Function `multi_observable_source_asset`", dg.BetaWarning)
    warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)
