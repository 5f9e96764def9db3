"""SQL over the published files, by DuckDB.

The tables contain exactly the files that the ledger lists as published, so a query never sees a file that is being
replaced. `duckdb_tables` gives DuckDB access to the files, `sandbox` takes all other access away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import duckdb

from lake_pipeline.consume import sandbox
from lake_pipeline.consume.duckdb_tables import QUARANTINE_NAME, make_tables
from lake_pipeline.errors import ObjectMissing, PermanentError
from lake_pipeline.ledger.curated import CuratedFile
from lake_pipeline.storage.zones import QUARANTINE
from lake_pipeline.usecases.identity.check import check_if_bound
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.rewrites.lost_files import replaced_or_lost

FETCH_ROWS = 1000
"""Rows fetched at a time: a whole result is never in memory."""


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """Columns with unique names, and an iterator over the rows, which are fetched as needed."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def query(lake: Lake, sql: str, *, allow_files: bool = False) -> QueryResult:
    """Run `sql` over `json_parsed_parquet` (partition columns year, month, day, mode) and `quarantine`.

    Timestamps are in UTC. The SQL can read these tables only; with `allow_files` it can also read and write files.
    Raises `PermanentError` with one line if DuckDB rejects the SQL, now or while the rows are read, if a statement is
    not allowed, and if nothing is published yet; `DataFileLost` if a file that it reads is gone; `LakeNotThere` or
    `LakeMismatch` if the root is not that of the ledger, whose quarantine would look empty.
    """
    check_if_bound(lake)
    curated = lake.ledger.curated.files()
    # Listing the quarantine takes time, so it is only done for queries that may read it.
    reads_quarantine = QUARANTINE_NAME in sql.lower()
    quarantined = _quarantine_keys(lake) if reads_quarantine else []
    if not curated and not reads_quarantine:
        raise PermanentError("Nothing is published yet: run `lake discover`, then `lake ingest`.")
    with ExitStack() as until_error:
        connection = until_error.enter_context(sandbox.connect(allow_files=allow_files))
        try:
            make_tables(
                connection,
                lake.store,
                contract=lake.ledger.contracts.latest(),
                curated=[file.key for file in curated],
                quarantine=quarantined,
            )
            cursor = _execute(connection, sql, allow_files=allow_files)
        except (duckdb.Error, OSError) as error:
            raise _explained(lake, curated, error) from error
        columns = unique_names([str(column[0]) for column in cursor.description])
        return QueryResult(columns=columns, rows=_rows(lake, curated, cursor, until_error.pop_all()))


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, *, allow_files: bool) -> duckdb.DuckDBPyConnection:
    sandbox.check_statements(connection, sql, allow_files=allow_files)
    sandbox.lock(connection)
    # In spite of its type, this is None if the SQL has no statement.
    cursor: duckdb.DuckDBPyConnection | None = connection.execute(sql)
    if cursor is None or cursor.description is None:
        raise PermanentError('The query is empty: use SQL, for example "SELECT mode, count(*) FROM … GROUP BY mode".')
    return cursor


def _quarantine_keys(lake: Lake) -> list[str]:
    return sorted(info.key for info in lake.store.objects(QUARANTINE) if info.key.endswith(".parquet"))


def _rows(
    lake: Lake, curated: list[CuratedFile], cursor: duckdb.DuckDBPyConnection, connection: ExitStack
) -> Iterator[tuple[Any, ...]]:
    with connection:
        try:
            while rows := cursor.fetchmany(FETCH_ROWS):
                yield from rows
        except (duckdb.Error, OSError) as error:
            raise _explained(lake, curated, error) from error


def _explained(lake: Lake, curated: list[CuratedFile], error: duckdb.Error | OSError) -> Exception:
    """The error for the data file that `error` names, if that is gone; otherwise DuckDB's message."""
    for file in curated:
        if file.key in str(error) and lake.store.stat(file.key) is None:
            return replaced_or_lost(lake, (file.key, file.etag), ObjectMissing(file.key))
    return sandbox.explanation(error) if isinstance(error, duckdb.Error) else error


def unique_names(names: list[str]) -> tuple[str, ...]:
    """`a, a` becomes `a, a_2`: a JSON object has each name once, and no value may be lost."""
    seen: list[str] = []
    for name in names:
        candidate, count = name, 1
        while candidate in seen or (count > 1 and candidate in names):
            count += 1
            candidate = f"{name}_{count}"
        seen.append(candidate)
    return tuple(seen)
