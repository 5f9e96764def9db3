"""Publish: make the parts of a recorded manifest visible, then settle the batch in the ledger.

Everything here is idempotent, because a worker may die at any line and the next one repeats all of it. The recorded
manifest decides whether a batch is published; nothing here does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from lake_pipeline.errors import LakeError
from lake_pipeline.model.manifest import Manifest, PendingObject
from lake_pipeline.storage.object_store import CONCURRENT_REQUESTS, ObjectStore
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.publication.commit_objects import store_commit
from lake_pipeline.usecases.publication.retained_files import retain_replaced

log = logging.getLogger(__name__)


def roll_forward(lake: Lake, batch_id: str, manifest: Manifest) -> None:
    """Publish every object of a batch past its point of no return, and mark its files.

    Raises `StorageUnavailable` or `LedgerUnavailable`: call it again, or leave it to the next worker. Raises
    `LedgerBehind` if another ledger has published with the same number: nothing became visible.
    """
    # First, so that a visible object is always explained by a commit in the store.
    store_commit(lake, batch_id)
    retain_replaced(lake, manifest)
    with ThreadPoolExecutor(CONCURRENT_REQUESTS, thread_name_prefix="publish") as pool:
        # In this order readers miss rows for a moment; in the other order they would see some twice.
        list(pool.map(lake.store.delete, manifest.deleted))
        list(pool.map(lake.store.publish, manifest.objects))
    if lake.ledger.publication.finish(batch_id, max_attempts=lake.max_attempts):
        log.info(
            "Batch %s: published %d files with %d rows in %d partitions",
            batch_id,
            len(manifest.curated),
            sum(part.rows for part in manifest.curated),
            len(manifest.partitions),
        )


def abort(store: ObjectStore, objects: Iterable[PendingObject]) -> None:
    """Abort pending objects that will not be published."""
    for pending in objects:
        try:
            store.abort(pending)
        except LakeError as error:
            # Readers never see it, and the next sweep removes it.
            log.warning("Could not abort the pending object of %s: %s", pending.key, error)
