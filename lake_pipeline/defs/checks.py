"""The checks of a curated partition: their names, what they promise, and how a verdict becomes a Dagster event.

What is compared with what is decided in `ingest.verify` and `ingest.expectations`; here nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)

from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.ingest.verdicts import PartitionVerdicts, Verdict
    from lake_pipeline.model.partitions import PartitionKey

GUARDS = {
    "row_count": "The rows in the partition's Parquet footers are the rows that the ledger says were published.",
    "schema": "Every column of the partition's files is in the contract, with the contract's type.",
    "conservation": "The rows that raw files gave to the partition are the rows in it: none lost, none twice.",
}
"""Checks of what is there. They block: what they guard is wrong for every reader downstream."""

EXPECTATIONS = {
    "completeness": "Every known raw file whose key promises the partition is published, none was refused, and there "
    "are at least LAKE_USUAL_SHARE of the rows that the same weekday had in the weeks before.",
    "quarantine_share": "At most LAKE_QUARANTINE_WARNING of the records in the partition's raw files are quarantined.",
    "freshness": "No raw file that promises the partition waits for longer than LAKE_FRESH_HOURS.",
}
"""Checks of what is not there. They warn and block nothing: what is published is right, and more of it may come."""

CHECKS = {**GUARDS, **EXPECTATIONS}
"""All checks by name."""

CHECK_OUTPUTS = tuple(f"{CURATED_NAME}_{name}" for name in CHECKS)
"""What Dagster calls the outputs of the op for these checks."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The materialization that a check looked at. `storage_id` is Dagster's number for its event."""

    run_id: str
    storage_id: int
    timestamp: float


def check_specs(partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """One spec for each of `CHECKS`, partitioned like the asset."""
    return [
        dg.AssetCheckSpec(
            name=name, asset=CURATED_NAME, description=promise, blocking=name in GUARDS, partitions_def=partitions
        )
        for name, promise in CHECKS.items()
    ]


def evaluations(
    partition: PartitionKey, verdicts: Iterable[tuple[str, Verdict]], target: Target
) -> Iterator[AssetCheckEvaluation]:
    """The results of checks of one partition, given by their names.

    Dagster's own `AssetCheckResult` carries no partition in a run over several of them (and none in a job of
    ops), so these events are made by hand; without the target the UI would show nothing.
    """
    for name, verdict in verdicts:
        yield AssetCheckEvaluation(
            asset_key=dg.AssetKey(CURATED_NAME),
            check_name=name,
            # A warning is shown for a check that did not pass, and stops nothing.
            passed=verdict.passed and not verdict.warns,
            metadata=dict(verdict.facts),
            description=verdict.text,
            severity=dg.AssetCheckSeverity.WARN if verdict.warns else dg.AssetCheckSeverity.ERROR,
            blocking=name in GUARDS,
            partition=str(partition),
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                run_id=target.run_id, storage_id=target.storage_id, timestamp=target.timestamp
            ),
        )


def failed_checks(verdicts: PartitionVerdicts) -> list[str]:
    """A sentence for each check that failed."""
    return [f"check {name} failed: {verdict.text}" for name, verdict in verdicts.named() if not verdict.passed]
