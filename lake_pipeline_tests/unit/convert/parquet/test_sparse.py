"""Sparse batches: the same rows as dense ones, the same bytes in Parquet, and the memory of their values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_pipeline.convert.parquet import ParquetObject, Span, SparseBatch, spans_of, sparse_copy
from lake_pipeline_tests.unit.convert.parquet.test_encoder import MemoryStore, tables

MODULE = "lake_pipeline.convert.parquet.sparse"


@contextmanager
def filled_up_to(ratio: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{MODULE}.MAX_FILLED", ratio)
        yield


def encoded(spans: list[Span], schema: pa.Schema, group_rows: int) -> bytes:
    store: Any = MemoryStore()
    parquet = ParquetObject(store, "key", schema)
    parquet.write(spans, group_rows=group_rows)
    parquet.finish()
    return bytes(store.buffer.getvalue())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=tables(), group_rows=st.sampled_from([1, 5, 1 << 20]), ratio=st.sampled_from([0.0, 0.5, 1.0]))
def test_sparse_rows_are_encoded_to_the_same_bytes_as_dense_ones(
    parts: list[pa.Table], group_rows: int, ratio: float
) -> None:
    schema, spans = parts[0].schema, spans_of(parts)
    expected = encoded(spans, schema, group_rows)
    with filled_up_to(ratio):
        apart = [Span(sparse_copy([span], schema), 0, span.count) for span in spans]
        together = sparse_copy(spans, schema)
        again = sparse_copy([*apart, *spans], schema)
    rows = sum(span.count for span in spans)
    assert encoded(apart, schema, group_rows) == expected
    assert encoded([Span(together, 0, rows)], schema, group_rows) == expected
    assert encoded([Span(again, 0, rows)], schema, group_rows) == expected
    assert encoded([Span(again, rows, rows)], schema, group_rows) == expected
    assert together.rows(0, rows).to_pylist() == pa.concat_tables(parts).to_pylist()


def wide_table(columns: int, rows: int) -> pa.Table:
    """Each row has a value in one column of each type."""
    owner = np.arange(rows) % columns
    arrays, names = [], []
    for number in range(columns):
        empty = owner != number
        arrays += [
            pa.array(np.arange(rows), mask=empty),
            pa.array([None if none else f"text {row}" for row, none in enumerate(empty.tolist())], pa.string()),
        ]
        names += [f"i{number}", f"s{number}"]
    return pa.table(dict(zip(names, arrays, strict=True)))


def test_memory_grows_with_values_and_not_with_rows_times_columns() -> None:
    table = wide_table(columns=200, rows=4000)
    batch = sparse_copy(spans_of([table]), table.schema)
    # 4,000 values of 8 bytes and 4,000 texts of 9, with an offset and a row each, and 130 bytes per column.
    assert batch.nbytes <= 4000 * (8 + 4 + 9 + 4 + 4) + 130 * 400
    assert batch.nbytes * 50 < table.nbytes
    assert batch.rows(1000, 3000).equals(table.slice(1000).combine_chunks().to_batches()[0])


def test_a_column_that_is_new_is_null_in_older_sparse_rows_without_a_copy() -> None:
    table = wide_table(columns=40, rows=100)
    batch = sparse_copy(spans_of([table]), table.schema)
    schema = pa.schema([*table.schema, pa.field("new", pa.string())])
    conformed = batch.conformed(schema)
    assert isinstance(conformed, SparseBatch)
    expected = table.append_column("new", pa.nulls(100, pa.string()))
    assert conformed.rows(0, 100).to_pylist() == expected.to_pylist()
    assert encoded([Span(conformed, 20, 50)], schema, 1000) == encoded(
        spans_of([expected.cast(schema).slice(20, 50)]), schema, 1000
    )
    wider = pa.schema([pa.field("i0", pa.float64()), *list(table.schema)[1:]])
    assert batch.conformed(wider) is None
