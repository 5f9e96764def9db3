"""`lake query`: SQL over the published files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from lake_pipeline.cli.output import as_json, print_line, print_rows, size, waiting

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
@click.option("--allow-files", is_flag=True, help="Let DuckDB read and write files too, as your user.")
@as_json
def query(sql: str, engine: str, allow_files: bool, json_: bool) -> None:
    """Run SQL over json_parsed_parquet (partition columns: year, month, day, mode) and quarantine.

    With --json it prints all rows, one object per line; otherwise the first 50, as wide as the terminal. Athena reads
    the table of `lake catalog sync`. Bytes scanned, cost, workgroup and location of the results are printed on stderr.
    Ctrl-C stops the query in Athena too.

    The SQL can only read these tables. With --allow-files it can also read and write files, in DuckDB only.
    """
    from lake_pipeline.settings import load_settings

    settings = load_settings()
    if engine == "athena" and allow_files:
        raise click.UsageError("--allow-files is for DuckDB: Athena reads no files of this machine.")
    if engine == "athena":
        _query_athena(settings, sql, json_=json_)
    else:
        _query_locally(settings, sql, allow_files=allow_files, json_=json_)


def _query_locally(settings: Settings, sql: str, *, allow_files: bool, json_: bool) -> None:
    from lake_pipeline.consume.address_space import QUERY_BYTES, check_address_space

    check_address_space(QUERY_BYTES)

    from lake_pipeline.composition import open_lake
    from lake_pipeline.consume.query import query as run_query

    with open_lake(settings, reading=True) as lake:
        result = run_query(lake, sql, allow_files=allow_files)
        _print(result.columns, result.rows, json_=json_)


def _query_athena(settings: Settings, sql: str, *, json_: bool) -> None:
    from lake_pipeline.composition import athena
    from lake_pipeline.consume.athena import query_athena

    with waiting("Athena"):
        result = query_athena(athena(settings), sql)
    _print(result.columns, result.rows, json_=json_)
    print_line(
        f"Athena read {size(result.bytes_scanned)} in {result.seconds:.1f} s, about ${result.dollars:.4f} "
        f"(workgroup {result.workgroup}, query {result.query_id}, "
        f"results in {result.output or 'the location of the workgroup'}).",
        err=True,
    )


def _print(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]], *, json_: bool) -> None:
    from lake_pipeline.consume.json_values import json_line

    if json_:
        for row in rows:
            print_line(json_line(columns, row))
        return
    print_rows(columns, [[*map(_shown, row)] for row in islice(rows, SHOWN_ROWS)])
    if next(rows, None) is not None:
        print_line(f"… more than {SHOWN_ROWS} rows. Use LIMIT and ORDER BY to select others, or --json to print all.")


def _shown(value: Any) -> str:
    """Raw bytes as text, since they are usually JSON."""
    if value is None:
        return ""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
