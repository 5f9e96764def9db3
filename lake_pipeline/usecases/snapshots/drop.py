"""Drop a snapshot: its files are no longer kept, and what only it kept is deleted."""

from __future__ import annotations

from lake_pipeline.errors import PermanentError
from lake_pipeline.storage.zones import snapshot_key
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.retained_files import delete_unneeded
from lake_pipeline.usecases.snapshots.snapshot_objects import delete_dropped


def drop_snapshot(lake: Lake, name: str) -> int:
    """Drop a snapshot; returns how many retained files were deleted with it.

    Raises `PermanentError` if there is no such snapshot. If it is interrupted, the next drop or `lake fsck --repair`
    does the rest.
    """
    if not lake.ledger.snapshots.drop(name):
        raise PermanentError(f"There is no snapshot {name}. `lake snapshot list` lists the snapshots.")
    lake.store.delete(snapshot_key(name))
    delete_dropped(lake)
    return delete_unneeded(lake)
