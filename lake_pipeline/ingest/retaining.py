"""Retaining: a published file that a snapshot holds keeps its bytes when it leaves the plain path.

It is copied to `retained/` before it is replaced or deleted, in the same roll-forward, and goes from there when the
last snapshot that holds it is dropped. Everything here may be done again.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lake_pipeline.errors import ObjectChanged, ObjectMissing
from lake_pipeline.ingest.lake import REQUESTS_AT_ONCE, Lake
from lake_pipeline.ledger.snapshots import Version
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.storage.zones import retained_key

log = logging.getLogger(__name__)


def retain_held(lake: Lake, manifest: Manifest) -> None:
    """Copy what `manifest` replaces or deletes and a snapshot holds: past the point of no return, before anything goes.

    Which files are held can't change any more for these: a snapshot is not made of files that are being replaced.
    """
    replaced = [
        *((part.object.key, part.replaces) for part in manifest.rewritten),
        *((part.key, part.replaces) for part in manifest.stripped),
    ]
    if not replaced:
        return
    held = lake.ledger.held_versions(replaced)
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="retain") as pool:
        list(pool.map(partial(_retain, lake), held))


def let_go(lake: Lake) -> int:
    """Delete the copies that no snapshot needs any more; returns how many."""
    freed = lake.ledger.files_to_let_go()
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="let-go") as pool:
        list(pool.map(lake.store.delete, [retained_key(key, etag) for key, etag in freed]))
    lake.ledger.forget_dropped_files()
    return len(freed)


def _retain(lake: Lake, version: Version) -> None:
    key, etag = version
    try:
        lake.store.copy(key, retained_key(key, etag), etag=etag)
    except (ObjectMissing, ObjectChanged) as error:
        # It was damaged before, and a rebuild that mends the lake must not wait for what nobody has any more.
        log.error("A snapshot holds %s, and it can't be kept for it: %s `lake fsck` names the snapshot.", key, error)
