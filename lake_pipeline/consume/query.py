"""SQL over the published files, by DuckDB.

The tables are views over exactly the files that the ledger lists as live, so a query never sees a file that is
being replaced. How DuckDB gets at the files is a matter of `tables`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from lake_pipeline.consume.tables import QUARANTINE_NAME, make_tables
from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.storage.zones import QUARANTINE

FETCH = 1000
"""Rows fetched at a time: a result is never held in memory as a whole."""


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """Columns by name, never two alike, and the rows as they are fetched: to be read once."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def query(lake: Lake, sql: str) -> QueryResult:
    """Run `sql` over `json_parsed_parquet` (partition columns year, month, day, mode) and `quarantine`.

    Timestamps are shown in UTC. Raises `PermanentError` with one line for SQL that DuckDB refuses, now or
    while the rows are read, and where nothing is published yet.
    """
    curated = [file.key for file in lake.ledger.curated_files()]
    # Listing the quarantine takes time, so only a query that may read it pays.
    refused = _quarantine_keys(lake) if QUARANTINE_NAME in sql.lower() else []
    if not curated and not refused:
        raise PermanentError("Nothing is published yet: run `lake discover`, then `lake ingest`.")
    connection = _connect()
    try:
        make_tables(connection, lake.store, contract=lake.ledger.contract(), curated=curated, quarantine=refused)
        # Nothing comes back for no statement at all, whatever the type says.
        cursor: duckdb.DuckDBPyConnection | None = connection.execute(sql)
    except duckdb.Error as error:
        raise _explain(error) from error
    if cursor is None or cursor.description is None:
        raise PermanentError('The query is empty: write SQL like "SELECT mode, count(*) FROM … GROUP BY mode".')
    return QueryResult(columns=distinct([str(column[0]) for column in cursor.description]), rows=_rows(cursor))


def _connect() -> duckdb.DuckDBPyConnection:
    # Without installing extensions nothing is ever fetched from the internet.
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _quarantine_keys(lake: Lake) -> list[str]:
    return sorted(found.key for found in lake.store.objects(QUARANTINE) if found.key.endswith(".parquet"))


def _rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := cursor.fetchmany(FETCH):
            yield from rows
    except duckdb.Error as error:
        raise _explain(error) from error


def distinct(names: list[str]) -> tuple[str, ...]:
    """`a, a` becomes `a, a_2`: a JSON object holds a name once, and no value may get lost."""
    seen: list[str] = []
    for name in names:
        candidate, count = name, 1
        while candidate in seen or (count > 1 and candidate in names):
            count += 1
            candidate = f"{name}_{count}"
        seen.append(candidate)
    return tuple(seen)


def _explain(error: duckdb.Error) -> PermanentError:
    """DuckDB's message without the drawing of the statement below it."""
    text = str(error).partition("\nLINE ")[0]
    return PermanentError(f"The query failed. {' '.join(text.split())}")
