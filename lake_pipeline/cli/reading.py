"""`lake query`: SQL over the published files."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from lake_pipeline.cli.output import as_json, print_rows

SHOWN_ROWS = 50


@click.command()
@click.argument("sql")
@as_json
def query(sql: str, json_: bool) -> None:
    """Run SQL over json_parsed_parquet (partition columns: year, month, day, mode) and quarantine.

    With --json one object a line, all of them; without it the first 50 rows, as wide as the terminal.
    """
    from lake_pipeline.consume.json_values import json_line
    from lake_pipeline.consume.query import query as run_query
    from lake_pipeline.opening import open_lake
    from lake_pipeline.settings import load_settings

    with open_lake(load_settings()) as lake:
        result = run_query(lake, sql)
        if json_:
            for row in result.rows:
                click.echo(json_line(result.columns, row))
            return
        print_rows(result.columns, [[*map(_shown, row)] for row in islice(result.rows, SHOWN_ROWS)])
        if next(result.rows, None) is not None:
            click.echo(f"… more than {SHOWN_ROWS} rows. LIMIT and ORDER BY choose others; --json prints all.")


def _shown(value: Any) -> str:
    """One line, readable: raw bytes are JSON as a rule, and control characters would move the cursor."""
    if value is None:
        return ""
    text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return "".join(each if each.isprintable() else " " for each in text)
