"""`lake ingest`: convert, publish and archive pending files without Dagster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, progress, size

if TYPE_CHECKING:
    from lake_pipeline.usecases.batches.result import BatchResult
    from lake_pipeline.usecases.lake import Lake


@click.command()
@click.option("--max-batches", type=click.IntRange(min=1), help="Stop after this many batches.")
@click.option("--now", "probe_now", is_flag=True, help="Probe the store and the engine at once, even during a pause.")
@as_json
def ingest(max_batches: int | None, probe_now: bool, json_: bool) -> None:
    """Convert, publish and archive pending files, batch by batch, until none is left.

    If the store or the engine fails, the files of the batch are pending again as before, the exit code is 1, and the
    next batches wait: `lake status` shows until when.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.batches.ingest import ingest_all

    batches = failed_files = unpublished = 0
    outage = error = damage = reason = None
    # Each batch checks the identity of the lake, and records an outage that it meets there.
    with open_lake(load_settings(), reading=True) as lake, progress("Ingesting", total=_waiting(lake)) as show:
        offset = _Offset(show)
        for batch in ingest_all(lake, max_batches=max_batches, on_progress=offset.files, probe_now=probe_now):
            offset.add(batch.files)
            batches, failed_files = batches + 1, failed_files + batch.failed
            outage, error = batch.outage, batch.error or error
            damage = batch.damage or damage
            unpublished, reason = unpublished + batch.unpublished, reason or batch.unpublished_reason
            print_json(batch_json(batch)) if json_ else _print_batch(batch)
        if not batches:
            print_line(_nothing_to_do(lake), err=json_)
    if outage:
        raise click.ClickException(outage)
    if damage:
        raise click.ClickException(damage)
    if failed_files:
        raise click.ClickException(
            f"{failed_files} files failed. They will be retried after the backoff: run `lake ingest` later."
        )
    if error:
        raise click.ClickException(error)
    if unpublished:
        raise click.ClickException(f"Nothing of {unpublished:,} files can be published. The first: {reason}")


def batch_json(batch: BatchResult) -> dict[str, Any]:
    """One batch in the format of `lake ingest --json`. `rows` counts published rows, `bytes` raw bytes."""
    fields = asdict(batch)
    return {
        "id": fields.pop("batch_id"),
        "files": fields.pop("files"),
        "rows": batch.rows_published,
        "partitions": len(fields.pop("partitions")),
        "seconds": round(fields.pop("seconds"), 3),
        "bytes": fields.pop("bytes"),
        **fields,
    }


def _print_batch(batch: BatchResult) -> None:
    if batch.released:
        print_line(f"Batch {batch.batch_id}: {batch.files:,} files are pending again as before. {batch.error}")
        return
    if batch.error:
        quarantined = f" and {batch.quarantined:,} are quarantined" if batch.quarantined else ""
        print_line(f"Batch {batch.batch_id}: {batch.failed:,} files failed{quarantined}. {batch.error}")
        return
    rate = batch.bytes / batch.seconds if batch.seconds else 0.0
    refused = f", {batch.quarantined:,} files quarantined" if batch.quarantined else ""
    print_line(
        f"Batch {batch.batch_id}: {batch.files:,} files, {batch.rows_read:,} records read = "
        f"{batch.rows_published:,} published + {batch.rows_quarantined:,} quarantined{refused}; "
        f"{len(batch.partitions):,} partitions, {batch.seconds:.1f} s, {size(rate)}/s"
    )
    for change in batch.contract_changes:
        print_line(f"  {change}")


def _waiting(lake: Lake) -> int:
    from lake_pipeline.model.states import FileState

    files = lake.ledger.views.status().files
    return files[FileState.PENDING] + files[FileState.FAILED]


def _nothing_to_do(lake: Lake) -> str:
    from lake_pipeline.model.states import FileState

    files = lake.ledger.views.status().files
    if processing := files[FileState.PROCESSING]:
        return f"Nothing to do: {processing:,} files are being processed by other workers."
    if failed := files[FileState.FAILED]:
        return f"Nothing to do now: {failed:,} failed files wait for their next attempt."
    return "Nothing to do: no file is pending. Run `lake discover` to find new files."


class _Offset:
    """A batch counts its own files from zero; the progress bar counts those of all batches."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self._show = show
        self._before = 0

    def files(self, files_done: int, _bytes_done: int) -> None:
        self._show(self._before + files_done)

    def add(self, files: int) -> None:
        self._before += files
        self._show(self._before)
