"""`lake plan`: what the backlog will take on Glue, with the workers of the settings."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, size

if TYPE_CHECKING:
    from lake_pipeline.ingest.planning import Plan
    from lake_pipeline.settings import Settings


@click.command()
@click.option(
    "--unpacked",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="Bytes of JSON for each stored byte: about 8 where the files are gzip.",
)
@click.option("--workers", type=click.IntRange(min=2), help="Instead of LAKE_GLUE_WORKERS.")
@as_json
def plan(unpacked: float, workers: int | None, json_: bool) -> None:
    """Tell how many Glue workers, hours and requests the pending files will take.

    docs/scale.md shows the formula and where its figures come from.
    """
    from lake_pipeline.model.states import FileState
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    with open_lake(settings) as lake:
        status = lake.ledger.status()
    waiting = (FileState.PENDING, FileState.FAILED)
    made = _plan(
        settings,
        files=sum(status.files[state] for state in waiting),
        stored=sum(status.bytes[state] for state in waiting),
        workers=workers or settings.glue_workers,
        unpacked=unpacked,
    )
    if json_:
        print_json(asdict(made))
    elif not made.files:
        click.echo("Nothing is pending. Next: lake discover")
    else:
        _print(made, settings, workers or settings.glue_workers)


def _plan(settings: Settings, *, files: int, stored: int, workers: int, unpacked: float) -> Plan:
    from lake_pipeline.ingest.planning import Workers
    from lake_pipeline.ingest.planning import plan as planned
    from lake_pipeline.provision.glue import CORES

    return planned(
        files,
        stored,
        Workers(runs=settings.max_runs, workers=workers, cores=CORES[settings.glue_worker]),
        batch_files=settings.batch_files,
        batch_bytes=settings.batch_bytes,
        unpacked=unpacked,
    )


def _print(made: Plan, settings: Settings, workers: int) -> None:
    click.echo(
        f"{made.files:,} files ({size(made.bytes)}, {size(made.unpacked)} of JSON) in {made.batches:,} batches, each a "
        f"Glue run with {workers} workers {settings.glue_worker}, {settings.max_runs} at a time:"
    )
    click.echo(f"  {made.hours:,.1f} hours, {made.worker_hours:,.0f} worker hours, {made.core_hours:,.0f} core hours")
    click.echo(f"  {made.requests:,} requests to S3, about {made.dollars:,.0f} $ for Glue and requests")
    if made.starting_share > 0.25:
        click.echo("Most of that goes into starting runs: let batches be larger (LAKE_BATCH_FILES, LAKE_BATCH_BYTES).")
