"""Retained files: a data file in a snapshot keeps its bytes when it leaves the table.

It is copied to `retained/` before it is replaced or deleted, in the same roll-forward, and deleted there when the last
snapshot with it is dropped. Everything here can be repeated.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lake_pipeline.errors import ObjectChanged, ObjectMissing
from lake_pipeline.ledger.snapshots import Version
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS
from lake_pipeline.storage.zones import retained_key
from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)


def retain_replaced(lake: Lake, manifest: Manifest) -> None:
    """Copy the files in snapshots that `manifest` replaces or deletes: after the point of no return, before any of them
    changes.

    Which of them are in snapshots can't change any more: no snapshot is created with files that are being replaced.
    """
    replaced = [
        *((part.object.key, part.replaces) for part in manifest.rewritten),
        *((part.key, part.replaces) for part in manifest.reduced),
    ]
    if not replaced:
        return
    retained_files = lake.ledger.snapshots.retained(replaced)
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="retain") as pool:
        list(pool.map(partial(_retain, lake), retained_files))


def delete_unneeded(lake: Lake) -> int:
    """Delete the retained files that no snapshot needs any more; returns how many."""
    unneeded = lake.ledger.snapshots.releasable_files()
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="delete-retained") as pool:
        list(pool.map(lake.store.delete, [retained_key(key, etag) for key, etag in unneeded]))
    lake.ledger.snapshots.forget_released_files()
    return len(unneeded)


def _retain(lake: Lake, version: Version) -> None:
    key, etag = version
    try:
        lake.store.copy(key, retained_key(key, etag), etag=etag)
    except (ObjectMissing, ObjectChanged) as error:
        # It was damaged before, and a rebuild that repairs the lake must not wait for bytes that no longer exist.
        log.error("%s is in a snapshot and can't be retained: %s `lake fsck` names the snapshot.", key, error)
