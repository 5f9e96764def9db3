"""`lake demo` and `lake dev`: the lake at work on a landing zone made for it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, waiting

if TYPE_CHECKING:
    from lake_pipeline.cli.summary import Worked
    from lake_pipeline.settings import Settings


@click.command()
@as_json
def demo(json_: bool) -> None:
    """Make a landing zone, ingest it with Dagster, and show what came out.

    Kill it at any moment and start it again: it goes on and ends in the same counts.
    """
    from lake_pipeline.cli.summary import checks, print_summary
    from lake_pipeline.demo_data import ensure_landing_zone, made_counts

    settings = _demo_settings()
    made = ensure_landing_zone(settings.directory, settings.home)
    if made and not json_:
        click.echo(f"Made a landing zone in {settings.root}.")
    before = _discover(settings)
    runs, seconds = _ingest(settings)
    status, sample = _look(settings)
    kept = checks(status, made_counts(settings.home))
    if json_:
        checked = [asdict(check) for check in kept]
        print_json({"made": made, "runs": runs, "seconds": round(seconds, 1), "status": status, "checks": checked})
    else:
        print_summary(status, kept, sample, _worked(before, status, runs, seconds))
    if not all(check.holds for check in kept):
        raise click.ClickException("The counts are not those of the landing zone that was made. This is a defect.")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@as_json
def dev(port: int, json_: bool) -> None:
    """Open the Dagster UI. An empty lake gets the demo's landing zone first. Ctrl-C ends it.

    With --json one object with the address is printed before the UI starts.
    """
    from lake_pipeline.demo_data import LandingZoneTaken, ensure_landing_zone
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    # After the settings: loading Dagster takes seconds, and a wrong setting should be told at once.
    from lake_pipeline.defs.dev import run_dev

    try:
        # A lake on S3 is somebody's own.
        if isinstance(settings.root, Path):
            ensure_landing_zone(settings.root, settings.home)
    except LandingZoneTaken:
        click.echo(f"{settings.root} holds files of its own, so no landing zone was made.", err=True)
    if json_:
        print_json({"url": f"http://127.0.0.1:{port}", "root": str(settings.root), "home": str(settings.home)})
    raise SystemExit(run_dev(settings, port=port))


def _demo_settings() -> Settings:
    """The settings, but with the fields that the demo's records have: a person may have set others for real data."""
    from lake_pipeline.convert.request import ConversionOptions
    from lake_pipeline.settings import load_settings

    usual = ConversionOptions()
    return load_settings(
        date_field=usual.date_field,
        mode_field=usual.mode_field,
        key_pattern=usual.key_pattern,
        first_date=usual.first_date,
        last_date=None,
        max_bad_share=usual.max_bad_share,
        # A killed worker counts as an attempt, and this one may be killed at will: that must not end in quarantine.
        max_attempts=100,
    )


def _discover(settings: Settings) -> dict[str, Any]:
    """Register the files in a Dagster run; returns the status before anything is ingested by this call."""
    from lake_pipeline.cli.files import status_json
    from lake_pipeline.defs.demo_run import run_discovery
    from lake_pipeline.ingest.reconcile import recover
    from lake_pipeline.opening import open_lake

    with waiting("Looking for new files (a Dagster run) …"):
        run_discovery(settings)
        with open_lake(settings) as lake:
            # A demo that was killed may have left every file claimed; then nothing would look pending.
            recover(lake)
            return status_json(lake)


def _ingest(settings: Settings) -> tuple[list[str], float]:
    from lake_pipeline.defs.demo_run import run_ingestion

    started = time.monotonic()
    with waiting("Converting, publishing and archiving (Dagster runs) …"):
        return run_ingestion(settings), time.monotonic() - started


def _look(settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from lake_pipeline.cli.files import status_json
    from lake_pipeline.cli.summary import SAMPLE
    from lake_pipeline.consume.query import query
    from lake_pipeline.opening import open_lake

    with open_lake(settings) as lake:
        result = query(lake, SAMPLE)
        return status_json(lake), [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def _worked(before: dict[str, Any], after: dict[str, Any], runs: list[str], seconds: float) -> Worked:
    from lake_pipeline.cli.summary import Worked

    return Worked(
        runs=len(runs),
        records=after["rows"]["read"] - before["rows"]["read"],
        bytes=after["bytes"]["SUCCEEDED"] - before["bytes"]["SUCCEEDED"],
        seconds=seconds,
    )
