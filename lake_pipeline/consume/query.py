"""SQL over the published files, by DuckDB. The only module that knows DuckDB.

The tables are views over exactly the files that the ledger lists as live, so a query never sees a file that is
being replaced. Partition columns come from the paths, and DuckDB skips the files of other partitions by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import CURATED_NAME, QUARANTINE

QUARANTINE_NAME = "quarantine"
FETCH = 1000
"""Rows fetched at a time: a result is never held in memory as a whole."""

# The files travel as a variable: a path may hold any character, and there may be a hundred thousand of them.
_CURATED_VIEW = f"""
    CREATE VIEW {CURATED_NAME} AS
    SELECT * EXCLUDE (year, month, day, mode), year, month, day, mode
    FROM read_parquet(
        getvariable('curated_files'), union_by_name = true, hive_partitioning = true,
        hive_types = {{'year': INT, 'month': INT, 'day': INT, 'mode': VARCHAR}}
    )
"""
_QUARANTINE_VIEW = f"""
    CREATE VIEW {QUARANTINE_NAME} AS
    SELECT * FROM read_parquet(getvariable('quarantine_files'), union_by_name = true, hive_partitioning = false)
"""


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
    curated = _curated_paths(lake)
    # Listing the quarantine takes time, so only a query that may read it pays.
    refused = _quarantine_paths(lake) if QUARANTINE_NAME in sql.lower() else []
    if not curated and not refused:
        raise PermanentError("Nothing is published yet: run `lake discover`, then `lake ingest`.")
    connection = _connect()
    try:
        if curated:
            connection.execute("SET VARIABLE curated_files = ?", [curated])
            connection.execute(_CURATED_VIEW)
        if refused:
            connection.execute("SET VARIABLE quarantine_files = ?", [refused])
            connection.execute(_QUARANTINE_VIEW)
        # Nothing comes back for no statement at all, whatever the type says.
        cursor: duckdb.DuckDBPyConnection | None = connection.execute(sql)
    except duckdb.Error as error:
        raise _explain(error) from error
    if cursor is None or cursor.description is None:
        raise PermanentError('The query is empty: write SQL like "SELECT mode, count(*) FROM … GROUP BY mode".')
    return QueryResult(columns=_distinct([str(column[0]) for column in cursor.description]), rows=_rows(cursor))


def _connect() -> duckdb.DuckDBPyConnection:
    # Without installing extensions nothing is ever fetched from the internet.
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _curated_paths(lake: Lake) -> list[str]:
    store = _directory(lake)
    return [str(store.path(file.key)) for file in lake.ledger.curated_files()]


def _quarantine_paths(lake: Lake) -> list[str]:
    store = _directory(lake)
    return sorted(str(store.path(found.key)) for found in store.objects(QUARANTINE) if found.key.endswith(".parquet"))


def _directory(lake: Lake) -> DirectoryStore:
    if not isinstance(lake.store, DirectoryStore):
        raise PermanentError(f"`lake query` reads directories only in this version, and the lake is {lake.store.uri}.")
    return lake.store


def _rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := cursor.fetchmany(FETCH):
            yield from rows
    except duckdb.Error as error:
        raise _explain(error) from error


def _distinct(names: list[str]) -> tuple[str, ...]:
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
