"""Snapshots in a recovery: a rebuilt ledger gets those of the store, and an old one loses those dropped since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial

from lake_pipeline.ledger.snapshots import Snapshot
from lake_pipeline.model.commit import Commit
from lake_pipeline.model.snapshot_record import SnapshotRecord
from lake_pipeline.storage import zones
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.recovery.rebuild_ledger.steps import Action, Step
from lake_pipeline.usecases.snapshots.snapshot_objects import store_again, stored_snapshots


def restore_snapshots(lake: Lake) -> None:
    """Add the snapshots of the store whose files the ledger has by now: before a replaced file of one is published."""
    for record in _missing(lake):
        lake.ledger.snapshots.restore(record)


def snapshot_steps(lake: Lake, planned: Iterable[Commit]) -> Iterator[Step]:
    """Bring the snapshots of the ledger in line with the store. All commits but those of a plan are replayed before."""
    for record in list(_missing(lake)):
        yield Step(
            action=Action.ADOPT,
            key=zones.snapshot_key(record.name),
            reason=f"snapshot {record.name} with {record.rows:,} rows is added to the ledger",
            run=partial(lake.ledger.snapshots.restore, record),
        )
    stored = {record.name for record in stored_snapshots(lake)}
    without_object = [snapshot for snapshot in lake.ledger.snapshots.all() if snapshot.name not in stored]
    replaced = {version for commit in planned for version in _replaced(commit)} if without_object else set()
    for snapshot in without_object:
        yield _without_object(lake, snapshot, replaced)


def _replaced(commit: Commit) -> Iterator[tuple[str, str]]:
    """Keys and ETags of the data files that it replaces or removes."""
    yield from ((part.object.key, part.replaces) for part in commit.manifest.rewritten)
    yield from ((part.key, part.replaces) for part in commit.manifest.reduced)


def _missing(lake: Lake) -> Iterator[SnapshotRecord]:
    names = {snapshot.name for snapshot in lake.ledger.snapshots.all()}
    for record in stored_snapshots(lake):
        if record.name not in names and not lake.ledger.snapshots.was_dropped(record):
            yield record


def _without_object(lake: Lake, snapshot: Snapshot, replaced: Collection[tuple[str, str]]) -> Step:
    """It was dropped after the dump if one of its files is gone. Otherwise only its object is.

    `replaced` are versions that the ledger does not know as removed yet.
    """
    key = zones.snapshot_key(snapshot.name)
    for version in lake.ledger.snapshots.retained_files():
        is_removed = version.removed or (version.key, version.etag) in replaced
        is_retained = is_removed and snapshot.name in version.snapshots
        if is_retained and lake.store.stat(zones.retained_key(version.key, version.etag)) is None:
            return Step(
                action=Action.DROP,
                key=key,
                reason=f"snapshot {snapshot.name} was dropped: {version.key} is not retained any more",
                run=partial(lake.ledger.snapshots.drop, snapshot.name),
            )
    return Step(
        action=Action.STORE,
        key=key,
        reason=f"the ledger has snapshot {snapshot.name} and the store has no object of it",
        run=partial(store_again, lake, snapshot),
    )
