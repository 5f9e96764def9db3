"""pyarrow, DuckDB and Spark read all published files together, with the same rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql.functions import unix_micros

from lake_pipeline.contract.rules_file import rules_from_toml
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline_tests.support.factories import OPTIONS, ndjson
from lake_pipeline_tests.support.lakes import ingest, lake_at, land

RULES = rules_from_toml("""
max_depth = 4
[paths.at]
type = "timestamp"
[paths.price]
type = "decimal(18,2)"
[paths.born]
type = "date"
[paths.payload]
keep = "json"
[paths.zip]
type = "string"
""")

PARTITION = pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), ("mode", pa.string())])

BATCHES: list[list[dict[str, Any]]] = [
    [
        {"n": 1, "l": [1, 2], "items": [{"sku": "a", "amount": 1}], "order": "x", "Straße (€)": True},
        {"n": 2, "l": [], "items": [], "zip": 12, "payload": {"a": [1.50]}},
    ],
    [
        {
            "n": 3,
            "at": "2026-02-03T10:20:30.123456+02:00",
            "price": "19.99",
            "born": "1970-01-01",
            "user": {"name": "ü"},
        },
        {"n": 4, "items": [{"sku": "b", "Odd Key": {"x-y": [0.5]}}, {"amount": 3}], "1st": "digit"},
    ],
    [
        {"n": 0.5, "l": [None, 2.5], "items": [{"sku": None, "amount": 0.25}], "at": 1770112800000, "price": -5},
    ],
    [
        {"n": 2**53 + 1, "order": {"no": "fit"}, "zip": "007", "at": "0001-01-01T00:00:00Z", "price": "1.005"},
        {"n": -7, "mode": "a b/c=d", "nested": [[{"deep": {"er": 1}}]], "user": {"name": "\u0000", "age": 5}},
    ],
]


@pytest.fixture
def folder(tmp_path: Path, ledger: Ledger) -> Path:
    """The curated files of a lake whose contract evolved and was widened with each batch."""
    lake = lake_at(tmp_path, ledger, options=replace(OPTIONS, rules=RULES))
    for number, batch in enumerate(BATCHES):
        records = [{"event_time": f"2026-02-0{3 + number}", "mode": "live", **record} for record in batch]
        land(tmp_path, {f"2026/week06/{number}.json": ndjson(*records)})
        (result,) = ingest(lake)
        assert result.error is None
    return tmp_path / "json_parsed_parquet"


def by_pyarrow(folder: Path) -> list[dict[str, Any]]:
    files = sorted(map(str, folder.rglob("*.parquet")))
    schema = pa.unify_schemas([*(pq.read_schema(file) for file in files), PARTITION])
    partitioning = ds.partitioning(PARTITION, flavor="hive")
    return in_order(
        ds.dataset(files, schema, partitioning=partitioning, partition_base_dir=str(folder)).to_table().to_pylist()
    )


def by_duckdb(folder: Path) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    relation = connection.sql(
        f"FROM read_parquet('{folder}/**/*.parquet', union_by_name = true, hive_partitioning = true)"
    )
    return in_order(relation.to_arrow_table().to_pylist())


def by_spark(folder: Path, spark: SparkSession) -> list[dict[str, Any]]:
    """Timestamps are read as microseconds, since pyspark supports them only from the year 2 on."""
    frame = spark.read.option("mergeSchema", "true").parquet(str(folder)).withColumn("at", unix_micros("at"))
    rows = [{name: plain(row[name]) for name in row.__fields__} for row in frame.collect()]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for row in rows:
        row["at"] = None if row["at"] is None else epoch + timedelta(microseconds=row["at"])
    return in_order(rows)


def plain(value: Any) -> Any:
    """A Spark value in the form of Arrow."""
    if isinstance(value, Row):
        return {name: plain(value[name]) for name in value.__fields__}
    return [plain(child) for child in value] if isinstance(value, list) else value


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by file and record. DuckDB reads `day=03` as text."""
    days = [{**row, **{name: int(row[name]) for name in ("year", "month", "day")}} for row in rows]
    return sorted(days, key=lambda row: (row["_file_id"], row["_record"]))


def test_all_readers_return_the_same_rows_after_schema_evolution_and_widening(
    folder: Path, spark: SparkSession
) -> None:
    rows = by_pyarrow(folder)
    assert len(rows) == sum(map(len, BATCHES))
    assert rows[0]["n"] == 1.0
    assert rows[1]["payload"] == '{"a": [1.5]}'
    assert [row["price"] for row in rows] == [None, None, Decimal("19.99"), None, Decimal("-5.00"), None, None]
    assert rows[2]["born"] == date(1970, 1, 1)
    assert rows[2]["at"] == datetime(2026, 2, 3, 8, 20, 30, 123456, tzinfo=UTC)
    assert json.loads(rows[5]["_rescued"]) == {"n": 2**53 + 1, "order": {"no": "fit"}, "price": "1.005"}
    assert rows[6]["mode"] == "a b/c=d"
    assert by_duckdb(folder) == rows
    assert by_spark(folder, spark) == rows
