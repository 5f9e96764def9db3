"""All assets. Their bodies are in `discovery`, `conversion`, `pending`, `operations` and `consumers`."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from lake_pipeline.defs.consumers.catalog_asset import curated_catalog, has_catalog
from lake_pipeline.defs.consumers.training_snapshot import training_snapshot
from lake_pipeline.defs.discovery.landing_files import landing_files
from lake_pipeline.defs.operations.fsck_asset import lake_fsck
from lake_pipeline.defs.pending.backlog_asset import lake_backlog
from lake_pipeline.settings import Settings

GROUP = "lake"


def all_assets(
    settings: Settings, json_parsed_parquet: dg.AssetsDefinition
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """Every asset, with group and owner. `json_parsed_parquet` is passed in because a job shares its op."""
    assets = [
        landing_files,
        json_parsed_parquet,
        lake_backlog(),
        lake_fsck,
        training_snapshot,
        *([curated_catalog(settings)] if has_catalog(settings) else []),
    ]
    return dg.map_asset_specs(
        lambda spec: spec.replace_attributes(group_name=GROUP, owners=[settings.dagster.owner]),
        assets,
    )
