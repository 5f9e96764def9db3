"""The asset `curated_catalog`: the table in the Glue Data Catalog that Athena reads. A lake in a directory has none."""

from typing import TYPE_CHECKING

import dagster as dg

from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.settings import Settings
from lake_pipeline.settings.value_types import S3Root
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.storage.location import S3Location
    from lake_pipeline.usecases.lake import Lake

CATALOG_NAME = "curated_catalog"

DEFINITION = "definition"
"""The metadata key of the table's fingerprint: what it was defined as."""


def has_catalog(settings: Settings) -> bool:
    """Whether the lake is in a bucket, so that the Glue Data Catalog can describe it."""
    return isinstance(settings.storage.root, S3Root)


def curated_catalog(settings: Settings) -> dg.AssetsDefinition:
    """The asset over the database of `settings`."""

    @dg.asset(
        name=CATALOG_NAME,
        deps=[CURATED_NAME],
        kinds={"glue", "athena"},
        description="Database and table of the Glue Data Catalog. Columns and their JSON paths come from the contract, "
        "years and modes of the projected partitions from the published data. catalog_sensor requests it if one of "
        "them has changed. It is safe to repeat.",
    )
    @clear_failures
    def catalog(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult[None]:
        from lake_pipeline.provision.catalog import catalog as catalog_resources
        from lake_pipeline.provision.catalog import required_table
        from lake_pipeline.provision.plan import provision

        table = required_table(*table_inputs(settings, lake))
        changes = list(provision(catalog_resources(table)))
        for change in changes:
            context.log.info("\n".join(map(one_line, [f"{change.resource} changed", *change.lines()])))
        return dg.MaterializeResult(
            metadata={
                "table": f"{settings.glue.database}.{CURATED_NAME}",
                "changes": len(changes),
                "contract_version": table.contract.version,
                DEFINITION: table.fingerprint,
            }
        )

    return catalog


def table_inputs(settings: Settings, lake: LakeResource) -> "tuple[Lake, S3Location, str]":
    """What the table is defined from: the lake, the location of its files, and the name of the database."""
    from lake_pipeline.composition import s3_location_of

    return lake.open(), s3_location_of(settings, CATALOG_NAME), settings.glue.database
