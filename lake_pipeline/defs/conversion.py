"""What the op `run_conversion` does, in both of its uses: behind `json_parsed_parquet` and in `ingest_batch_job`.

The use cases do the work, `reporting` tells Dagster about it; here is the order of things, and when a run fails.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG
from pydantic import Field

from lake_pipeline.defs.batch_log import problem, progress, tell
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


class ConversionConfig(dg.Config):
    """The run config of `run_conversion`: bounds of one batch, whether what is published is made again, and of what."""

    batch_files: int | None = Field(default=None, ge=1, description="Most files in a batch; empty: LAKE_BATCH_FILES.")
    batch_bytes: int | None = Field(default=None, ge=1, description="Most raw bytes in it; empty: LAKE_BATCH_BYTES.")
    rebuild: bool = Field(
        default=True,
        description="Convert the originals of what was published in the chosen partitions before this run again, and "
        "replace it. Without effect where no partition is chosen.",
    )
    partitions: list[str] = Field(
        default=[],
        description="For ingest_batch_job: exactly these partitions, like 2026-02-03|live, in one run whatever lies "
        "between them. Empty: whatever is pending. A run of the asset has its partitions from the dialog.",
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


def convert_selection(
    context: dg.OpExecutionContext, lake: Lake, selected: Collection[PartitionKey], *, rebuild: bool
) -> Iterator[dg.Output[None]]:
    """What `convert_partitions` does, in one run for partitions with gaps: a backfill has a run for each piece."""
    batches = _convert_selected(context, lake, selected, rebuild=rebuild)
    reports = _report(context, lake, batches, {*selected, *_touched(batches)})
    _fail_if_needed(batches, reports)
    yield from _outputs(CURATED_NAME, *CHECK_OUTPUTS)


def convert_partitions(context: dg.AssetExecutionContext, lake: Lake, *, rebuild: bool) -> Iterator[dg.Output[None]]:
    """Convert what is pending for the run's partitions; report these and every other partition that gained rows.

    With `rebuild`, what was published in them before is then made again from its originals. Raises `dg.Failure` as
    `convert_next_batch` does, and where the rebuild failed, which changes nothing. A run that is cancelled reports what
    it has published until then.
    """
    selected = [lake_key(key) for key in context.partition_keys]
    batches = _convert_selected(context, lake, selected, rebuild=rebuild)
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


def _convert_selected(
    context: Context, lake: Lake, selected: Collection[PartitionKey], *, rebuild: bool
) -> list[BatchResult]:
    """First what is pending for `selected`, then what was published in it before."""
    if SENSOR_NAME_TAG not in context.run.tags:
        _hurry(lake, selected)
    published = sorted({file.partition for file in lake.ledger.curated_files(selected)}) if rebuild else []
    batches = _convert(context, lake, partitions=selected)
    if any(map(_in_trouble, batches)):
        # Dagster would now call every selected partition materialized; only those that gained rows are.
        _fail_if_needed(batches, _report_touched(context, lake, batches))
    if published:
        _rebuild(context, lake, published, batches)
    return batches


def _hurry(lake: Lake, selected: Collection[PartitionKey]) -> None:
    """Somebody asked for these partitions now, perhaps because the store answers again: nothing of them is to wait."""
    if hurried := lake.ledger.hurry(selected):
        log.info("%d files that failed before are tried again now, ahead of their time", hurried)


def _rebuild(context: Context, lake: Lake, partitions: list[PartitionKey], batches: Sequence[BatchResult]) -> None:
    from lake_pipeline.errors import LakeError
    from lake_pipeline.ingest.rebuild import rebuild

    try:
        with _told_if_cancelled(context, lake, batches):
            done = rebuild(lake, partitions, on_progress=progress())
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
    return _report(context, lake, batches, _touched(batches))


def _report(
    context: Context, lake: Lake, batches: Sequence[BatchResult], partitions: Collection[PartitionKey]
) -> list[PartitionReport]:
    with cancel_held_back():
        add_modes(context.instance, partitions)
        reports = partition_reports(lake, batches, partitions)
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
            result = ingest_batch(lake, partitions=partitions, on_progress=progress(), on_published=published.append)
            if result is None:
                log.info("Nothing is left to claim" if done else "Nothing is pending here: no file was claimed")
                break
            done.append(result)
            tell(result)
            if result.error:
                break  # Its files wait for their next attempt; what broke this batch would break the next one too.
    return done


def _touched(batches: Sequence[BatchResult]) -> list[PartitionKey]:
    """Partitions that gained rows. Of a batch with an error, readers see nothing new yet, or not all of it."""
    return sorted({partition for batch in batches if not batch.error for partition in batch.partitions})


def _in_trouble(batch: BatchResult) -> bool:
    """Whether trying again is still to come. What is quarantined is settled (docs/decisions/0017)."""
    return bool(batch.error or batch.failed)


def _fail_if_needed(batches: Sequence[BatchResult], reports: Sequence[PartitionReport]) -> None:
    """Raises `dg.Failure`, not to be retried by Dagster: the ledger owns retries."""
    problems = [problem(batch) for batch in batches if _in_trouble(batch)]
    problems += [f"Partition {report.partition}: {text}" for report in reports for text in report.failed_checks]
    if problems:
        raise dg.Failure(
            description="\n".join(problems),
            metadata={"batches": [batch.batch_id for batch in batches]},
            allow_retries=False,
        )
