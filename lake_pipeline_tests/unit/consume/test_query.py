"""SQL over published files: only files in the ledger, with partition columns, and errors of one line."""

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
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.zones import curated_key, quarantine_key
from lake_pipeline.usecases.lake import Lake


class QueryLake:
    """A lake with handmade Parquet files, some of them listed as published."""

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

    def rows(self, sql: str, *, allow_files: bool = False) -> list[dict[str, Any]]:
        contract = SimpleNamespace(arrow_schema=lambda: self._schema)
        ledger = SimpleNamespace(
            identity=SimpleNamespace(read=lambda: SimpleNamespace(lake_id=None)),
            curated=SimpleNamespace(files=lambda: self.listed),
            contracts=SimpleNamespace(latest=lambda: contract),
        )
        lake = cast(Lake, SimpleNamespace(store=self.store, ledger=ledger))
        result = query(lake, sql, allow_files=allow_files)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


@pytest.fixture
def lake(tmp_path: Path) -> QueryLake:
    # A quote in the path must not break SQL.
    return QueryLake(tmp_path / "it's a lake")


def part(day: int, mode: str, name: str = "part.parquet") -> str:
    return curated_key(PartitionKey(date(2026, 2, day), mode), name)


def test_files_of_other_partitions_are_not_opened(lake: QueryLake) -> None:
    for day in (3, 4):
        for mode in ("live", "a b"):
            lake.put(part(day, mode), {"id": [day]})
            if (day, mode) != (4, "a b"):
                lake.store.path(part(day, mode)).write_bytes(b"not Parquet: opening it fails")

    assert lake.rows("SELECT id, day FROM json_parsed_parquet WHERE day >= 4 AND mode IN ('a b', 'x')") == [
        {"id": 4, "day": 4}
    ]
    assert lake.rows(
        "SELECT count(*) AS n FROM json_parsed_parquet WHERE year = 2026 AND day = 4 AND mode = 'a b'"
    ) == [{"n": 1}]
    with pytest.raises(PermanentError):
        lake.rows("SELECT id FROM json_parsed_parquet WHERE day = 3")


@pytest.mark.parametrize("mode", ["live", "a b/c", "it's", "..", "ünï", "1", "100%", "a=b"])
def test_partition_columns_have_the_original_values(lake: QueryLake, mode: str) -> None:
    lake.put(part(3, mode), {"id": [1]})

    assert lake.rows("SELECT * FROM json_parsed_parquet") == [
        {"id": 1, "year": 2026, "month": 2, "day": 3, "mode": mode}
    ]


def test_only_files_that_the_ledger_lists_are_read(lake: QueryLake) -> None:
    lake.put(part(3, "live"), {"id": [1]})
    lake.put(part(3, "live", "replaced.parquet"), {"id": [2]}, listed=False)

    assert lake.rows("SELECT id FROM json_parsed_parquet") == [{"id": 1}]


def test_older_files_lack_newer_columns_and_may_be_narrower(lake: QueryLake) -> None:
    lake.put(part(3, "live"), {"id": [1], "amount": pa.array([2], pa.int64())})
    lake.put(part(4, "live"), {"id": [2], "amount": [2.5], "late": ["x"]})

    assert lake.rows("SELECT id, amount, late FROM json_parsed_parquet ORDER BY id") == [
        {"id": 1, "amount": 2.0, "late": None},
        {"id": 2, "amount": 2.5, "late": "x"},
    ]


def test_quarantine_is_a_second_table(lake: QueryLake) -> None:
    lake.put(part(3, "live"), {"id": [1]})
    lake.put(quarantine_key("b1", "part.parquet"), {"_batch_id": ["b1"], "reason": ["no_date"]}, listed=False)

    assert lake.rows("SELECT _batch_id, reason FROM quarantine") == [{"_batch_id": "b1", "reason": "no_date"}]


def test_quarantine_is_an_empty_table_if_nothing_is_quarantined(lake: QueryLake) -> None:
    assert lake.rows("SELECT s3_key, reason, raw FROM quarantine") == []
    lake.put(part(3, "live"), {"id": [1]})
    assert lake.rows("SELECT count(*) AS n FROM quarantine") == [{"n": 0}]


def test_repeated_names_lose_no_value(lake: QueryLake) -> None:
    lake.put(part(3, "live"), {"id": [1]})

    assert lake.rows("SELECT 1 AS a, 2 AS a, 3 AS a_2 FROM json_parsed_parquet") == [{"a": 1, "a_3": 2, "a_2": 3}]


def test_the_error_for_an_empty_lake_has_the_next_step(lake: QueryLake) -> None:
    with pytest.raises(PermanentError, match="lake discover"):
        lake.rows("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nope FROM json_parsed_parquet", "nope"),
        ("SELECT * FROM elsewhere", "elsewhere"),
        ("SELEC 1", "syntax error"),
        ("SELECT CAST('x' AS INT) FROM json_parsed_parquet", "Could not convert"),
        ("", "empty"),
    ],
)
def test_a_refused_query_is_one_line(lake: QueryLake, sql: str, message: str) -> None:
    lake.put(part(3, "live"), {"id": [1]})

    with pytest.raises(PermanentError, match=message) as refused:
        lake.rows(sql)

    assert "\n" not in str(refused.value)


