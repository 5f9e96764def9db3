"""The checks of a curated partition: their names, what they promise, and how a verdict becomes a Dagster event.

What is compared with what is decided in `ingest.verify`; here nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationTargetMaterializationData,
)

from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.ingest.verify import PartitionVerdicts, Verdict

CHECKS = {
    "row_count": "The rows in the partition's Parquet footers are the rows that the ledger says were published.",
    "schema": "Every column of the partition's files is in the contract, with the contract's type.",
    "conservation": "The rows that raw files gave to the partition are the rows in it: none lost, none twice.",
}
"""The checks by name. All block: what they guard is wrong for every reader downstream."""

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
        dg.AssetCheckSpec(name=name, asset=CURATED_NAME, description=promise, blocking=True, partitions_def=partitions)
        for name, promise in CHECKS.items()
    ]


def evaluations(verdicts: PartitionVerdicts, target: Target) -> Iterator[AssetCheckEvaluation]:
    """The results of all checks of one partition.

    Dagster's own `AssetCheckResult` carries no partition in a run over several of them (and none in a job of
    ops), so these events are made by hand; without the target the UI would show nothing.
    """
    for name, verdict in _named(verdicts):
        yield AssetCheckEvaluation(
            asset_key=dg.AssetKey(CURATED_NAME),
            check_name=name,
            # A warning is shown for a check that did not pass, and stops nothing.
            passed=verdict.passed and not verdict.warns,
            metadata=dict(verdict.facts),
            description=verdict.text,
            severity=dg.AssetCheckSeverity.WARN if verdict.warns else dg.AssetCheckSeverity.ERROR,
            blocking=True,
            partition=str(verdicts.partition),
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                run_id=target.run_id, storage_id=target.storage_id, timestamp=target.timestamp
            ),
        )


def failed_checks(verdicts: PartitionVerdicts) -> list[str]:
    """A sentence for each check that failed."""
    return [f"check {name} failed: {verdict.text}" for name, verdict in _named(verdicts) if not verdict.passed]


def _named(verdicts: PartitionVerdicts) -> Iterator[tuple[str, Verdict]]:
    verdict_of = {
        "row_count": verdicts.row_count,
        "schema": verdicts.schema,
        "conservation": verdicts.conservation,
    }
    return ((name, verdict_of[name]) for name in CHECKS)
