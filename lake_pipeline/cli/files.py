"""`lake discover`, `lake ingest`, `lake status`: what happens to files, without Dagster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.contract import widen_command
from lake_pipeline.cli.output import as_json, print_json, print_table, progress, size

if TYPE_CHECKING:
    from lake_pipeline.ingest.arrivals import Arrivals
    from lake_pipeline.ingest.discover import Discovery
    from lake_pipeline.ingest.lake import Lake
    from lake_pipeline.ingest.result import BatchResult
    from lake_pipeline.settings import Settings


@click.command()
@click.option("--inventory", metavar="URI", help="Read an S3 Inventory instead: s3://…/manifest.json.")
@click.option("--events", is_flag=True, help="Take what the queue of LAKE_EVENTS_QUEUE_URL tells instead.")
@as_json
def discover(inventory: str | None, events: bool, json_: bool) -> None:
    """List the landing zones and register what is new."""
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    if inventory and events:
        raise click.UsageError("--inventory and --events exclude each other.")
    settings = load_settings()
    what = "Reading the inventory" if inventory else "Reading events" if events else "Listing"
    with open_lake(settings) as lake, progress(what) as seen:
        found = _discovered(lake, settings, inventory=inventory, events=events, on_progress=seen)
    if json_:
        print_json(asdict(found))
        return
    click.echo(f"{found.seen:,} files seen, {found.new:,} of them new ({size(found.new_bytes)}).")
    if found.thawed:
        click.echo(f"{found.thawed:,} files were restored from an archive storage class and are pending now.")
    if found.frozen:
        click.echo(
            f"{found.frozen:,} files are in an archive storage class (Glacier): restore them, then discover again."
        )
    if found.new:
        click.echo("Next: lake ingest")


def _discovered(
    lake: Lake, settings: Settings, *, inventory: str | None, events: bool, on_progress: Callable[[int], None]
) -> Discovery | Arrivals:
    from lake_pipeline.ingest.arrivals import register_arrivals
    from lake_pipeline.ingest.discover import discover as discover_files
    from lake_pipeline.ingest.discover import register
    from lake_pipeline.opening import event_queue, listed_inventory

    if events:
        return register_arrivals(lake, event_queue(settings), on_progress=on_progress)
    if inventory:
        return register(lake, listed_inventory(settings, inventory), on_progress)
    return discover_files(lake, on_progress=on_progress)


@click.command()
@click.option("--max-batches", type=click.IntRange(min=1), help="Stop after so many batches.")
@as_json
def ingest(max_batches: int | None, json_: bool) -> None:
    """Convert, publish and archive pending files, batch by batch, until none is left."""
    from lake_pipeline.ingest.batch import ingest_all
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    done = failed = 0
    with open_lake(load_settings()) as lake, progress("Ingesting", total=_waiting(lake)) as show:
        offset = _Offset(show)
        for batch in ingest_all(lake, max_batches=max_batches, on_progress=offset.files):
            offset.add(batch.files)
            done, failed = done + 1, failed + batch.failed
            print_json(batch_json(batch)) if json_ else click.echo(_batch_lines(batch))
        if not done:
            click.echo(_nothing_to_do(lake), err=json_)
    if failed:
        raise click.ClickException(
            f"{failed} files failed. They are tried again when their time has come: run `lake ingest` later."
        )


@click.command()
@as_json
def status(json_: bool) -> None:
    """Show files by state, rows and what is published."""
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        shown = status_json(lake)
    print_json(shown) if json_ else print_status(shown)


def status_json(lake: Lake) -> dict[str, Any]:
    """The ledger's account in the shape that `lake status --json` promises; every state is there, zero or not."""
    now = lake.ledger.status()
    return {
        "files": {state.value: count for state, count in now.files.items()},
        "bytes": {state.value: count for state, count in now.bytes.items()},
        "rows": {
            "read": now.rows_read,
            "published": now.rows_published,
            "quarantined": now.rows_quarantined,
            "rescued": now.rows_rescued,
        },
        "partitions": now.partitions,
        "curated_files": now.curated_files,
        "contract_version": now.contract_version,
        "archived": now.archived,
        "wanted_widenings": list(now.wanted_widenings),
    }


def print_status(shown: dict[str, Any]) -> None:
    """The same for people."""
    rows, files = shown["rows"], shown["files"]
    if not any(files.values()):
        click.echo("The ledger is empty: run `lake discover`.")
        return
    print_table(
        "Files by state",
        ("state", "files", "size"),
        [(state, count, size(shown["bytes"][state])) for state, count in files.items() if count],
    )
    click.echo(
        f"{rows['read']:,} records read = {rows['published']:,} published + {rows['quarantined']:,} quarantined "
        f"({rows['rescued']:,} rows with a rescued value)"
    )
    click.echo(
        f"{shown['partitions']:,} partitions in {shown['curated_files']:,} Parquet files, contract version "
        f"{shown['contract_version'] or 0}; {shown['archived']:,} originals archived"
    )
    for path in shown["wanted_widenings"]:
        click.echo(f"Fractions came to the integers of {path} and are kept in _rescued. Next: {widen_command(path)}")


def batch_json(batch: BatchResult) -> dict[str, Any]:
    """One batch in the shape that `lake ingest --json` promises. `rows` counts published rows, `bytes` raw bytes."""
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


def _batch_lines(batch: BatchResult) -> str:
    if batch.error:
        return f"Batch {batch.batch_id}: {batch.files:,} files failed. {batch.error}"
    rate = batch.bytes / batch.seconds if batch.seconds else 0.0
    refused = f", {batch.quarantined:,} files quarantined" if batch.quarantined else ""
    line = (
        f"Batch {batch.batch_id}: {batch.files:,} files, {batch.rows_read:,} records read = "
        f"{batch.rows_published:,} published + {batch.rows_quarantined:,} quarantined{refused}; "
        f"{len(batch.partitions):,} partitions, {batch.seconds:.1f} s, {size(rate)}/s"
    )
    return "\n  ".join([line, *batch.contract_changes])


def _waiting(lake: Lake) -> int:
    from lake_pipeline.model.states import FileState

    files = lake.ledger.status().files
    return files[FileState.PENDING] + files[FileState.FAILED]


def _nothing_to_do(lake: Lake) -> str:
    from lake_pipeline.model.states import FileState

    files = lake.ledger.status().files
    if busy := files[FileState.PROCESSING]:
        return f"Nothing to do: {busy:,} files are being processed by other workers."
    if failed := files[FileState.FAILED]:
        return f"Nothing to do now: {failed:,} failed files wait for their next attempt."
    return "Nothing to do: no file is pending. New files are found by `lake discover`."


class _Offset:
    """A batch counts its own files from zero; the bar counts those of all batches."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self._show = show
        self._before = 0

    def files(self, files_done: int, _bytes_done: int) -> None:
        self._show(self._before + files_done)

    def add(self, files: int) -> None:
        self._before += files
        self._show(self._before)
