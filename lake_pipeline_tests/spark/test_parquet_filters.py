"""Spark reads the encoder's files: with both of its readers, and with filters that skip row groups and pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.storage.directory import DirectoryStore

ROWS = 24_000
START = datetime(2026, 2, 3, tzinfo=UTC)

FILTERS: dict[str, Any] = {
    "n = 20500": lambda n: n == 20500,
    "n > 23990": lambda n: n > 23990,
    "d < -11990.25": lambda n: n < 20,
    "s = 'text 20333'": lambda n: n == 20333,
    "s > 'text 2399'": lambda n: n % 10 != 0 and n >= 23990,
    "s IS NULL AND n < 35": lambda n: n % 10 == 0 and n < 35,
    "t >= '2026-02-03 06:39:50'": lambda n: n >= 23990,
    "day = '2026-02-10'": lambda n: n // 1000 == 7,
    "price < -119.95": lambda n: n < 5,
    "flag AND n < 12": lambda n: n % 3 == 0 and n < 12,
    "many = 40": lambda n: n % 3000 == 40,
}


def rows() -> pa.Table:
    """A row has its number in every column, so that a filter on any of them selects the same rows."""
    numbers = range(ROWS)
    return pa.table(
        {
            "n": pa.array(numbers),
            "d": pa.array([0.5 * n - 12000 for n in numbers]),
            "s": pa.array([None if n % 10 == 0 else f"text {n:05}" for n in numbers]),
            "t": pa.array([START + timedelta(seconds=n) for n in numbers], pa.timestamp("us", "UTC")),
            "day": pa.array([date(2026, 2, 3) + timedelta(days=n // 1000) for n in numbers]),
            "price": pa.array([Decimal(n - 12000) / 100 for n in numbers], pa.decimal128(18, 2)),
            "flag": pa.array([n % 3 == 0 for n in numbers]),
            "many": pa.array([n % 3000 for n in numbers]),
            "items": pa.array([[{"n": n, "s": str(n)}] * (n % 4) for n in numbers]),
        }
    )


@pytest.mark.parametrize("vectorized", ["true", "false"])
def test_filters_find_all_matching_rows(spark: SparkSession, tmp_path: Path, vectorized: str) -> None:
    """Two row groups, the first with two pages: bounds skip the same rows in every column."""
    store = DirectoryStore(tmp_path)
    parquet = ParquetObject(store, "part.parquet", rows().schema)
    parquet.write(spans_of([rows().slice(0, 77), rows().slice(77)]), group_rows=21_000)
    store.publish(parquet.finish())
    spark.conf.set("spark.sql.parquet.enableVectorizedReader", vectorized)
    spark.conf.set("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorized)
    try:
        read = spark.read.parquet(str(tmp_path / "part.parquet"))
        for condition, holds in FILTERS.items():
            selected = sorted(read.where(condition).select("n", "items").collect())
            assert [row.n for row in selected] == [n for n in range(ROWS) if holds(n)], condition
            assert [[(item.n, item.s) for item in row["items"]] for row in selected] == [
                [(row.n, str(row.n))] * (row.n % 4) for row in selected
            ]
        assert read.count() == ROWS
    finally:
        spark.conf.unset("spark.sql.parquet.enableVectorizedReader")
        spark.conf.unset("spark.sql.parquet.enableNestedColumnVectorizedReader")
