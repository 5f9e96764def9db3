"""How curated files are encoded: with everything that helps readers, and nothing that only costs."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_pipeline.convert.output.writer import object_names
from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.storage.directory import DirectoryStore

KEY = "json_parsed_parquet/year=2026/month=02/day=03/mode=live/part.parquet"


def written(folder: Path, table: pa.Table) -> pq.FileMetaData:
    store = DirectoryStore(folder)
    parquet = ParquetObject(store, KEY, table.schema)
    parquet.write(spans_of([table]))
    store.publish(parquet.finish())
    file = pq.ParquetFile(folder / KEY)
    assert file.read().equals(table)
    return file.metadata


def test_columns_have_bounds_to_prune_by_and_lists_have_none(tmp_path: Path) -> None:
    table = pa.table({"n": range(100), "l": [[number] for number in range(100)]})
    numbers, items = (written(tmp_path, table).row_group(0).column(at) for at in range(2))
    assert (numbers.statistics.min, numbers.statistics.max) == (0, 99)
    assert items.statistics is None


@pytest.mark.parametrize(("rows", "has_index"), [(100, False), (20_000, False), (20_001, True)])
def test_a_page_index_is_written_if_a_column_has_several_pages(tmp_path: Path, rows: int, has_index: bool) -> None:
    metadata = written(tmp_path, pa.table({"n": range(rows)}))
    assert metadata.row_group(0).column(0).has_column_index == has_index


def test_only_a_column_of_repeated_values_has_a_dictionary(tmp_path: Path) -> None:
    table = pa.table({"same": ["x"] * 1000, "other": [f"{number}" for number in range(1000)]})
    same, other = (written(tmp_path, table).row_group(0).column(at) for at in range(2))
    assert same.has_dictionary_page
    assert not other.has_dictionary_page


def test_concurrent_threads_never_get_the_same_object_name() -> None:
    names = object_names("00007")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            taken = [
                name
                for names_of_thread in pool.map(lambda _: list(islice(names, 2000)), range(8))
                for name in names_of_thread
            ]
    finally:
        sys.setswitchinterval(before)
    assert sorted(taken) == [f"00007-{number:05d}" for number in range(16_000)]
