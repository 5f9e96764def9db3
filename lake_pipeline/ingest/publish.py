"""Publishing: make the parts of a recorded manifest visible, then settle the batch in the ledger.

Everything here is idempotent, because the worker that began it may die at any line and another one does all
of it again. Nothing here decides whether a batch is published: the recorded manifest did.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from lake_pipeline.errors import LakeError
from lake_pipeline.ingest.lake import REQUESTS_AT_ONCE, Lake
from lake_pipeline.ingest.retaining import retain_held
from lake_pipeline.model.manifest import Manifest
from lake_pipeline.storage.objects import ObjectStore

log = logging.getLogger(__name__)


def roll_forward(lake: Lake, batch_id: str, manifest: Manifest) -> None:
    """Publish every object of a batch past its point of no return, and mark its files.

    Raises `StorageUnavailable` or `LedgerUnavailable`: call again, or leave it to whoever comes next.
    """
    retain_held(lake, manifest)
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="publish") as pool:
        # In this order readers miss rows for a moment; the other way round they would see some twice.
        list(pool.map(lake.store.delete, manifest.deleted))
        list(pool.map(lake.store.publish, manifest.objects))
    if lake.ledger.finish_publish(batch_id, max_attempts=lake.max_attempts):
        log.info(
            "Batch %s: published %d files with %d rows in %d partitions",
            batch_id,
            len(manifest.curated),
            sum(part.rows for part in manifest.curated),
            len(manifest.partitions),
        )


def abort(store: ObjectStore, manifest: Manifest) -> None:
    """Forget the pending objects of a conversion that will not be published."""
    for pending in manifest.objects:
        try:
            store.abort(pending)
        except LakeError as error:
            # Litter, not a loss: nobody can see it, and the next sweep takes it away.
            log.warning("%s could not be aborted: %s", pending.key, error)
