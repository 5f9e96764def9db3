"""`lake inspect`: raw files before they are registered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from lake_pipeline.cli.output import as_json, print_json, print_line, print_table, size
from lake_pipeline.escaping.shell import shell_word

if TYPE_CHECKING:
    from lake_pipeline.usecases.inspection.findings import Candidate, ColumnFacts, Inspection

PRINTED_COLUMNS = 40
PRINTED_PARTITIONS = 10


@click.command()
@click.argument("target", metavar="FILE|PREFIX")
@click.option("--columns", "all_columns", is_flag=True, help=f"Print all columns, not only {PRINTED_COLUMNS}.")
@as_json
def inspect(target: str, all_columns: bool, json_: bool) -> None:
    """Look at raw files before anything is registered, and print the settings to use.

    FILE|PREFIX is a path, an s3:// URL, or a key below LAKE_ROOT. The beginnings of up to 32 files are read and
    converted in memory with the present settings. Nothing is written, and no ledger is needed.
    """
    from lake_pipeline.composition import conversion_options, inspected
    from lake_pipeline.settings import load_settings
    from lake_pipeline.usecases.inspection.inspect import inspect as inspect_files
    from lake_pipeline.usecases.inspection.inspect import inspection_json

    settings = load_settings()
    store, key = inspected(settings, target)
    inspection = inspect_files(store, key, conversion_options(settings))
    if json_:
        print_json(inspection_json(inspection))
        return
    _print_files(inspection)
    _print_columns(inspection, None if all_columns else PRINTED_COLUMNS)
    _print_candidates("date", inspection.dates)
    _print_candidates("mode", inspection.modes)
    _print_outcome(inspection)
    _print_settings(inspection)


def _print_files(inspection: Inspection) -> None:
    more = " or more" if inspection.is_partial else ""
    print_line(
        f"{inspection.listed_files:,}{more} files ({size(inspection.listed_bytes)}); "
        f"{inspection.records:,} records sampled from {len(inspection.files):,} of them"
    )
    kinds = Counter((file.layout, file.compression) for file in inspection.files if file.problem is None)
    for (layout, compression), files in kinds.most_common():
        print_line(f"  {files:,} files: {layout}, compression {compression}")
    for file in inspection.files:
        if file.problem:
            print_line(f"  {file.key}: {file.problem}", color="red")


def _print_columns(inspection: Inspection, limit: int | None) -> None:
    shown = inspection.columns[:limit]
    if not shown:
        return
    print_line()
    rows = list(_tree(shown))
    print_table(f"{len(inspection.columns):,} columns", ("field", "type", "has it", "examples"), rows)
    if len(shown) < len(inspection.columns):
        print_line(f"{len(inspection.columns) - len(shown):,} more columns: --columns prints all")


def _tree(columns: Sequence[ColumnFacts]) -> Iterator[tuple[str, str, str, str]]:
    """A row for each column, indented below the objects that it is in."""
    printed = set[tuple[str, ...]]()
    for column in columns:
        for depth in range(1, len(column.path)):
            if (above := column.path[:depth]) not in printed:
                printed.add(above)
                yield _label(above), "object", "", ""
        yield _label(column.path), column.type, f"{100 * column.share:.0f} %", ", ".join(column.examples)


def _label(path: tuple[str, ...]) -> str:
    return "  " * (len(path) - 1) + path[-1]


def _print_candidates(name: str, candidates: tuple[Candidate, ...]) -> None:
    print_line()
    if not candidates:
        print_line(f"No field can be the {name} of a record.")
        return
    print_line(f"Candidates for the {name}:")
    for candidate in candidates:
        print_line(
            f"  {candidate.path}: usable in {candidate.records:,} of {candidate.of:,} records ({candidate.example})"
        )


def _print_outcome(inspection: Inspection) -> None:
    print_line()
    print_line(
        f"With the present settings: {inspection.records:,} records read = {inspection.published:,} published + "
        f"{inspection.quarantined:,} quarantined",
        color="red" if inspection.quarantined else None,
    )
    for fact in inspection.quarantine:
        print_line(f"  {fact.records:,} {fact.reason}, for example record {fact.record} of {fact.key}: {fact.detail}")
    parts = sorted(inspection.partitions.items())
    if parts:
        print_line(f"  {len(parts):,} partitions:")
    for (day, mode), rows in parts[:PRINTED_PARTITIONS]:
        print_line(f"    {day}, mode {mode}: {rows:,} rows")
    if len(parts) > PRINTED_PARTITIONS:
        print_line(f"    … and {len(parts) - PRINTED_PARTITIONS:,} more, until {parts[-1][0][0]}")
    for warning in inspection.warnings:
        print_line(f"Warning: {warning}.", color="yellow")


def _print_settings(inspection: Inspection) -> None:
    print_line()
    if not inspection.settings:
        print_line("The present settings fit. Next: lake discover, then lake ingest")
        return
    print_line("Settings that fit better:")
    for name, value in inspection.settings.items():
        print_line(f"  export {name}={shell_word(value)}")
