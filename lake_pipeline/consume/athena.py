"""SQL through Athena: begun, followed, paged through, and stopped when whoever asked goes away.

Rows are read page by page and never held together. What Athena says of a query that failed is told as it is, with what
to do where that is known.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lake_pipeline.aws.access import AwsAccess
from lake_pipeline.aws.asking import tell
from lake_pipeline.aws.clients import make_client
from lake_pipeline.aws.errors import refusal
from lake_pipeline.consume.query import distinct
from lake_pipeline.errors import PermanentError, StorageUnavailable

FIRST_LOOK, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between looks at a query: most take a few, some an hour."""

PAGE = 1000
"""Rows of a page: the most that Athena gives."""

LEAST_BYTES = 10_000_000
"""What is charged at least for a query that reads anything."""

_PLACE = "Athena"
_INTEGERS = frozenset({"tinyint", "smallint", "integer", "bigint"})
_FRACTIONS = frozenset({"float", "real", "double"})


@dataclass(frozen=True, kw_only=True)
class Athena:
    """How queries are run: in which `workgroup`, on which `database`, with results under `output` (None: as the
    workgroup says). `price` is that of a terabyte read, in dollars."""

    access: AwsAccess
    database: str
    workgroup: str = "primary"
    output: str | None = None
    price: float = 5.0


@dataclass(frozen=True, kw_only=True)
class AthenaResult:
    """Columns by name, never two alike, the rows as they are fetched, to be read once, and what the query took.

    `workgroup` and `output` are where it ran and what file its results are in, as Athena says: a workgroup may overrule
    what was asked. `output` is None where Athena names no file.
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
    """Run `sql` to its end. Stopped here, it is stopped there.

    Raises `PermanentError` where Athena refuses or fails it, and `StorageUnavailable` where AWS does not answer.
    """
    client = make_client("athena", athena.access)
    query_id = _begin(client, athena, sql)
    try:
        finished = _follow(client, query_id, on_state)
    except BaseException:
        tell(_PLACE, "stop a query", client.stop_query_execution, QueryExecutionId=query_id)
        raise
    state, told = finished["Status"]["State"], finished["Status"].get("StateChangeReason", "")
    if state != "SUCCEEDED":
        raise PermanentError(f"Athena {'failed' if state == 'FAILED' else 'stopped'} the query. {told}{_advice(told)}")
    statistics = finished.get("Statistics", {})
    scanned = int(statistics.get("DataScannedInBytes", 0))
    columns, rows = _results(client, query_id)
    return AthenaResult(
        columns=columns,
        rows=rows,
        query_id=query_id,
        workgroup=finished.get("WorkGroup") or athena.workgroup,
        output=finished.get("ResultConfiguration", {}).get("OutputLocation"),
        bytes_scanned=scanned,
        seconds=statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
        dollars=max(scanned, LEAST_BYTES) / 1e12 * athena.price if scanned else 0.0,
    )


def _begin(client: Any, athena: Athena, sql: str) -> str:
    output = {"ResultConfiguration": {"OutputLocation": athena.output}} if athena.output else {}
    try:
        begun = tell(
            _PLACE,
            "begin a query",
            client.start_query_execution,
            QueryString=sql,
            QueryExecutionContext={"Database": athena.database},
            WorkGroup=athena.workgroup,
            # A call that is tried again begins no second query.
            ClientRequestToken=str(uuid.uuid4()),
            **output,
        )
    except StorageUnavailable as error:
        refused = refusal(error, "InvalidRequestException")
        if refused is None:
            raise
        raise PermanentError(f"Athena refused the query. {refused}{_advice(refused)}") from error
    return str(begun["QueryExecutionId"])


def _follow(client: Any, query_id: str, on_state: Callable[[str], None]) -> dict[str, Any]:
    """Wait until it is over."""
    pause = FIRST_LOOK
    while True:
        found: dict[str, Any] = tell(_PLACE, "look at a query", client.get_query_execution, QueryExecutionId=query_id)[
            "QueryExecution"
        ]
        on_state(found["Status"]["State"])
        if found["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return found
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _results(client: Any, query_id: str) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    first = _page(client, query_id, None)
    columns = first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    names = [column.get("Label") or column["Name"] for column in columns]
    types = [column["Type"] for column in columns]
    return distinct(names), _rows(client, query_id, first, names, types)


def _rows(
    client: Any, query_id: str, page: dict[str, Any], names: list[str], types: list[str]
) -> Iterator[tuple[Any, ...]]:
    rows = page["ResultSet"]["Rows"]
    if rows and [each.get("VarCharValue") for each in rows[0]["Data"]] == names:
        # The first row of a SELECT is its head; other statements have none.
        rows = rows[1:]
    while True:
        for row in rows:
            yield tuple(_value(each.get("VarCharValue"), type_) for each, type_ in zip(row["Data"], types, strict=True))
        if "NextToken" not in page:
            return
        page = _page(client, query_id, page["NextToken"])
        rows = page["ResultSet"]["Rows"]


def _page(client: Any, query_id: str, token: str | None) -> dict[str, Any]:
    after = {"NextToken": token} if token else {}
    return tell(_PLACE, "fetch rows", client.get_query_results, QueryExecutionId=query_id, MaxResults=PAGE, **after)


def _value(text: str | None, type_: str) -> Any:
    """A value from its text. What Athena writes in its own way (times, lists, rows) stays text."""
    if text is None:
        return None
    if type_ in _INTEGERS:
        return int(text)
    if type_ in _FRACTIONS:
        return float(text)
    if type_ == "boolean":
        return text == "true"
    return Decimal(text) if type_ == "decimal" else text


def _advice(told: str) -> str:
    known = {
        "TABLE_NOT_FOUND": "Make the table with `lake catalog sync`.",
        "SCHEMA_NOT_FOUND": "Make the database with `lake catalog sync`, or name another: LAKE_GLUE_DATABASE.",
        "COLUMN_NOT_FOUND": "`lake catalog sync` brings the columns of the contract; `lake contract show` lists them.",
        "CONSTRAINT_VIOLATION": "With so many modes a query has to name them: WHERE mode = '…'.",
        "output location": "Say where results go: LAKE_ATHENA_OUTPUT=s3://bucket/folder/, or set it in the workgroup.",
        "WorkGroup": "LAKE_ATHENA_WORKGROUP names the workgroup.",
    }
    return next((f" {advice}" for sign, advice in known.items() if sign.lower() in told.lower()), "")
