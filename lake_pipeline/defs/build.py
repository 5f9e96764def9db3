"""Putting the definitions together from settings. Nothing is opened, read or connected to here."""

from __future__ import annotations

import warnings

import dagster as dg

from lake_pipeline.defs import assets, catalog, consumers, jobs, schedules, sensors
from lake_pipeline.defs.alerts import alert_sensor
from lake_pipeline.defs.backlog_asset import lake_backlog
from lake_pipeline.defs.maintenance import expectations_job, lake_fsck, upkeep_job
from lake_pipeline.defs.partitions import lake_partitions
from lake_pipeline.defs.resources import LAKE, lake_resource
from lake_pipeline.defs.watching import watch_sensor
from lake_pipeline.settings import Settings
from lake_pipeline.settings.kinds import S3Root


def build_defs(settings: Settings) -> dg.Definitions:
    """Fresh definitions over the lake of `settings`; tests make their own instead of patching."""
    # Partitioned checks are a preview in this version, and its sensors set off a warning of their own; at every
    # load, in every process, they would tell users nothing. Some come later, when Dagster puts the parts together.
    warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
    warnings.filterwarnings("ignore", "Function `multi_observable_source_asset`", dg.BetaWarning)
    warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)
    return _definitions(settings)


def _definitions(settings: Settings) -> dg.Definitions:
    partitions = lake_partitions(settings.first_date, settings.last_date)
    curated = assets.json_parsed_parquet(settings, partitions)
    by_batch, sweeping, looking = jobs.ingest_batch_job(curated.op), upkeep_job(), expectations_job()
    listing, by_partition, comparing = jobs.listing_job(), jobs.partition_job(), jobs.fsck_job()
    in_bucket, cataloguing = isinstance(settings.root, S3Root), catalog.catalog_job()
    return dg.Definitions(
        assets=dg.map_asset_specs(
            lambda spec: spec.replace_attributes(owners=[settings.owner]),
            [
                assets.landing_files(),
                curated,
                lake_backlog(assets.GROUP),
                lake_fsck(assets.GROUP),
                consumers.training_snapshot,
                *([catalog.curated_catalog(settings)] if in_bucket else []),
            ],
        ),
        jobs=[by_batch, by_partition, listing, comparing, looking, sweeping, *([cataloguing] if in_bucket else [])],
        sensors=[
            sensors.pending_files_sensor(settings, batch_job=by_batch, partition_job=by_partition),
            alert_sensor(settings),
            watch_sensor(settings),
            *([sensors.landing_events_sensor(settings)] if settings.events_queue_url else []),
            *([catalog.catalog_sensor(settings, cataloguing)] if in_bucket else []),
        ],
        schedules=[
            schedules.weekly_listing(settings, listing),
            schedules.nightly_fsck(settings, comparing),
            schedules.nightly_expectations(settings, looking),
            schedules.upkeep(settings, sweeping),
        ],
        # No asset hands Python values to another one; the default would write empty files for that.
        resources={LAKE: lake_resource(settings), "io_manager": dg.mem_io_manager},
        # Also for what is materialized by hand in the UI.
        executor=dg.in_process_executor,
    )
