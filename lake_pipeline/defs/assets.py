"""The assets: what people see of the lake. Each body calls a use case and tells what became of it."""

from collections.abc import Iterator

import dagster as dg

from lake_pipeline.defs.checks import check_specs
from lake_pipeline.defs.conversion import ConversionConfig, convert_next_batch, convert_partitions
from lake_pipeline.defs.reporting import LISTING_VERSION, discovery_metadata
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.storage.zones import CURATED_NAME

GROUP = "lake"


@dg.asset(
    name="landing_files",
    group_name=GROUP,
    kinds={"json"},
    description="The raw JSON files in the landing zones (all_historical_files/ and YYYY/weekXX/). Materializing "
    "lists them and registers every new object version in the ledger as PENDING; it is harmless to repeat.",
)
def landing_files(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]
) -> dg.MaterializeResult[None]:
    from lake_pipeline.ingest.discover import discover

    found = discover(lake.open(), on_progress=lambda seen: context.log.info(f"{seen} objects listed so far"))
    return dg.MaterializeResult(metadata=discovery_metadata(found), data_version=LISTING_VERSION)


def json_parsed_parquet(partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
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
                "it before is then converted again from its originals, unless the run config says rebuild: false.",
            )
        ],
        check_specs=check_specs(partitions),
        # A range in one run is one batch, not one run of seconds for each partition.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def run_conversion(
        # Not an AssetExecutionContext: Dagster refuses to make one where the op runs outside of the asset.
        context: dg.OpExecutionContext,
        config: ConversionConfig,
        lake: dg.ResourceParam[LakeResource],
    ) -> Iterator[dg.Output[None]]:
        if context.has_assets_def:
            context_of_asset = dg.AssetExecutionContext.get()
            yield from convert_partitions(context_of_asset, config.apply(lake.open()), rebuild=config.rebuild)
        else:
            yield from convert_next_batch(context, config.apply(lake.open()))

    return run_conversion
