"""`lake demo`: ingest a generated landing zone with Dagster and check the counts."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, waiting

if TYPE_CHECKING:
    from lake_pipeline.cli.demo_summary import Throughput
    from lake_pipeline.settings import Settings


@click.command()
@as_json
def demo(json_: bool) -> None:
    """Generate a landing zone, ingest it with Dagster, and show the result.

    Kill it at any moment and start it again: it resumes where it left off and produces the same counts.
    """
    from lake_pipeline.cli.demo_summary import checks, print_summary
    from lake_pipeline.composition import check_before_demo
    from lake_pipeline.demo_data import ensure_landing_zone, expected_counts, has_landing_zone

    settings = _demo_settings()
    if not has_landing_zone(settings.storage.home):
        check_before_demo(settings)
    created = ensure_landing_zone(settings.storage.directory, settings.storage.home)
    if created and not json_:
        print_line(f"Created a landing zone in {settings.storage.root}.")
    before = _discover(settings)
    runs, seconds = _ingest(settings)
    status, sample = _status_and_sample(settings)
    results = checks(status, expected_counts(settings.storage.home))
    if json_:
        checked = [asdict(check) for check in results]
        print_json({"made": created, "runs": runs, "seconds": round(seconds, 1), "status": status, "checks": checked})
    else:
        print_summary(status, results, sample, _throughput(before, status, runs, seconds))
    if not all(check.holds for check in results):
        raise click.ClickException("The counts differ from those of the generated landing zone. This is a bug.")


def _demo_settings() -> Settings:
    """The settings, but with the fields of the demo's records: the user may have set others for real data."""
    from lake_pipeline.convert.request import ConversionOptions
    from lake_pipeline.settings import load_settings

    defaults = ConversionOptions()
    return load_settings(
        date_field=defaults.date_field,
        mode_field=defaults.mode_field,
        key_pattern=defaults.key_pattern,
        first_date=defaults.first_date,
        last_date=None,
        max_bad_share=defaults.max_bad_share,
        # A killed worker counts as an attempt, and the demo may be killed many times: no file may be quarantined.
        max_attempts=100,
        # The generated files are complete, so there is no need to wait until they are old enough.
        min_age_seconds=0,
    )


def _discover(settings: Settings) -> dict[str, Any]:
    """Register the files in a Dagster run. Returns the status before this call ingests anything."""
    from lake_pipeline.cli.status import status_json
    from lake_pipeline.composition import open_lake
    from lake_pipeline.defs.local.demo_run import run_discovery
    from lake_pipeline.usecases.recovery.reconcile import recover

    with waiting("Looking for new files (a Dagster run) …"):
        run_discovery(settings)
        with open_lake(settings) as lake:
            # If an earlier demo was killed, all files may still be claimed; then none would be pending.
            recover(lake)
            return status_json(lake)


def _ingest(settings: Settings) -> tuple[list[str], float]:
    from lake_pipeline.defs.local.demo_run import run_ingestion

    started = time.monotonic()
    with waiting("Converting, publishing and archiving (Dagster runs) …"):
        return run_ingestion(settings), time.monotonic() - started


def _status_and_sample(settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from lake_pipeline.cli.demo_summary import SAMPLE
    from lake_pipeline.cli.status import status_json
    from lake_pipeline.composition import open_lake
    from lake_pipeline.consume.query import query

    with open_lake(settings) as lake:
        result = query(lake, SAMPLE)
        return status_json(lake), [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def _throughput(before: dict[str, Any], after: dict[str, Any], runs: list[str], seconds: float) -> Throughput:
    from lake_pipeline.cli.demo_summary import Throughput

    return Throughput(
        runs=len(runs),
        records=after["rows"]["read"] - before["rows"]["read"],
        bytes=after["bytes"]["SUCCEEDED"] - before["bytes"]["SUCCEEDED"],
        seconds=seconds,
    )
