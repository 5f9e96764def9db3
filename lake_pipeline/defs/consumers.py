"""The assets of those who read the lake: what is made of the curated table once its checks have passed.

They have no partitions: each stands for the whole table, and a failed blocking check stops it in the same run.
"""

from datetime import UTC, datetime

import dagster as dg

from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.settings import Settings
from lake_pipeline.settings.kinds import S3Root
from lake_pipeline.storage.zones import CURATED_NAME

GROUP = "lake"


def curated_catalog(settings: Settings) -> dg.AssetsDefinition:
    """The table in the Glue Data Catalog."""

    @dg.asset(
        name="curated_catalog",
        group_name=GROUP,
        deps=[CURATED_NAME],
        kinds={"glue", "athena"},
        description="Database and table of the Glue Data Catalog, in step with the contract (columns with their JSON "
        "paths) and with what is published (years and modes of the projected partitions). Harmless to repeat.",
    )
    def catalog(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult[None]:
        from lake_pipeline.opening import s3_place_of
        from lake_pipeline.provision.catalog import catalog as resources_of
        from lake_pipeline.provision.plan import provision

        resources = resources_of(lake.open(), s3_place_of(settings, "curated_catalog"), settings.glue_database)
        changes = list(provision(resources))
        for change in changes:
            context.log.info("\n".join([f"{change.resource} changed", *change.lines()]))
        return dg.MaterializeResult(
            metadata={
                "table": f"{settings.glue_database}.{CURATED_NAME}",
                "changes": len(changes),
                "contract_version": lake.open().ledger.status().contract_version,
            }
        )

    return catalog


class SnapshotConfig(dg.Config):
    """What a snapshot holds: days as YYYY-MM-DD, both included; what is left out means all."""

    name: str | None = None
    first_day: str | None = None
    last_day: str | None = None
    modes: list[str] | None = None
    columns: list[str] | None = None


@dg.asset(
    name="training_snapshot",
    group_name=GROUP,
    deps=[CURATED_NAME],
    kinds={"parquet"},
    description="A snapshot: published files that are held as they are, for training, until `lake snapshot drop`. "
    "Days, modes, columns and name are in the run config; without it everything is held, under the time of the run.",
)
def training_snapshot(config: SnapshotConfig, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult[None]:
    from lake_pipeline.ingest.snapshots import create_snapshot
    from lake_pipeline.model.selections import Selection

    name = config.name or f"training-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
    selection = Selection.of(first=config.first_day, last=config.last_day, modes=config.modes, columns=config.columns)
    made = create_snapshot(lake.open(), name, selection)
    return dg.MaterializeResult(
        metadata={
            "snapshot": made.name,
            "rows": made.rows,
            "files": made.files,
            "bytes": made.size,
            "contract_version": made.contract_version,
            "digest": made.digest,
            "checks": dg.MetadataValue.json(dict(made.checks)),
        },
        data_version=dg.DataVersion(made.digest),
    )


def consumer_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets downstream of the checks. A lake in a directory has no catalog."""
    return [*([curated_catalog(settings)] if isinstance(settings.root, S3Root) else []), training_snapshot]
