"""Retained files: data files that left the table and are in a snapshot.

Readers of the plain path do not see them. A retained file of a data file that is in a snapshot and still in the table
belongs to a publication in progress.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lake_pipeline.ledger.snapshots import RetainedFile
from lake_pipeline.storage import zones
from lake_pipeline.storage.object_store import ObjectInfo
from lake_pipeline.usecases.fsck.external_sort import external_sorted, merge_by_key
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake


def retained(lake: Lake) -> Iterator[Finding]:
    """Compare the retained files with the snapshots."""
    objects = external_sorted(lake.store.objects(zones.RETAINED), lambda info: info.key)
    retained_files = external_sorted(lake.ledger.snapshots.retained_files(), _retained_key)
    for key, infos, files in merge_by_key(objects, lambda info: info.key, retained_files, _retained_key):
        if not _fits(infos[0] if infos else None, files[0] if files else None):
            # Meanwhile snapshots may have been created or dropped, and files replaced.
            versions = lake.ledger.snapshots.retained_files_of_key(zones.curated_key_of(key))
            now = next((version for version in versions if _retained_key(version) == key), None)
            yield from _compare(lake, key, lake.store.stat(key), now)


def _retained_key(retained_file: RetainedFile) -> str:
    return zones.retained_key(retained_file.key, retained_file.etag)


def _fits(info: ObjectInfo | None, retained_file: RetainedFile | None) -> bool:
    if retained_file is None:
        return info is None
    return info.size == retained_file.size if info else not retained_file.removed


def _compare(lake: Lake, key: str, info: ObjectInfo | None, retained_file: RetainedFile | None) -> Iterator[Finding]:
    if _fits(info, retained_file):
        return
    if retained_file is None:
        yield Finding(
            problem=Problem.ORPHANED,
            key=key,
            text=f"{key} is retained for a snapshot, and no snapshot has it. `lake fsck --repair` removes it.",
            mend=partial(lake.store.delete, key),
        )
        return
    what = "is gone" if info is None else f"has {info.size} bytes, and {retained_file.size} were published"
    yield Finding(
        problem=Problem.MISSING if info is None else Problem.WRONG_OBJECT,
        key=key,
        text=f"{key} with {retained_file.rows} rows {what}. It is in {', '.join(retained_file.snapshots)}, which "
        "can't be read completely any more: restore it from a backup, or drop the snapshots. Readers of the plain path "
        "miss nothing.",
    )
