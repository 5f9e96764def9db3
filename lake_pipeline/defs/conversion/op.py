"""The body of the op `run_conversion`, for both of its uses: in `json_parsed_parquet` and in `ingest_batch_job`.

It defines the order of the steps and when a run fails. The use cases do the work, `conversion.events` reports it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from lake_pipeline.defs.checks import CHECK_OUTPUTS
from lake_pipeline.defs.conversion.cancellation import CANCELED, cancellation_delayed
from lake_pipeline.defs.conversion.events import (
    PartitionReport,
    add_metadata,
    log_checks,
    log_materializations,
    partition_reports,
)
from lake_pipeline.defs.conversion.run_log import failure_text, log_result, progress_logger
from lake_pipeline.defs.conversion.runs import BACKFILL_TAG, SENSOR_TAG
from lake_pipeline.defs.instance.step_events import Context
from lake_pipeline.defs.partitions import add_modes, lake_key
from lake_pipeline.escaping.lines import one_line
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.zones import CURATED_NAME

if TYPE_CHECKING:
    from lake_pipeline.usecases.batches.result import BatchResult
    from lake_pipeline.usecases.lake import Lake

log = logging.getLogger(__name__)


class ConversionConfig(dg.Config):
    """The run config of `run_conversion`."""

    batch_files: int | None = Field(default=None, ge=1, description="Most files in a batch; empty: LAKE_BATCH_FILES.")
    batch_bytes: int | None = Field(default=None, ge=1, description="Most raw bytes in it; empty: LAKE_BATCH_BYTES.")
    rebuild: bool = Field(
        default=True,
        description="Convert the originals of what was published in the chosen partitions before this run again, and "
        "replace it. No effect if no partition is chosen.",
    )
    partitions: list[str] = Field(
        default=[],
        description="For ingest_batch_job: exactly these partitions, for example 2026-02-03|live, in one run even if "
        "they have gaps. Empty: any pending files. A run of the asset gets its partitions from the dialog.",
    )

    def apply(self, lake: Lake) -> Lake:
        """`lake` with these limits."""
        return dataclasses.replace(
            lake,
            batch_files=self.batch_files or lake.batch_files,
            batch_bytes=self.batch_bytes or lake.batch_bytes,
        )


def convert_next_batch(context: dg.OpExecutionContext, lake: Lake) -> Iterator[dg.Output[None]]:
    """Convert one batch of pending files and report every partition that gained rows.

    Raises `dg.Failure` if one of its files failed or a check did; what was published is reported first. A quarantined
    file fails nothing: the run succeeds, and the checks of the partition that the file promised warn.
    """
    batches = _convert(context, lake, partitions=None, most=1)
    reports = _report_changed(context, lake, batches)
    _fail_if_needed(batches, reports)
    yield from _outputs(CURATED_NAME, *CHECK_OUTPUTS)


def convert_selection(
    context: dg.OpExecutionContext, lake: Lake, selected: Collection[PartitionKey], *, rebuild: bool
) -> Iterator[dg.Output[None]]:
    """Like `convert_partitions`, in one run for partitions with gaps; a backfill needs a run per contiguous range."""
    batches = _convert_selected(context, lake, selected, rebuild=rebuild)
    reports = _report(context, lake, batches, {*selected, *_changed_partitions(batches)})
    _fail_if_needed(batches, reports)
    yield from _outputs(CURATED_NAME, *CHECK_OUTPUTS)


def convert_partitions(context: dg.AssetExecutionContext, lake: Lake, *, rebuild: bool) -> Iterator[dg.Output[None]]:
    """Convert what is pending for the run's partitions; report these and every other partition that gained rows.

    With `rebuild`, what was published in them before is then converted again from its originals. Raises `dg.Failure`
    like `convert_next_batch`, and if the rebuild failed, which changes nothing. A canceled run reports what it has
    published.
    """
    selected = [lake_key(key) for key in context.partition_keys]
    batches = _convert_selected(context, lake, selected, rebuild=rebuild)
    with cancellation_delayed() as canceled:
        changed = _changed_partitions(batches)
        add_modes(context.instance, changed)
        reports = partition_reports(lake, batches, {*selected, *changed})
        own, others = _split(reports, selected)
        log_materializations(context, others)
        add_metadata(context, own)
        if canceled():
            # Dagster will not report the run's own partitions any more, and all of them are complete.
            log_materializations(context, own)
            log_checks(context, reports)
    yield from _outputs(CURATED_NAME)
    # Dagster has now stored its materializations, which the check results refer to.
    with cancellation_delayed():
        log_checks(context, reports)
    _fail_if_needed(batches, reports)
    yield from _outputs(*CHECK_OUTPUTS)


def _convert_selected(
    context: Context, lake: Lake, selected: Collection[PartitionKey], *, rebuild: bool
) -> list[BatchResult]:
    """First what is pending for `selected`, then what was published in it before."""
    if SENSOR_TAG not in context.run.tags:
        _retry_now(lake, selected)
    published = sorted({file.partition for file in lake.ledger.curated.files(selected)}) if rebuild else []
    batches = _convert(context, lake, partitions=selected)
    if any(map(_needs_retry, batches)):
        # Dagster would report every selected partition as materialized, but only the changed ones are.
        _fail_if_needed(batches, _report_changed(context, lake, batches))
    if published:
        _rebuild(context, lake, published, batches)
    return batches


def _retry_now(lake: Lake, selected: Collection[PartitionKey]) -> None:
    """Skip the backoff of failed files: a person launched the run, perhaps because an outage is over."""
    if files := lake.ledger.operations.retry_now(selected):
        log.info("%d files that failed before are retried now, without waiting for their backoff", files)


def _rebuild(context: Context, lake: Lake, partitions: list[PartitionKey], batches: Sequence[BatchResult]) -> None:
    from lake_pipeline.errors import LakeError
    from lake_pipeline.usecases.batches.rebuild import rebuild

    try:
        with _reported_if_canceled(context, lake, batches):
            result = rebuild(lake, partitions, on_progress=progress_logger())
    except LakeError as error:
        _report_changed(context, lake, batches)
        raise dg.Failure(description=one_line(f"The rebuild failed: {error}"), allow_retries=False) from error
    if result:
        log.info(
            "Rebuilt %d partitions from %d originals: %d rows, %d before",
            len(result.partitions),
            result.files,
            result.rows,
            result.rows_before,
        )


def _report_changed(context: Context, lake: Lake, batches: Sequence[BatchResult]) -> list[PartitionReport]:
    return _report(context, lake, batches, _changed_partitions(batches))


def _report(
    context: Context, lake: Lake, batches: Sequence[BatchResult], partitions: Collection[PartitionKey]
) -> list[PartitionReport]:
    with cancellation_delayed():
        add_modes(context.instance, partitions)
        reports = partition_reports(lake, batches, partitions)
        log_materializations(context, reports)
        log_checks(context, reports)
    return reports


@contextmanager
def _reported_if_canceled(context: Context, lake: Lake, batches: Sequence[BatchResult]) -> Iterator[None]:
    """If the run is canceled inside, report what it has published; else "only missing" would convert it again."""
    try:
        yield
    except CANCELED:
        log.info("Canceled. Claimed files are released; %d batches were published and are reported", len(batches))
        _report_changed(context, lake, batches)
        raise


@contextmanager
def _reported_if_paused(context: Context, lake: Lake, batches: Sequence[BatchResult]) -> Iterator[None]:
    """If nothing may be claimed because of an outage, report what was published, and fail the run with the reason."""
    from lake_pipeline.errors import LakePaused

    try:
        yield
    except LakePaused as pause:
        _report_changed(context, lake, batches)
        raise dg.Failure(description=str(pause), allow_retries=False) from pause


def _split(
    reports: Sequence[PartitionReport], selected: Collection[PartitionKey]
) -> tuple[list[PartitionReport], list[PartitionReport]]:
    own = frozenset(selected)
    return (
        [report for report in reports if report.partition in own],
        [report for report in reports if report.partition not in own],
    )


def _outputs(*names: str) -> Iterator[dg.Output[None]]:
    return (dg.Output(None, output_name=name) for name in names)


def _convert(
    context: Context, lake: Lake, *, partitions: Collection[PartitionKey] | None, most: int | None = None
) -> list[BatchResult]:
    """Convert batch after batch, at most `most`, until nothing is left to claim or a batch has an error."""
    from lake_pipeline.usecases.batches.ingest import ingest_batch

    results: list[BatchResult] = []
    published: list[BatchResult] = []
    # A person launched the run, perhaps because an outage is over.
    probe_now = not {SENSOR_TAG, BACKFILL_TAG} & context.run.tags.keys()
    with _reported_if_canceled(context, lake, published):
        while most is None or len(results) < most:
            with _reported_if_paused(context, lake, results):
                result = ingest_batch(
                    lake,
                    partitions=partitions,
                    on_progress=progress_logger(),
                    on_published=published.append,
                    probe_now=probe_now and not results,
                )
            if result is None:
                log.info("Nothing is left to claim" if results else "Nothing is pending here: no file was claimed")
                break
            results.append(result)
            log_result(result)
            if result.error:
                break  # Its files wait for their next attempt; the cause would fail the next batch too.
    return results


def _changed_partitions(batches: Sequence[BatchResult]) -> list[PartitionKey]:
    """Partitions that gained rows. A batch with an error is published partly or not at all."""
    return sorted({partition for batch in batches if not batch.error for partition in batch.partitions})


def _needs_retry(batch: BatchResult) -> bool:
    """Whether files of the batch will be retried. Quarantined files will not (docs/decisions/0017)."""
    return bool(batch.error or batch.failed)


def _fail_if_needed(batches: Sequence[BatchResult], reports: Sequence[PartitionReport]) -> None:
    """Raises `dg.Failure` that Dagster does not retry: the ledger owns retries."""
    problems = [failure_text(batch) for batch in batches if _needs_retry(batch)]
    problems += [f"Partition {report.partition}: {text}" for report in reports for text in report.failed_checks]
    if problems:
        raise dg.Failure(
            description="\n".join(map(one_line, problems)),
            metadata={"batches": [batch.batch_id for batch in batches]},
            allow_retries=False,
        )
