"""The asset `json_parsed_parquet`: the curated table. `ingest_batch_job` uses its op, `run_conversion`, too."""

from collections.abc import Iterator

import dagster as dg

from lake_pipeline.defs.checks import curated_check_specs
from lake_pipeline.defs.conversion.op import (
    ConversionConfig,
    convert_next_batch,
    convert_partitions,
    convert_selection,
)
from lake_pipeline.defs.conversion.runs import POOL
from lake_pipeline.defs.discovery.landing_files import LANDING_NAME
from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.partitions import named_partitions
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings
from lake_pipeline.storage.zones import CURATED_NAME

PARTITIONS_PER_RUN = 366
"""Partitions of a backfill in one run: a year of one mode. A run is a contiguous range with one dimension fixed and
converts batch after batch, sized by bytes. This limits what a canceled or failed run leaves to do, and its events."""


def json_parsed_parquet(settings: Settings, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """The asset with its checks."""

    @dg.multi_asset(
        name="run_conversion",
        specs=[
            dg.AssetSpec(
                CURATED_NAME,
                deps=[LANDING_NAME],
                partitions_def=partitions,
                kinds={"parquet"},
                description="Curated Parquet by day and mode, under json_parsed_parquet/year=…/month=…/day=…/mode=…. "
                "Materializing a partition converts the pending files whose key promises it. Rows go to the partitions "
                "of their records, so other partitions may gain rows too and are reported as well. What was published "
                "in the partition before is then converted again from its originals, unless the run config says "
                "rebuild: false.\n\n"
                f"Days go from {settings.records.first_date} (LAKE_FIRST_DATE) to "
                f"{settings.records.last_date or 'tomorrow'} (LAKE_LAST_DATE); "
                "records of other days are quarantined as date_out_of_range. Modes are added as they "
                "are seen. A backfill runs one mode (or one day) at a time, at most a year in a run, and "
                f"{settings.dagster.max_runs} runs at once (LAKE_MAX_RUNS).",
            )
        ],
        check_specs=curated_check_specs(partitions),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=PARTITIONS_PER_RUN),
        pool=POOL,
    )
    @clear_failures
    def run_conversion(
        # Not an AssetExecutionContext: Dagster cannot create one if the op runs outside of the asset.
        context: dg.OpExecutionContext,
        config: ConversionConfig,
        lake: dg.ResourceParam[LakeResource],
    ) -> Iterator[dg.Output[None]]:
        # Each batch checks the identity of the lake itself, and reports an outage that it meets there.
        opened = config.apply(lake.open_for_reading())
        if context.has_assets_def:
            yield from convert_partitions(dg.AssetExecutionContext.get(), opened, rebuild=config.rebuild)
        elif config.partitions:
            selected = named_partitions(partitions, context.instance, config.partitions)
            yield from convert_selection(context, opened, selected, rebuild=config.rebuild)
        else:
            yield from convert_next_batch(context, opened)

    return run_conversion
