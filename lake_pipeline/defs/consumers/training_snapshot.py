"""The asset `training_snapshot`: retains published files for training, once their checks have passed.

It has no partitions because it covers the whole table. A failed blocking check stops it in the same run.
"""

from datetime import UTC, datetime

import dagster as dg

from lake_pipeline.defs.failures import clear_failures
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.storage.zones import CURATED_NAME


class SnapshotConfig(dg.Config):
    """What a snapshot contains: days as YYYY-MM-DD, both inclusive; an omitted field means all."""

    name: str | None = None
    first_day: str | None = None
    last_day: str | None = None
    modes: list[str] | None = None
    columns: list[str] | None = None


@dg.asset(
    name="training_snapshot",
    deps=[CURATED_NAME],
    kinds={"parquet"},
    description="A snapshot: published files that are retained unchanged for training until `lake snapshot drop`. "
    "The run config selects days, modes, columns and name; without it the snapshot contains everything and is named "
    "by the time of the run.",
)
@clear_failures
def training_snapshot(config: SnapshotConfig, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult[None]:
    """Create the snapshot."""
    from lake_pipeline.model.selections import Selection
    from lake_pipeline.usecases.snapshots.create import create_snapshot

    name = config.name or f"training-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
    selection = Selection.of(first=config.first_day, last=config.last_day, modes=config.modes, columns=config.columns)
    snapshot = create_snapshot(lake.open(), name, selection)
    return dg.MaterializeResult(
        metadata={
            "snapshot": snapshot.name,
            "rows": snapshot.rows,
            "files": snapshot.files,
            "bytes": snapshot.size,
            "contract_version": snapshot.contract_version,
            "digest": snapshot.digest,
            "checks": dg.MetadataValue.json(dict(snapshot.checks)),
        },
        data_version=dg.DataVersion(snapshot.digest),
    )
