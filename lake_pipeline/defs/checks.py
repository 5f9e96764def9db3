"""All asset checks: their names, promises and specs. `usecases.checks` decides which of them pass."""

from __future__ import annotations

import dagster as dg

from lake_pipeline.storage.zones import CURATED_NAME

GUARDS = {
    "row_count": "The partition's Parquet footers contain as many rows as the ledger says were published.",
    "schema": "Every column of the partition's files is in the contract, with the contract's type.",
    "conservation": "The rows that raw files contributed to the partition are the rows in it: none lost, none twice.",
}
"""Checks of published data. They block: if one fails, the data is wrong for every reader downstream."""

EXPECTATIONS = {
    "completeness": "Every known raw file whose key promises the partition is published, and none was refused. The "
    "partition has at least LAKE_USUAL_SHARE of the rows that the same weekday had in the weeks before.",
    "quarantine_share": "At most LAKE_QUARANTINE_WARNING of the records in the partition's raw files are quarantined.",
    "freshness": "No raw file that promises the partition waits for longer than LAKE_FRESH_HOURS.",
}
"""Checks of missing data. They warn and block nothing: what is published is right, and more of it may come."""

CHECKS = {**GUARDS, **EXPECTATIONS}
"""All checks of `json_parsed_parquet` by name."""

CHECK_OUTPUTS = tuple(f"{CURATED_NAME}_{name}" for name in CHECKS)
"""The names that Dagster gives the op's outputs for these checks."""

FSCK_CHECK = "clean"


def curated_check_specs(partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """One spec for each of `CHECKS`, partitioned like the asset."""
    return [
        dg.AssetCheckSpec(
            name=name, asset=CURATED_NAME, description=promise, blocking=name in GUARDS, partitions_def=partitions
        )
        for name, promise in CHECKS.items()
    ]


def fsck_check_spec(asset: str) -> dg.AssetCheckSpec:
    """The check of the asset `lake_fsck`."""
    return dg.AssetCheckSpec(FSCK_CHECK, asset=asset, description="The store and the ledger agree.", blocking=True)
