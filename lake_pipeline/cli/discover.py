"""`lake discover`: register new files from a listing, an S3 Inventory or the event queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, progress, size

if TYPE_CHECKING:
    from lake_pipeline.settings import Settings
    from lake_pipeline.usecases.discovery.discover import Registered
    from lake_pipeline.usecases.lake import Lake

PRINTED_PROBLEMS = 20
"""Entries that can't be read and are printed one by one."""


@click.command()
@click.option("--inventory", metavar="URI", help="Read an S3 Inventory instead: s3://…/manifest.json.")
@click.option("--events", is_flag=True, help="Read the queue of LAKE_EVENTS_QUEUE_URL instead.")
@as_json
def discover(inventory: str | None, events: bool, json_: bool) -> None:
    """List the landing zones and register new files."""
    from lake_pipeline.composition import open_lake
    from lake_pipeline.settings import load_settings

    if inventory and events:
        raise click.UsageError("--inventory and --events exclude each other.")
    settings = load_settings()
    source = "Reading the inventory" if inventory else "Reading events" if events else "Listing"
    with open_lake(settings) as lake, progress(source) as show:
        discovery = _discover(lake, settings, inventory=inventory, events=events, on_progress=show)
    print_json(asdict(discovery)) if json_ else _print(discovery)
    if discovery.unreadable:
        entries = "1 entry" if discovery.unreadable == 1 else f"{discovery.unreadable:,} entries"
        raise click.ClickException(
            f"{entries} of the landing zones can't be read; everything else was. Rename, replace or remove what can't, "
            "then run `lake discover` again. `lake status` lists it until then."
        )


def _print(discovery: Registered) -> None:
    print_line(f"{discovery.seen:,} files seen, {discovery.new:,} of them new ({size(discovery.new_bytes)}).")
    if discovery.thawed:
        print_line(f"{discovery.thawed:,} files that could not be read before are there now and are pending.")
    if discovery.frozen:
        print_line(
            f"{discovery.frozen:,} files are in an archived storage class (Glacier): restore them, then discover again."
        )
    _print_skips(discovery)
    if discovery.new:
        print_line("Next: lake ingest")


def _print_skips(discovery: Registered) -> None:
    """What was not read, and why. Nothing of it was changed."""
    for entry in discovery.problems[:PRINTED_PROBLEMS]:
        print_line(f"Not read: {entry.text}")
    if (more := discovery.unreadable - PRINTED_PROBLEMS) > 0:
        print_line(f"Not read: {more:,} more entries; `lake discover --json` prints up to 1,000")
    for reason, count in discovery.skipped_by_reason.items():
        if not reason.is_problem:
            examples = [entry.entry for entry in discovery.examples if entry.reason is reason]
            print_line(
                f"{count:,} skipped ({reason.text}): {', '.join(examples)}{', …' if count > len(examples) else ''}"
            )
    if discovery.young:
        print_line(
            f"{discovery.young:,} files are still changing, or were changed less than LAKE_MIN_AGE_SECONDS ago: "
            "the next `lake discover` takes them."
        )


def _discover(
    lake: Lake, settings: Settings, *, inventory: str | None, events: bool, on_progress: Callable[[int], None]
) -> Registered:
    from lake_pipeline.composition import event_queue, listed_inventory
    from lake_pipeline.usecases.discovery.discover import discover as discover_files
    from lake_pipeline.usecases.discovery.discover import register
    from lake_pipeline.usecases.discovery.notifications import register_arrivals

    if events:
        return register_arrivals(lake, event_queue(settings), on_progress=on_progress)
    if inventory:
        return register(lake, listed_inventory(settings, inventory), on_progress)
    return discover_files(lake, on_progress=on_progress, on_wait=_print_wait)


def _print_wait(files: int, seconds: float) -> None:
    print_line(
        f"{files:,} files were changed a moment ago and may still be written: waiting {seconds:.0f} s "
        "(LAKE_MIN_AGE_SECONDS) …",
        err=True,
    )
