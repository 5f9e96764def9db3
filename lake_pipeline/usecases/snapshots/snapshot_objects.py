"""Snapshot objects: each snapshot in the store, under `_snapshots/`, so that a rebuilt ledger has it again.

The object is written before the ledger has the snapshot, and deleted after it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.snapshots import Snapshot
from lake_pipeline.model.snapshot_record import SnapshotRecord
from lake_pipeline.storage.zones import SNAPSHOTS, snapshot_key
from lake_pipeline.usecases.lake import Lake


def store_snapshot(lake: Lake, record: SnapshotRecord) -> None:
    """Write the object of a snapshot; one of an earlier attempt, or of a dropped snapshot, is replaced."""
    key, content = snapshot_key(record.name), record.to_bytes()
    while not lake.store.create(key, content):
        if _content(lake, key) == content:
            return
        lake.store.delete(key)


def store_again(lake: Lake, snapshot: Snapshot) -> None:
    """Write the object of a snapshot of the ledger."""
    store_snapshot(lake, lake.ledger.snapshots.record(snapshot))


def stored_snapshots(lake: Lake) -> Iterator[SnapshotRecord]:
    """The snapshots in the store. Raises `PermanentError` if one is damaged."""
    for info in sorted(lake.store.objects(SNAPSHOTS), key=lambda info: info.key):
        try:
            yield SnapshotRecord.from_bytes(_content(lake, info.key))
        except ValueError as error:
            raise PermanentError(
                f"{info.key} can't be read: {error}. Restore this object, or remove it to lose the snapshot."
            ) from error


def delete_dropped(lake: Lake) -> None:
    """Delete the objects of dropped snapshots that an interrupted drop has left."""
    for record in list(stored_snapshots(lake)):
        if lake.ledger.snapshots.was_dropped(record):
            lake.store.delete(snapshot_key(record.name))


def _content(lake: Lake, key: str) -> bytes:
    with lake.store.open(key) as stream:
        return stream.read()
