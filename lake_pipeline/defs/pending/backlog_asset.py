"""The asset `lake_backlog`: what is pending and what was published lately, as an observable asset with plots.

Each tick of `pending_files_sensor` reports an observation, so no run is needed. It can also be observed by hand.
"""

from typing import TYPE_CHECKING, cast

import dagster as dg

from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.model.states import FileState

if TYPE_CHECKING:
    from lake_pipeline.ledger.views import LakeStatus, Throughput

BACKLOG_NAME = "lake_backlog"


def lake_backlog() -> dg.AssetsDefinition:
    """The asset."""

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # it comes without types
        name="look_at_backlog",
        specs=[
            dg.AssetSpec(
                BACKLOG_NAME,
                kinds={"postgres"},
                description="What is pending in the ledger and what was published in the last hour. Observed by each "
                "tick of pending_files_sensor; the plots show the trend.",
            )
        ],
    )
    def observe_backlog(lake: dg.ResourceParam[LakeResource]) -> dg.ObserveResult:
        ledger = lake.open_for_reading().ledger
        return dg.ObserveResult(
            asset_key=BACKLOG_NAME, metadata=_metadata(ledger.views.status(), ledger.views.throughput())
        )

    return cast(dg.AssetsDefinition, observe_backlog)


def backlog_observation(status: "LakeStatus", throughput: "Throughput") -> dg.AssetObservation:
    """The observation that a tick of the sensor reports."""
    return dg.AssetObservation(BACKLOG_NAME, metadata=_metadata(status, throughput))


def _metadata(status: "LakeStatus", throughput: "Throughput") -> dict[str, dg.MetadataValue]:
    return {
        "files pending": dg.MetadataValue.int(status.files[FileState.PENDING]),
        "bytes pending": dg.MetadataValue.int(status.bytes[FileState.PENDING]),
        "files failed, to be tried again": dg.MetadataValue.int(status.files[FileState.FAILED]),
        "files being converted": dg.MetadataValue.int(status.files[FileState.PROCESSING]),
        "files quarantined": dg.MetadataValue.int(status.files[FileState.QUARANTINED]),
        "files published": dg.MetadataValue.int(status.files[FileState.SUCCEEDED]),
        "minutes that the first file waits": dg.MetadataValue.float(round(throughput.waiting_seconds / 60, 1)),
        "files in the last hour": dg.MetadataValue.int(throughput.files),
        "bytes in the last hour": dg.MetadataValue.int(throughput.bytes),
        "rows in the last hour": dg.MetadataValue.int(throughput.rows),
    }
