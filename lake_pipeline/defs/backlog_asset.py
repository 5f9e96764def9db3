"""`lake_backlog`: what waits and what was done lately, as an asset that is only looked at and so plots itself.

The sensor looks anyway, so each of its ticks is an observation and no run is needed; a person may observe it, too.
"""

from typing import TYPE_CHECKING, cast

import dagster as dg

from lake_pipeline.defs.resources import LakeResource
from lake_pipeline.model.states import FileState

if TYPE_CHECKING:
    from lake_pipeline.ledger.views import LakeStatus, Pulse

BACKLOG_NAME = "lake_backlog"


def lake_backlog(group: str) -> dg.AssetsDefinition:
    """The asset, observable by hand."""

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # it comes without types
        name="look_at_backlog",
        specs=[
            dg.AssetSpec(
                BACKLOG_NAME,
                group_name=group,
                kinds={"postgres"},
                description="What waits in the ledger and what was published in the last hour. Observed by each tick "
                "of pending_files_sensor; the plots show how it goes.",
            )
        ],
    )
    def look_at_backlog(lake: dg.ResourceParam[LakeResource]) -> dg.ObserveResult:
        ledger = lake.open().ledger
        return dg.ObserveResult(asset_key=BACKLOG_NAME, metadata=_metadata(ledger.status(), ledger.pulse()))

    return cast(dg.AssetsDefinition, look_at_backlog)


def backlog_observation(status: "LakeStatus", pulse: "Pulse") -> dg.AssetObservation:
    """What is seen now."""
    return dg.AssetObservation(BACKLOG_NAME, metadata=_metadata(status, pulse))


def _metadata(status: "LakeStatus", pulse: "Pulse") -> dict[str, dg.MetadataValue]:
    return {
        "files pending": dg.MetadataValue.int(status.files[FileState.PENDING]),
        "bytes pending": dg.MetadataValue.int(status.bytes[FileState.PENDING]),
        "files failed, to be tried again": dg.MetadataValue.int(status.files[FileState.FAILED]),
        "files being converted": dg.MetadataValue.int(status.files[FileState.PROCESSING]),
        "files quarantined": dg.MetadataValue.int(status.files[FileState.QUARANTINED]),
        "files published": dg.MetadataValue.int(status.files[FileState.SUCCEEDED]),
        "minutes that the first file waits": dg.MetadataValue.float(round(pulse.waiting_seconds / 60, 1)),
        "files in the last hour": dg.MetadataValue.int(pulse.files),
        "bytes in the last hour": dg.MetadataValue.int(pulse.bytes),
        "rows in the last hour": dg.MetadataValue.int(pulse.rows),
    }
