"""SQL over published files: only the listed ones, with their partition columns, and errors that fit on a line."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_pipeline.consume.query import query
from lake_pipeline.errors import PermanentError
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import curated_key, quarantine_key


class Shelf:
    """A lake with Parquet files put into it by hand, of which some are listed as published."""

    def __init__(self, root: Path) -> None:
        self.store = DirectoryStore(root)
        self.listed: list[SimpleNamespace] = []
        self._schema = pa.schema([])

    def put(self, key: str, columns: dict[str, Any], *, listed: bool = True) -> None:
        path = self.store.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        if listed:
            self.listed.append(SimpleNamespace(key=key))
            self._schema = pa.unify_schemas([self._schema, pa.table(columns).schema], promote_options="permissive")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        contract = SimpleNamespace(arrow_schema=lambda: self._schema)
        ledger = SimpleNamespace(curated_files=lambda: self.listed, contract=lambda: contract)
        lake = cast(Lake, SimpleNamespace(store=self.store, ledger=ledger))
        result = query(lake, sql)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    # A quote in the path must not end up in SQL.
    return Shelf(tmp_path / "it's a lake")


def part(day: int, mode: str, name: str = "part.parquet") -> str:
    return curated_key(PartitionKey(date(2026, 2, day), mode), name)


def test_files_of_other_partitions_are_not_opened(shelf: Shelf) -> None:
    for day in (3, 4):
        for mode in ("live", "a b"):
            shelf.put(part(day, mode), {"id": [day]})
            if (day, mode) != (4, "a b"):
                shelf.store.path(part(day, mode)).write_bytes(b"not Parquet: whoever opens it fails")

    assert shelf.rows("SELECT id, day FROM json_parsed_parquet WHERE day >= 4 AND mode IN ('a b', 'x')") == [
        {"id": 4, "day": 4}
    ]
    assert shelf.rows(
        "SELECT count(*) AS n FROM json_parsed_parquet WHERE year = 2026 AND day = 4 AND mode = 'a b'"
    ) == [{"n": 1}]
    with pytest.raises(PermanentError):
        shelf.rows("SELECT id FROM json_parsed_parquet WHERE day = 3")


@pytest.mark.parametrize("mode", ["live", "a b/c", "it's", "..", "ünï", "1", "100%", "a=b"])
def test_partition_columns_come_back_as_they_were_written(shelf: Shelf, mode: str) -> None:
    shelf.put(part(3, mode), {"id": [1]})

    assert shelf.rows("SELECT * FROM json_parsed_parquet") == [
        {"id": 1, "year": 2026, "month": 2, "day": 3, "mode": mode}
    ]


def test_only_files_that_the_ledger_lists_are_read(shelf: Shelf) -> None:
    shelf.put(part(3, "live"), {"id": [1]})
    shelf.put(part(3, "live", "replaced.parquet"), {"id": [2]}, listed=False)

    assert shelf.rows("SELECT id FROM json_parsed_parquet") == [{"id": 1}]


def test_older_files_lack_newer_columns_and_may_be_narrower(shelf: Shelf) -> None:
    shelf.put(part(3, "live"), {"id": [1], "amount": pa.array([2], pa.int64())})
    shelf.put(part(4, "live"), {"id": [2], "amount": [2.5], "late": ["x"]})

    assert shelf.rows("SELECT id, amount, late FROM json_parsed_parquet ORDER BY id") == [
        {"id": 1, "amount": 2.0, "late": None},
        {"id": 2, "amount": 2.5, "late": "x"},
    ]


def test_quarantine_can_be_read_beside(shelf: Shelf) -> None:
    shelf.put(part(3, "live"), {"id": [1]})
    shelf.put(quarantine_key("b1", "part.parquet"), {"_batch_id": ["b1"], "reason": ["no_date"]}, listed=False)

    assert shelf.rows("SELECT _batch_id, reason FROM quarantine") == [{"_batch_id": "b1", "reason": "no_date"}]


def test_names_that_come_twice_lose_no_value(shelf: Shelf) -> None:
    shelf.put(part(3, "live"), {"id": [1]})

    assert shelf.rows("SELECT 1 AS a, 2 AS a, 3 AS a_2 FROM json_parsed_parquet") == [{"a": 1, "a_3": 2, "a_2": 3}]


def test_an_empty_lake_says_what_to_do(shelf: Shelf) -> None:
    with pytest.raises(PermanentError, match="lake discover"):
        shelf.rows("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT nope FROM json_parsed_parquet", "nope"),
        ("SELECT * FROM elsewhere", "elsewhere"),
        ("SELEC 1", "syntax error"),
        ("SELECT CAST('x' AS INT) FROM json_parsed_parquet", "Could not convert"),
        ("", "empty"),
        ("SELECT _batch_id, reason FROM quarantine", "quarantine"),
    ],
)
def test_a_refused_query_is_one_line(shelf: Shelf, sql: str, told: str) -> None:
    shelf.put(part(3, "live"), {"id": [1]})

    with pytest.raises(PermanentError, match=told) as refused:
        shelf.rows(sql)

    assert "\n" not in str(refused.value)
