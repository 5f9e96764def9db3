"""`lake query`: SQL over the published files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_rows, size, waiting

if TYPE_CHECKING:
    from lake_pipeline.settings import Settings

SHOWN_ROWS = 50


@click.command()
@click.argument("sql")
@click.option(
    "--engine",
    type=click.Choice(("local", "athena")),
    default="local",
    show_default=True,
    help="DuckDB on this machine, or AWS Athena.",
)
@as_json
def query(sql: str, engine: str, json_: bool) -> None:
    """Run SQL over json_parsed_parquet (partition columns: year, month, day, mode) and quarantine.

    With --json one object a line, all of them; without it the first 50 rows, as wide as the terminal. Athena reads the
    table of `lake catalog sync`; what it read, what that costs, and workgroup and place of the results are told on
    stderr, and Ctrl-C stops it there too.
    """
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    _by_athena(settings, sql, json_=json_) if engine == "athena" else _locally(settings, sql, json_=json_)


def _locally(settings: Settings, sql: str, *, json_: bool) -> None:
    from lake_pipeline.consume.query import query as run_query
    from lake_pipeline.opening import open_lake

    with open_lake(settings) as lake:
        result = run_query(lake, sql)
        _print(result.columns, result.rows, json_=json_)


def _by_athena(settings: Settings, sql: str, *, json_: bool) -> None:
    from lake_pipeline.consume.athena import query_athena
    from lake_pipeline.opening import athena

    with waiting("Athena"):
        result = query_athena(athena(settings), sql)
    _print(result.columns, result.rows, json_=json_)
    click.echo(
        f"Athena read {size(result.bytes_scanned)} in {result.seconds:.1f} s, about ${result.dollars:.4f} "
        f"(workgroup {result.workgroup}, query {result.query_id}, "
        f"results in {result.output or 'the place of the workgroup'}).",
        err=True,
    )


def _print(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]], *, json_: bool) -> None:
    from lake_pipeline.consume.json_values import json_line

    if json_:
        for row in rows:
            click.echo(json_line(columns, row))
        return
    print_rows(columns, [[*map(_shown, row)] for row in islice(rows, SHOWN_ROWS)])
    if next(rows, None) is not None:
        click.echo(f"… more than {SHOWN_ROWS} rows. LIMIT and ORDER BY choose others; --json prints all.")


def _shown(value: Any) -> str:
    """One line, readable: raw bytes are JSON as a rule, and control characters would move the cursor."""
    if value is None:
        return ""
    text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return "".join(each if each.isprintable() else " " for each in text)
