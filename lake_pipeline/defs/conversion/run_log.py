"""The messages of a run's log about its batches: progress, result, and what failed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_pipeline.usecases.batches.result import BatchResult

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
"""Each line of a run's log is an event in Dagster's database."""


def progress_logger() -> Callable[[int, int], None]:
    """A callback that logs how many files and bytes are converted, at most every `PROGRESS_SECONDS`."""
    last_logged = time.monotonic()

    def log_progress(files: int, size: int) -> None:
        nonlocal last_logged
        if time.monotonic() - last_logged >= PROGRESS_SECONDS:
            last_logged = time.monotonic()
            log.info("%d files, %.1f MB converted so far", files, size / 1e6)

    return log_progress


def log_result(result: BatchResult) -> None:
    """Log the result of a batch."""
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
            "Batch %s: %d files can't be converted and are quarantined whole, for the reasons above. Nothing is lost; "
            "after fixing the cause, convert them again with `lake retry`",
            result.batch_id,
            result.quarantined,
        )


def failure_text(batch: BatchResult) -> str:
    """Why a batch failed, as part of the run's error message."""
    if batch.outage:
        return f"Batch {batch.batch_id} of {batch.files} files stopped. {batch.outage}"
    if batch.released:
        return (
            f"Batch {batch.batch_id} published nothing: {batch.error} Its {batch.files} files lost no attempt, and are "
            "retried in other batches."
        )
    if batch.error and batch.failed:
        return (
            f"Batch {batch.batch_id} published nothing: {batch.error} {batch.failed} of its {batch.files} files are "
            f"kept in the ledger and retried with growing backoff; nothing is lost.{_quarantined_text(batch)}"
        )
    if batch.error and batch.quarantined == batch.files:
        return f"Batch {batch.batch_id} published nothing: {batch.error}{_quarantined_text(batch)}"
    if batch.error:
        return f"Batch {batch.batch_id} of {batch.files} files: {batch.error}"
    return (
        f"Batch {batch.batch_id}: {batch.succeeded} of {batch.files} files were published. {batch.failed} failed and "
        "will be retried automatically; see this run's log for the reasons."
    )


def _quarantined_text(batch: BatchResult) -> str:
    if not batch.quarantined:
        return ""
    return (
        f" {batch.quarantined} files have no attempt left and are quarantined. Nothing is lost; after fixing the "
        "cause, convert them again with `lake retry`."
    )
