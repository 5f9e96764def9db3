"""The summary of `lake demo`: the ledger's counts compared with those of the generator."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_pipeline.cli.output import print_line, print_lines, print_table, size
from lake_pipeline.cli.status import print_status
from lake_pipeline.demo_data import DemoCounts

SAMPLE = """\
SELECT mode, count(*) AS "rows", round(sum(amount), 2) AS amount, round(avg(metrics_latency_ms), 1) AS latency_ms,
       count(consent_version) AS with_consent
FROM json_parsed_parquet WHERE year = 2026 GROUP BY mode ORDER BY "rows" DESC"""

NEXT = """\
What to do next
  {lake} query "SELECT * FROM quarantine LIMIT 5"
      what was quarantined, and why
  {lake} dev
      the same lake in the Dagster UI
  LAKE_ROOT=/your/lake LAKE_DATE_FIELD=created_at {lake} discover
      your own JSON, with the settings of docs/settings.md
`make clean-lake` removes the demo."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise and whether the counts fulfill it."""

    promise: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """The work of this call, without that of earlier ones. `seconds` is the time of ingestion."""

    runs: int
    records: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        if not self.records:
            return "Nothing to do: these are the counts of an earlier run."
        return (
            f"{self.records:,} records in {self.seconds:.1f} s: {self.records / self.seconds:,.0f} records/s, "
            f"{size(self.bytes / self.seconds)}/s, including all Dagster events (runs: {self.runs})."
        )


def checks(status: Mapping[str, Any], expected_counts: DemoCounts) -> tuple[Check, ...]:
    """What must hold for the demo's lake, even if processes were killed."""
    rows, files = status["rows"], status["files"]
    return (
        Check(
            promise=f"{rows['read']:,} records read = {rows['published']:,} published "
            f"+ {rows['quarantined']:,} quarantined",
            holds=rows["read"] == rows["published"] + rows["quarantined"],
        ),
        Check(
            promise=f"{expected_counts.records:,} records were generated", holds=rows["read"] == expected_counts.records
        ),
        Check(promise=f"{expected_counts.good:,} of them are good", holds=rows["published"] == expected_counts.good),
        Check(
            promise=f"{expected_counts.broken:,} are malformed and {expected_counts.undated:,} have no valid date",
            holds=rows["quarantined"] == expected_counts.broken + expected_counts.undated,
        ),
        Check(
            promise=f"{expected_counts.files:,} files are converted and archived",
            holds=files["SUCCEEDED"] == sum(files.values()) == status["archived"] == expected_counts.files,
        ),
    )


def print_summary(
    status: dict[str, Any], results: tuple[Check, ...], sample: list[dict[str, Any]], throughput: Throughput
) -> None:
    """Everything on one screen."""
    print_status(status)
    print_line()
    for check in results:
        mark, color = ("✓", "green") if check.holds else ("✗", "red")
        print_line(f"  {mark} {check.promise}", color=color)
    print_line()
    print_line(throughput.sentence())
    print_line()
    print_table("One row per mode (lake query)", tuple(sample[0]), [tuple(row.values()) for row in sample])
    print_lines(NEXT.format(lake=_program()))


def _program() -> str:
    """How to call this program again: by its name if the shell finds it, else by its path."""
    called = Path(sys.argv[0])
    on_path = shutil.which(called.name)
    return called.name if on_path and called.exists() and called.samefile(on_path) else str(called)
