"""Retained objects: published files that left the plain path and that a snapshot holds.

No reader of the plain path sees them. What stands under a key of theirs that is neither held nor removed yet belongs to
a publish at this moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.ingest.fsck.findings import Finding, Problem
from lake_pipeline.ingest.fsck.ordering import in_order, side_by_side
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.ledger.snapshots import HeldFile
from lake_pipeline.storage import zones
from lake_pipeline.storage.objects import ObjectInfo


def retained(lake: Lake) -> Iterator[Finding]:
    """Compare what is retained with what snapshots hold."""
    objects = in_order(lake.store.objects(zones.RETAINED), lambda info: info.key)
    held = in_order(lake.ledger.held_files(), _place)
    for key, found, known in side_by_side(objects, lambda info: info.key, held, _place):
        if not _fits(found[0] if found else None, known[0] if known else None):
            # Snapshots are made and dropped, and files replaced, while this looks.
            versions = lake.ledger.held_files_of_key(zones.curated_key_of(key))
            now = next((version for version in versions if _place(version) == key), None)
            yield from _judge(lake, key, lake.store.stat(key), now)


def _place(held: HeldFile) -> str:
    return zones.retained_key(held.key, held.etag)


def _fits(found: ObjectInfo | None, held: HeldFile | None) -> bool:
    if held is None:
        return found is None
    return found.size == held.size if found else not held.removed


def _judge(lake: Lake, key: str, found: ObjectInfo | None, held: HeldFile | None) -> Iterator[Finding]:
    if _fits(found, held):
        return
    if held is None:
        yield Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} is kept for a snapshot, and none holds it. `lake fsck --repair` removes it.",
            mend=partial(lake.store.delete, key),
        )
        return
    what = "is gone" if found is None else f"has {found.size} bytes, and {held.size} were published"
    yield Finding(
        problem=Problem.MISSING if found is None else Problem.WRONG_OBJECT,
        key=key,
        text=f"{key} with {held.rows} rows {what}. It is held by {', '.join(held.snapshots)}, which can't be "
        "read whole any more: restore it from a backup, or drop what holds it. Readers of the plain path miss nothing.",
    )
