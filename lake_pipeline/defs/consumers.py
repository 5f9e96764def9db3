"""`training_snapshot`: what is held for training of the curated table, once its checks have passed.

It has no partitions: it stands for the whole table, and a failed blocking check stops it in the same run.
"""

from datetime import UTC, datetime

import dagster as dg

from lake_pipeline.defs.assets import GROUP
from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.storage.zones import CURATED_NAME


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
