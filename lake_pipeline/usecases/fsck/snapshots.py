"""Snapshot objects: the store has an object for each snapshot of the ledger, and no other ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.errors import LakeError
from lake_pipeline.model.snapshot_record import SnapshotRecord
from lake_pipeline.storage.zones import SNAPSHOTS, snapshot_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.snapshot_objects import store_again, stored_snapshots


def snapshots(lake: Lake) -> Iterator[Finding]:
    """Compare the snapshot objects with the snapshots of the ledger."""
    try:
        stored = {record.name: record for record in stored_snapshots(lake)}
    except LakeError as error:
        yield Finding(problem=Problem.WRONG_OBJECT, key=SNAPSHOTS, text=str(error))
        return
    for snapshot in lake.ledger.snapshots.all():
        record = stored.pop(snapshot.name, None)
        if record is None or record.digest != snapshot.digest:
            yield Finding(
                problem=Problem.MISSING,
                key=snapshot_key(snapshot.name),
                text=f"{snapshot_key(snapshot.name)} is not the object of snapshot {snapshot.name}: a rebuilt ledger "
                "would not have it. `lake fsck --repair` writes it again.",
                mend=partial(store_again, lake, snapshot),
            )
    yield from (_unknown(lake, record) for record in stored.values())


def _unknown(lake: Lake, record: SnapshotRecord) -> Finding:
    key = snapshot_key(record.name)
    if lake.ledger.snapshots.was_dropped(record):
        return Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} is the object of a snapshot that was dropped. `lake fsck --repair` removes it.",
            mend=partial(lake.store.delete, key),
        )
    return Finding(
        problem=Problem.ORPHANED,
        key=key,
        text=f"{key} is the object of a snapshot that this ledger does not have. Create it again, or run "
        "`lake recover`, which adds it.",
    )