FILE_READS = [
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_csv('{secret}', header=false)",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM read_parquet('{published}')",
    "SELECT * FROM parquet_metadata('{published}')",
    "SELECT * FROM json_parsed_parquet, read_text('{secret}')",
]
WRITES = [
    "COPY (SELECT 1) TO '{folder}/written'",
    "COPY (SELECT 1 AS id) TO '{published}' (FORMAT parquet)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/written'",
    "EXPORT DATABASE '{folder}/written'",
    "ATTACH '{folder}/written' AS other",
    "ATTACH ':memory:' AS other",
    "CREATE TABLE t AS SELECT 1",
    "INSERT INTO json_parsed_parquet SELECT 1",
    "DROP VIEW json_parsed_parquet",
    "PRAGMA profiling_output = '{folder}/written'",
    "CALL enable_logging('QueryLog', storage = 'file', storage_path = '{folder}/written')",
    "CREATE PERSISTENT SECRET s (TYPE http)",
]
EXTENSIONS_AND_SETTINGS = [
    "INSTALL httpfs",
    "FORCE INSTALL json FROM community",
    "LOAD httpfs",
    "LOAD '{secret}'",
    "SELECT * FROM read_parquet('https://192.0.2.1/x.parquet')",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET temp_directory = '{folder}/written'",
    "PRAGMA enable_profiling",
    "SELECT getenv('PATH')",
]


@pytest.mark.parametrize("sql", [*FILE_READS, *WRITES, *EXTENSIONS_AND_SETTINGS])
def test_a_query_reads_nothing_but_the_tables_and_changes_nothing(lake: QueryLake, tmp_path: Path, sql: str) -> None:
    lake.put(part(3, "live"), {"id": [1]})
    published = lake.store.path(part(3, "live"))
    content = published.read_bytes()
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    names = {"secret": secret, "folder": tmp_path, "published": str(published).replace("'", "''")}
    before = sorted(tmp_path.rglob("*"))

    for statement in (sql, f"SELECT 1; {sql}"):
        with pytest.raises(PermanentError) as refused:
            lake.rows(statement.format(**names))
        assert "a secret" not in str(refused.value)
        assert "\n" not in str(refused.value)

    assert sorted(tmp_path.rglob("*")) == before
    assert published.read_bytes() == content


def test_a_query_does_not_see_variables_of_the_program(lake: QueryLake) -> None:
    lake.put(part(3, "live"), {"id": [1]})

    for name in ("curated", "quarantined", "names", "sql"):
        for allow_files in (False, True):
            with pytest.raises(PermanentError, match="does not exist"):
                lake.rows(f"SELECT * FROM {name}", allow_files=allow_files)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH t AS (FROM json_parsed_parquet) SELECT id FROM t",
        "VALUES (1)",
        "SHOW TABLES",
        "DESCRIBE json_parsed_parquet",
        "SUMMARIZE json_parsed_parquet",
        "EXPLAIN SELECT id FROM json_parsed_parquet",
        "PIVOT json_parsed_parquet ON mode USING count(*)",
        "SELECT 1; SELECT 2",
    ],
)
def test_every_form_of_a_query_runs(lake: QueryLake, sql: str) -> None:
    lake.put(part(3, "live"), {"id": [1]})

    assert lake.rows(sql)


def test_a_refused_file_access_names_the_option_that_allows_it(lake: QueryLake, tmp_path: Path) -> None:
    lake.put(part(3, "live"), {"id": [1]})
    copied = tmp_path / "copied.csv"

    for sql in (f"FROM read_text('{tmp_path}/x')", f"COPY (FROM json_parsed_parquet) TO '{copied}'"):
        with pytest.raises(PermanentError, match="--allow-files"):
            lake.rows(sql)

    lake.rows(f"COPY (SELECT id FROM json_parsed_parquet) TO '{copied}'", allow_files=True)
    assert lake.rows(f"SELECT id FROM '{copied}'", allow_files=True) == [{"id": 1}]


@pytest.mark.parametrize("sql", ["INSTALL httpfs", "LOAD httpfs", "SET lock_configuration = false"])
def test_extensions_and_settings_stay_closed_with_files_allowed(lake: QueryLake, sql: str) -> None:
    lake.put(part(3, "live"), {"id": [1]})

    with pytest.raises(PermanentError):
        lake.rows(sql, allow_files=True)


def test_a_query_leaves_no_temporary_file(lake: QueryLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.put(part(3, "live"), {"id": [1]})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    lake.rows("SELECT id FROM json_parsed_parquet")
    with pytest.raises(PermanentError):
        lake.rows("SELECT nope FROM json_parsed_parquet")

    assert [entry.name for entry in tmp_path.iterdir()] == ["it's a lake"]
