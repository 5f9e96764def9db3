"""What a run's log says of its batches: how far one is, what came of it, what is wrong with it and what follows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_pipeline.ingest.result import BatchResult

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
"""Every line of a run's log is an event in Dagster's database."""


def progress() -> Callable[[int, int], None]:
    """Tells now and then how many files and bytes are converted."""
    told = time.monotonic()

    def tell(files: int, size: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%d files, %.1f MB converted so far", files, size / 1e6)

    return tell


def tell(result: BatchResult) -> None:
    """What came of a batch."""
    log.info(
        "Batch %s: %d of %d files published in %.1f s: %d rows read = %d published + %d quarantined, in %d partitions",
        result.batch_id,
        result.succeeded,
        result.files,
        result.seconds,
        result.rows_read,
        result.rows_published,
        result.rows_quarantined,
        len(result.partitions),
    )
    if result.quarantined:
        log.warning(
            "Batch %s: %d files can't be converted and are quarantined whole, as told above. Nothing of them is lost; "
            "after mending the cause bring them back with `lake retry`",
            result.batch_id,
            result.quarantined,
        )


def problem(batch: BatchResult) -> str:
    """What is wrong with a batch of which something failed, for who reads why the run did."""
    if batch.error and batch.failed:
        return (
            f"Batch {batch.batch_id} published nothing: {batch.error} Its {batch.files} files are kept in the ledger "
            "and tried again with growing pauses; nothing is lost."
        )
    if batch.error:
        return f"Batch {batch.batch_id} of {batch.files} files: {batch.error}"
    return (
        f"Batch {batch.batch_id}: {batch.succeeded} of {batch.files} files were published. {batch.failed} failed and "
        "will be tried again by themselves; this run's log says why."
    )
