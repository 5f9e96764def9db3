"""What `lake demo` shows at the end: the ledger's account beside what the generator made."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lake_pipeline.cli.files import print_status
from lake_pipeline.cli.output import print_table, size
from lake_pipeline.demo_data import DemoCounts

SAMPLE = """\
SELECT mode, count(*) AS "rows", round(sum(amount), 2) AS amount, round(avg(metrics_latency_ms), 1) AS latency_ms,
       count(consent_version) AS with_consent
FROM json_parsed_parquet WHERE year = 2026 GROUP BY mode ORDER BY "rows" DESC"""

NEXT = """\
What to do next
  {lake} query "SELECT * FROM quarantine LIMIT 5"
      what was refused, and why
  {lake} dev
      the same lake in the Dagster UI
  LAKE_ROOT=/your/lake LAKE_HOME=/your/home LAKE_DATE_FIELD=created_at {lake} discover
      your own JSON, with the settings of docs/settings.md
`make clean-lake` removes the demo."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise and whether the numbers keep it."""

    promise: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What this call of the demo did, beside what an earlier one had done. `seconds` are those of ingestion."""

    runs: int
    records: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        if not self.records:
            return "Nothing was left to do: these are the counts of an earlier run."
        return (
            f"{self.records:,} records in {self.seconds:.1f} s: {self.records / self.seconds:,.0f} records/s, "
            f"{size(self.bytes / self.seconds)}/s, with everything Dagster records about it (runs: {self.runs})."
        )


def checks(status: Mapping[str, Any], made: DemoCounts) -> tuple[Check, ...]:
    """What must be true of the demo's lake, whatever was killed on the way."""
    rows, files = status["rows"], status["files"]
    return (
        Check(
            promise=f"{rows['read']:,} records read = {rows['published']:,} published "
            f"+ {rows['quarantined']:,} quarantined",
            holds=rows["read"] == rows["published"] + rows["quarantined"],
        ),
        Check(promise=f"{made.records:,} records were generated", holds=rows["read"] == made.records),
        Check(promise=f"{made.good:,} of them are good", holds=rows["published"] == made.good),
        Check(
            promise=f"{made.broken:,} are broken and {made.undated:,} have no valid date",
            holds=rows["quarantined"] == made.broken + made.undated,
        ),
        Check(
            promise=f"{made.files:,} files are done and archived",
            holds=files["SUCCEEDED"] == sum(files.values()) == status["archived"] == made.files,
        ),
    )


def print_summary(
    status: dict[str, Any], kept: tuple[Check, ...], sample: list[dict[str, Any]], worked: Worked
) -> None:
    """Everything on one screen."""
    print_status(status)
    click.echo()
    for check in kept:
        click.echo(f"  {click.style('✓', fg='green') if check.holds else click.style('✗', fg='red')} {check.promise}")
    click.echo()
    click.echo(worked.sentence())
    click.echo()
    print_table("One row per mode (lake query)", tuple(sample[0]), [tuple(row.values()) for row in sample])
    click.echo(NEXT.format(lake=_program()))


def _program() -> str:
    """How this program can be called again: by its name where the shell finds it, else as it was called."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    return called.name if found and called.exists() and called.samefile(found) else str(called)
