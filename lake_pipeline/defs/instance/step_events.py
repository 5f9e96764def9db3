"""Events of a running step that Dagster's public API cannot log: in one batch, by partition, with check targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as CheckTarget,
)
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from dagster._core.events import DagsterEventBatchMetadata, StepMaterializationData

__all__ = [
    "CheckTarget",
    "Context",
    "add_partition_metadata",
    "log_check_evaluations",
    "log_materializations",
    "version_tags",
]

Context: TypeAlias = dg.OpExecutionContext | dg.AssetExecutionContext


def version_tags(parent: str, version: dg.DataVersion) -> dict[str, str]:
    """The tags that Dagster adds to a materialization that it logs itself, so that the partition is shown as synced."""
    return {
        CODE_VERSION_TAG: "1",
        f"{INPUT_DATA_VERSION_TAG_PREFIX}/{parent}": version.value,
        f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{parent}": NULL_EVENT_POINTER,
    }


def add_partition_metadata(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, metadata: Mapping[str, Mapping[str, dg.MetadataValue]]
) -> None:
    """Add metadata by partition key to the materializations that Dagster logs itself, of the run's own partitions."""
    step = context.get_step_execution_context()
    for partition, values in metadata.items():
        # `add_asset_metadata` does the same, but lists all keys of the range for each call: 2 s of a run over a year.
        step._metadata_accumulator = step._metadata_accumulator.with_additional_asset_metadata(
            asset_key=asset, metadata=values, partition_key=partition
        )


def log_materializations(context: Context, events: Sequence[tuple[str, dg.AssetMaterialization]]) -> None:
    """Log materializations with their messages as one batch."""
    _log(
        context,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        [(message, StepMaterializationData(materialization)) for message, materialization in events],
    )


def log_check_evaluations(context: Context, events: Sequence[tuple[str, dg.AssetCheckEvaluation]]) -> None:
    """Log check results with their messages as one batch."""
    _log(context, dg.DagsterEventType.ASSET_CHECK_EVALUATION, events)


def _log(
    context: Context,
    kind: dg.DagsterEventType,
    events: Sequence[tuple[str, StepMaterializationData | dg.AssetCheckEvaluation]],
) -> None:
    """`log_event` would store each event by itself."""
    # Loads the PostgreSQL driver.
    from lake_pipeline.defs.instance.event_log import LakeEventLog

    # Other storages, for example in a deployment without our dagster.yaml, accept no check results in batches.
    batched = isinstance(context.instance.event_log_storage, LakeEventLog)
    step, batch_id = context.get_step_execution_context(), str(uuid4())
    for number, (message, data) in enumerate(events, start=1):
        batch = DagsterEventBatchMetadata(batch_id, is_end=number == len(events)) if batched else None
        dg.DagsterEvent.from_step(kind, step, event_specific_data=data, message=message, batch_metadata=batch)
