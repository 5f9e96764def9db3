"""`lake plan`: time and cost of converting the backlog on Glue."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, size

if TYPE_CHECKING:
    from lake_pipeline.settings import Settings
    from lake_pipeline.usecases.reports.cost_estimate import CostEstimate


@click.command()
@click.option(
    "--unpacked",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="Bytes of JSON for each stored byte: about 8 if the files are gzip.",
)
@click.option("--workers", type=click.IntRange(min=2), help="Instead of LAKE_GLUE_WORKERS.")
@as_json
def plan(unpacked: float, workers: int | None, json_: bool) -> None:
    """Estimate the Glue workers, hours and requests for the pending files.

    docs/scale.md has the formula and the source of its figures.
    """
    from lake_pipeline.composition import open_lake
    from lake_pipeline.model.states import FileState
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    with open_lake(settings, reading=True) as lake:
        status = lake.ledger.views.status()
    waiting = (FileState.PENDING, FileState.FAILED)
    estimate = _estimate(
        settings,
        files=sum(status.files[state] for state in waiting),
        stored=sum(status.bytes[state] for state in waiting),
        workers=workers or settings.glue.workers,
        unpacked=unpacked,
    )
    if json_:
        print_json(asdict(estimate))
    elif not estimate.files:
        print_line("Nothing is pending. Next: lake discover")
    else:
        _print(estimate, settings, workers or settings.glue.workers)


def _estimate(settings: Settings, *, files: int, stored: int, workers: int, unpacked: float) -> CostEstimate:
    from lake_pipeline.provision.glue import CORES
    from lake_pipeline.usecases.reports.cost_estimate import Workers
    from lake_pipeline.usecases.reports.cost_estimate import plan as planned

    return planned(
        files,
        stored,
        Workers(runs=settings.dagster.max_runs, workers=workers, cores=CORES[settings.glue.worker]),
        batch_files=settings.batches.batch_files,
        batch_bytes=settings.batches.batch_bytes,
        unpacked=unpacked,
    )


def _print(estimate: CostEstimate, settings: Settings, workers: int) -> None:
    print_line(
        f"{estimate.files:,} files ({size(estimate.bytes)}, {size(estimate.unpacked)} of JSON) in "
        f"{estimate.batches:,} batches, each a Glue run with {workers} workers "
        f"{settings.glue.worker}, {settings.dagster.max_runs} at a time:"
    )
    print_line(
        f"  {estimate.hours:,.1f} hours, {estimate.worker_hours:,.0f} worker hours, "
        f"{estimate.core_hours:,.0f} core hours"
    )
    print_line(f"  {estimate.requests:,} requests to S3, about {estimate.dollars:,.0f} $ for Glue and requests")
    if estimate.starting_share > 0.25:
        print_line("Most of that time is for starting runs: increase LAKE_BATCH_FILES and LAKE_BATCH_BYTES.")
