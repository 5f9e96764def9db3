"""What the op `run_conversion` does, in both of its uses: behind `json_parsed_parquet` and in `ingest_batch_job`.

The use cases do the work, `reporting` tells Dagster about it; here is the order of things, and when a run fails.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG
from pydantic import Field

from lake_pipeline.defs.cancelling import CANCELLED, cancel_held_back
from lake_pipeline.defs.checks import CHECK_OUTPUTS
from lake_pipeline.defs.partitions import add_modes, lake_key
from lake_pipeline.defs.reporting import (
    Context,
    PartitionReport,
    add_metadata,
    log_checks,
    log_materializations,
    partition_reports,
)
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.ingest.lake import Lake
    from lake_pipeline.ingest.result import BatchResult

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10
"""Every line of a run's log is an event in Dagster's database."""


class ConversionConfig(dg.Config):
    """The run config of `run_conversion`: bounds of one batch, and whether what is published is made again."""

    batch_files: int | None = Field(default=None, ge=1, description="Most files in a batch; empty: LAKE_BATCH_FILES.")
    batch_bytes: int | None = Field(default=None, ge=1, description="Most raw bytes in it; empty: LAKE_BATCH_BYTES.")
    rebuild: bool = Field(
        default=True,
        description="Convert the originals of what was published in the chosen partitions before this run again, and "
        "replace it. Without effect where no partition is chosen.",
    )

    def apply(self, lake: Lake) -> Lake:
        """`lake` with these bounds."""
        return dataclasses.replace(
            lake,
            batch_files=self.batch_files or lake.batch_files,
            batch_bytes=self.batch_bytes or lake.batch_bytes,
        )


def convert_next_batch(context: dg.OpExecutionContext, lake: Lake) -> Iterator[dg.Output[None]]:
    """Convert one batch of whatever is pending and report every partition it touched.

    Raises `dg.Failure` when a file of it failed or a check did; what was published is reported first. A file that is
    quarantined is an outcome: the run succeeds, and the checks of the partition that the file promised warn.
    """
    batches = _convert(context, lake, partitions=None, most=1)
    reports = _report_touched(context, lake, batches)
    _fail_if_needed(batches, reports)
    yield from _outputs(CURATED_NAME, *CHECK_OUTPUTS)


def convert_partitions(context: dg.AssetExecutionContext, lake: Lake, *, rebuild: bool) -> Iterator[dg.Output[None]]:
    """Convert what is pending for the run's partitions; report these and every other partition that gained rows.

    With `rebuild`, what was published in them before is then made again from its originals. Raises `dg.Failure` as
    `convert_next_batch` does, and where the rebuild failed, which changes nothing. A run that is cancelled reports what
    it has published until then.
    """
    selected = [lake_key(key) for key in context.partition_keys]
    if SENSOR_NAME_TAG not in context.run.tags:
        _hurry(lake, selected)
    published = sorted({file.partition for file in lake.ledger.curated_files(selected)}) if rebuild else []
    batches = _convert(context, lake, partitions=selected)
    if any(map(_in_trouble, batches)):
        # Dagster would now call every selected partition materialized; only those that gained rows are.
        _fail_if_needed(batches, _report_touched(context, lake, batches))
    if published:
        _rebuild(context, lake, published, batches)
    with cancel_held_back() as cancelled:
        add_modes(context.instance, _touched(batches))
        reports = partition_reports(lake, batches, {*selected, *_touched(batches)})
        own, others = _split(reports, selected)
        log_materializations(context, others)
        add_metadata(context, own)
        if cancelled():
            # Dagster will not come to report what the run was asked for, and it is all there.
            log_materializations(context, own)
            log_checks(context, reports)
    yield from _outputs(CURATED_NAME)
    # Dagster has stored its materializations by now, and a check's result points at the one it is about.
    with cancel_held_back():
        log_checks(context, reports)
    _fail_if_needed(batches, reports)
    yield from _outputs(*CHECK_OUTPUTS)


def _hurry(lake: Lake, selected: Collection[PartitionKey]) -> None:
    """Somebody asked for these partitions now, perhaps because the store answers again: nothing of them is to wait."""
    if hurried := lake.ledger.hurry(selected):
        log.info("%d files that failed before are tried again now, ahead of their time", hurried)


def _rebuild(
    context: dg.AssetExecutionContext, lake: Lake, partitions: list[PartitionKey], batches: Sequence[BatchResult]
) -> None:
    from lake_pipeline.errors import LakeError
    from lake_pipeline.ingest.rebuild import rebuild

    try:
        with _told_if_cancelled(context, lake, batches):
            done = rebuild(lake, partitions, on_progress=_progress())
    except LakeError as error:
        _report_touched(context, lake, batches)
        raise dg.Failure(description=f"The rebuild failed: {error}", allow_retries=False) from error
    if done:
        log.info(
            "Rebuilt %d partitions from %d originals: %d rows, %d before",
            len(done.partitions),
            done.files,
            done.rows,
            done.rows_before,
        )


def _report_touched(context: Context, lake: Lake, batches: Sequence[BatchResult]) -> list[PartitionReport]:
    with cancel_held_back():
        touched = _touched(batches)
        add_modes(context.instance, touched)
        reports = partition_reports(lake, batches, touched)
        log_materializations(context, reports)
        log_checks(context, reports)
    return reports


@contextmanager
def _told_if_cancelled(context: Context, lake: Lake, batches: Sequence[BatchResult]) -> Iterator[None]:
    """Of a run that is cancelled inside, what it has published is reported: else "only missing" would make it again."""
    try:
        yield
    except CANCELLED:
        log.info("Cancelled. What was claimed is given back; %d batches were done and are reported", len(batches))
        _report_touched(context, lake, batches)
        raise


def _split(
    reports: Sequence[PartitionReport], selected: Collection[PartitionKey]
) -> tuple[list[PartitionReport], list[PartitionReport]]:
    inside = frozenset(selected)
    return (
        [report for report in reports if report.partition in inside],
        [report for report in reports if report.partition not in inside],
    )


def _outputs(*names: str) -> Iterator[dg.Output[None]]:
    return (dg.Output(None, output_name=name) for name in names)


def _convert(
    context: Context, lake: Lake, *, partitions: Collection[PartitionKey] | None, most: int | None = None
) -> list[BatchResult]:
    """Batch after batch, at `most` so many, until nothing is left to claim or one breaks."""
    from lake_pipeline.ingest.batch import ingest_batch

    done: list[BatchResult] = []
    published: list[BatchResult] = []
    with _told_if_cancelled(context, lake, published):
        while most is None or len(done) < most:
            result = ingest_batch(lake, partitions=partitions, on_progress=_progress(), on_published=published.append)
            if result is None:
                log.info("Nothing is left to claim" if done else "Nothing is pending here: no file was claimed")
                break
            done.append(result)
            _tell(result)
            if result.error:
                break  # Its files wait for their next attempt; what broke this batch would break the next one too.
    return done


def _progress() -> Callable[[int, int], None]:
    told = time.monotonic()

    def tell(files: int, size: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%d files, %.1f MB converted so far", files, size / 1e6)

    return tell


def _tell(result: BatchResult) -> None:
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


def _touched(batches: Sequence[BatchResult]) -> list[PartitionKey]:
    """Partitions that gained rows. Of a batch with an error, readers see nothing new yet, or not all of it."""
    return sorted({partition for batch in batches if not batch.error for partition in batch.partitions})


def _in_trouble(batch: BatchResult) -> bool:
    """Whether trying again is still to come. What is quarantined is settled (docs/decisions/0017)."""
    return bool(batch.error or batch.failed)


def _fail_if_needed(batches: Sequence[BatchResult], reports: Sequence[PartitionReport]) -> None:
    """Raises `dg.Failure`, not to be retried by Dagster: the ledger owns retries."""
    problems = [_problem(batch) for batch in batches if _in_trouble(batch)]
    problems += [f"Partition {report.partition}: {text}" for report in reports for text in report.failed_checks]
    if problems:
        raise dg.Failure(
            description="\n".join(problems),
            metadata={"batches": [batch.batch_id for batch in batches]},
            allow_retries=False,
        )


def _problem(batch: BatchResult) -> str:
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
