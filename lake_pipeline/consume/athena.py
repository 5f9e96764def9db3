"""SQL through Athena: start a query, poll it, page through the results, and stop it if the caller is interrupted.

Rows are read page by page, so the whole result is never in memory. Errors have Athena's own message and, for common
ones, the next step.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lake_pipeline.aws.calls import call
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.aws.errors import refusal_message
from lake_pipeline.consume.query import unique_names
from lake_pipeline.errors import PermanentError, StorageUnavailable

FIRST_PAUSE, MAX_PAUSE = 0.2, 5.0
"""Seconds between polls: most queries take a few seconds, some an hour."""

PAGE_ROWS = 1000
"""Rows in a page: Athena's maximum."""

MIN_BILLED_BYTES = 10_000_000
"""The minimum that Athena charges for a query that reads data."""

_QUERY = re.compile(
    r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:SELECT|WITH|VALUES|TABLE|SHOW|DESCRIBE|DESC|EXPLAIN)\b", re.I | re.S
)
"""The start of a statement that changes nothing, after comments. Athena runs one statement per request."""

_SERVICE = "Athena"
_INTEGERS = frozenset({"tinyint", "smallint", "integer", "bigint"})
_FRACTIONS = frozenset({"float", "real", "double"})


@dataclass(frozen=True, kw_only=True)
class Athena:
    """Options of queries: `workgroup`, `database`, and the location of results (`output`; None: that of the workgroup).

    `price` is in USD per TB scanned.
    """

    access: AwsAccess
    database: str
    workgroup: str = "primary"
    output: str | None = None
    price: float = 5.0


@dataclass(frozen=True, kw_only=True)
class AthenaResult:
    """Columns with unique names, an iterator over the rows, and the statistics of the query.

    `workgroup` and the file `output` are reported by Athena, since a workgroup may override the request. `output` is
    None if Athena reports no file.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    query_id: str
    workgroup: str
    output: str | None
    bytes_scanned: int
    seconds: float
    dollars: float


def query_athena(athena: Athena, sql: str, on_state: Callable[[str], None] = lambda _: None) -> AthenaResult:
    """Run `sql` and wait for it. If this call is interrupted, the query is stopped in Athena too.

    Raises `PermanentError` if `sql` is not a query, if Athena rejects it or it fails, and `StorageUnavailable` if AWS
    does not answer.
    """
    if not _QUERY.match(sql):
        raise PermanentError("`lake query` only runs queries, such as SELECT. Use Athena itself for other statements.")
    client = make_client("athena", athena.access)
    query_id = _start(client, athena, sql)
    try:
        execution = _wait(client, query_id, on_state)
    except BaseException:
        call(_SERVICE, "stop a query", client.stop_query_execution, QueryExecutionId=query_id)
        raise
    state, reason = execution["Status"]["State"], execution["Status"].get("StateChangeReason", "")
    if state != "SUCCEEDED":
        raise PermanentError(
            f"Athena {'failed' if state == 'FAILED' else 'stopped'} the query. {reason}{_advice(reason)}"
        )
    statistics = execution.get("Statistics", {})
    scanned = int(statistics.get("DataScannedInBytes", 0))
    columns, rows = _results(client, query_id)
    return AthenaResult(
        columns=columns,
        rows=rows,
        query_id=query_id,
        workgroup=execution.get("WorkGroup") or athena.workgroup,
        output=execution.get("ResultConfiguration", {}).get("OutputLocation"),
        bytes_scanned=scanned,
        seconds=statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
        dollars=max(scanned, MIN_BILLED_BYTES) / 1e12 * athena.price if scanned else 0.0,
    )


def _start(client: Any, athena: Athena, sql: str) -> str:
    output = {"ResultConfiguration": {"OutputLocation": athena.output}} if athena.output else {}
    try:
        started = call(
            _SERVICE,
            "start a query",
            client.start_query_execution,
            QueryString=sql,
            QueryExecutionContext={"Database": athena.database},
            WorkGroup=athena.workgroup,
            # A retried call starts no second query.
            ClientRequestToken=str(uuid.uuid4()),
            **output,
        )
    except StorageUnavailable as error:
        refused = refusal_message(error, "InvalidRequestException")
        if refused is None:
            raise
        raise PermanentError(f"Athena refused the query. {refused}{_advice(refused)}") from error
    return str(started["QueryExecutionId"])


def _wait(client: Any, query_id: str, on_state: Callable[[str], None]) -> dict[str, Any]:
    """Poll the query until it has ended."""
    pause = FIRST_PAUSE
    while True:
        answer = call(_SERVICE, "poll a query", client.get_query_execution, QueryExecutionId=query_id)
        execution: dict[str, Any] = answer["QueryExecution"]
        on_state(execution["Status"]["State"])
        if execution["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return execution
        time.sleep(pause)
        pause = min(pause * 1.5, MAX_PAUSE)


def _results(client: Any, query_id: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    first = _page(client, query_id, None)
    columns = first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    names = [column.get("Label") or column["Name"] for column in columns]
    types = [column["Type"] for column in columns]
    return unique_names(names), _rows(client, query_id, first, names, types)


def _rows(
    client: Any, query_id: str, page: dict[str, Any], names: list[str], types: list[str]
) -> Iterator[tuple[Any, ...]]:
    rows = page["ResultSet"]["Rows"]
    if rows and [cell.get("VarCharValue") for cell in rows[0]["Data"]] == names:
        # The first row of a SELECT is the header; other statements have none.
        rows = rows[1:]
    while True:
        for row in rows:
            yield tuple(_value(cell.get("VarCharValue"), type_) for cell, type_ in zip(row["Data"], types, strict=True))
        if "NextToken" not in page:
            return
        page = _page(client, query_id, page["NextToken"])
        rows = page["ResultSet"]["Rows"]


def _page(client: Any, query_id: str, token: str | None) -> dict[str, Any]:
    after = {"NextToken": token} if token else {}
    return call(
        _SERVICE, "fetch rows", client.get_query_results, QueryExecutionId=query_id, MaxResults=PAGE_ROWS, **after
    )


def _value(text: str | None, type_: str) -> Any:
    """A value from its text. Types with a format of Athena's own (times, lists, rows) stay text."""
    if text is None:
        return None
    if type_ in _INTEGERS:
        return int(text)
    if type_ in _FRACTIONS:
        return float(text)
    if type_ == "boolean":
        return text == "true"
    return Decimal(text) if type_ == "decimal" else text


def _advice(reason: str) -> str:
    next_steps = {
        "TABLE_NOT_FOUND": "Create the table with `lake catalog sync`.",
        "SCHEMA_NOT_FOUND": "Create the database with `lake catalog sync`, or set LAKE_GLUE_DATABASE to another one.",
        "COLUMN_NOT_FOUND": "Update the columns with `lake catalog sync`; `lake contract show` lists them.",
        "CONSTRAINT_VIOLATION": "With this many modes a query must select some: WHERE mode = '…'.",
        "output location": "Set LAKE_ATHENA_OUTPUT=s3://bucket/folder/, or the location of results in the workgroup.",
        "WorkGroup": "Set the workgroup with LAKE_ATHENA_WORKGROUP.",
    }
    return next((f" {step}" for sign, step in next_steps.items() if sign.lower() in reason.lower()), "")
