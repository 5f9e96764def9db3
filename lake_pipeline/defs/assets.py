"""The assets: what people see of the lake. Each body calls a use case and tells what became of it."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from lake_pipeline.defs.checks import check_specs
from lake_pipeline.defs.conversion import (
    ConversionConfig,
    convert_next_batch,
    convert_partitions,
    convert_selection,
)
from lake_pipeline.defs.in_flight import POOL
from lake_pipeline.defs.metadata import discovery_metadata
from lake_pipeline.defs.partitions import named_partitions
from lake_pipeline.defs.reporting import LISTING_VERSION
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings
from lake_pipeline.storage.zones import CURATED_NAME

GROUP = "lake"

DAYS_A_RUN = 366
"""Partitions of a backfill in one run: a year of a mode. A run is a contiguous range with one dimension fixed, and
takes batch after batch, sized by bytes; this bounds what a cancelled or failed one leaves to do, and its events."""

LISTED_WITHIN = timedelta(days=8)
"""A week and a day: the drop is weekly."""


def landing_files() -> dg.AssetsDefinition:
    """The listing."""

    @dg.asset(
        name="landing_files",
        group_name=GROUP,
        kinds={"json"},
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=LISTED_WITHIN),
        description="The raw JSON files in the landing zones (all_historical_files/ and YYYY/weekXX/). Materializing "
        "lists them and registers every new object version in the ledger as PENDING; it is harmless to repeat. Listed "
        "each week by the schedule weekly_listing.",
    )
    def list_landing_zones(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]
    ) -> dg.MaterializeResult[None]:
        from lake_pipeline.ingest.discover import discover

        found = discover(lake.open(), on_progress=lambda seen: context.log.info(f"{seen} objects listed so far"))
        context.log.info(
            f"{found.seen} files in the landing zones, {found.new} of them new: pending_files_sensor has them converted"
        )
        return dg.MaterializeResult(metadata=discovery_metadata(found), data_version=LISTING_VERSION)

    return list_landing_zones


def json_parsed_parquet(settings: Settings, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The curated table. Its op, `run_conversion`, is also the op of `ingest_batch_job`."""

    @dg.multi_asset(
        name="run_conversion",
        specs=[
            dg.AssetSpec(
                CURATED_NAME,
                deps=["landing_files"],
                partitions_def=partitions,
                group_name=GROUP,
                kinds={"parquet"},
                description="Curated Parquet by day and mode, under json_parsed_parquet/year=…/month=…/day=…/mode=…. "
                "Materializing a partition converts the pending files whose key promises it; rows go where the "
                "records say, so other partitions may gain rows too and are reported as well. What was published in "
                "it before is then converted again from its originals, unless the run config says rebuild: false.\n\n"
                f"Days go from {settings.first_date} (LAKE_FIRST_DATE) to {settings.last_date or 'tomorrow'} "
                "(LAKE_LAST_DATE); records of other days are quarantined as date_out_of_range. Modes appear as they "
                "are seen. A backfill runs one mode (or one day) at a time, at most a year in a run, and "
                f"{settings.max_runs} runs at once (LAKE_MAX_RUNS).",
            )
        ],
        check_specs=check_specs(partitions),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DAYS_A_RUN),
        pool=POOL,
    )
    def run_conversion(
        # Not an AssetExecutionContext: Dagster refuses to make one where the op runs outside of the asset.
        context: dg.OpExecutionContext,
        config: ConversionConfig,
        lake: dg.ResourceParam[LakeResource],
    ) -> Iterator[dg.Output[None]]:
        opened = config.apply(lake.open())
        if context.has_assets_def:
            yield from convert_partitions(dg.AssetExecutionContext.get(), opened, rebuild=config.rebuild)
        elif config.partitions:
            selected = named_partitions(partitions, context.instance, config.partitions)
            yield from convert_selection(context, opened, selected, rebuild=config.rebuild)
        else:
            yield from convert_next_batch(context, opened)

    return run_conversion
