"""`read_curated`: the contract's schema, only the files of the selection, and the same rows as a plain read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lake_pipeline.consume.spark import read_curated
from lake_pipeline.errors import PermanentError
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.selections import Selection
from lake_pipeline.usecases.batches.rebuild import rebuild
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.create import create_snapshot
from lake_pipeline_tests.support.factories import ndjson
from lake_pipeline_tests.support.lakes import ingest, lake_at, land

DAYS = {"2026-02-03": "live", "2026-02-04": "a b/c=d", "2026-02-05": "007"}


@pytest.fixture
def lake(tmp_path: Path, ledger: Ledger) -> Lake:
    lake = lake_at(tmp_path, ledger)
    for number, (day, mode) in enumerate(DAYS.items()):
        # Later batches have more columns than earlier ones.
        record: dict[str, Any] = {"event_time": day, "mode": mode, "n": number, "items": [{"a": number}]}
        record |= {"late": 0.5, "items": [{"a": 1, "b": "x"}]} if number else {}
        land(tmp_path, {f"2026/week06/{number}.json": ndjson(record, {**record, "n": 10 + number})})
        ingest(lake)
    return lake


def rows(frame: DataFrame, *columns: str) -> list[Any]:
    return sorted(tuple(row) for row in frame.select(*columns).collect())


COLUMNS = ("n", "late", "items", "_file_id", "_record", "year", "month", "day", "mode")


def test_the_rows_equal_those_of_a_plain_read(lake: Lake, tmp_path: Path, spark: SparkSession) -> None:
    frame = read_curated(spark, lake)
    contract = lake.ledger.contracts.latest()
    assert contract is not None
    assert frame.columns == [*contract.arrow_schema().names, "year", "month", "day", "mode"]
    plain = spark.read.parquet(str(tmp_path / "json_parsed_parquet"))
    shared = ("n", "_file_id", "_record", "year", "month", "day")
    assert rows(frame, *shared) == rows(plain, *shared)
    merged = spark.read.option("mergeSchema", "true").parquet(str(tmp_path / "json_parsed_parquet"))
    assert rows(frame, *COLUMNS[:-1]) == rows(merged, *COLUMNS[:-1])
    assert {row[0] for row in rows(frame, "mode")} == set(DAYS.values()), "a mode of digits stays text"


def test_only_the_files_of_the_selection_are_read(lake: Lake, spark: SparkSession) -> None:
    frame = read_curated(spark, lake, first="2026-02-04", modes=["a b/c=d", "live"], columns=["n", "mode"])
    assert rows(frame, "n", "mode") == [(1, "a b/c=d"), (11, "a b/c=d")]
    assert frame.columns == ["n", "mode"]
    assert len(frame.inputFiles()) == 1
    with pytest.raises(PermanentError, match="No published files match this selection"):
        read_curated(spark, lake, modes=["none"])


def test_a_snapshot_is_read_wherever_its_files_are(lake: Lake, spark: SparkSession) -> None:
    create_snapshot(lake, "s", Selection())
    before = rows(read_curated(spark, lake, snapshot="s"), *COLUMNS)
    [partition] = {file.partition for file in lake.ledger.curated.files() if file.partition.mode == "a b/c=d"}
    rebuild(lake, [partition])
    frame = read_curated(spark, lake, snapshot="s")
    assert rows(frame, *COLUMNS) == before
    assert sum("/retained/" in file for file in frame.inputFiles()) == 1
