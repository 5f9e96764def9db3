"""The Parquet encoder: every reader reads back the rows that were written, and bounds are exact."""

from __future__ import annotations

import io
import math
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, date
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_pipeline.convert.native.layout import PAGE_BYTES, PAGE_ROWS
from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.convert.parquet.schema import UnknownType

WORDS = ["", "a", "\0", "ü", "straße", "\U0001f600", "x" * 31, "x" * 32, "x" * 33, "y" * 64, "y" * 65, "z" * 700]

LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int64(), st.sampled_from([0, -1, 2**63 - 1, -(2**63)]) | st.integers(-100, 100)),
    (pa.int32(), st.sampled_from([0, -1, 2**31 - 1, -(2**31)]) | st.integers(-100, 100)),
    (pa.float64(), st.sampled_from([0.0, -0.0, math.inf, -math.inf, 5e-324, 1.5]) | st.floats(allow_nan=False)),
    (pa.string(), st.sampled_from(WORDS) | st.text(max_size=5)),
    (pa.binary(), st.sampled_from([b"", b"\xff\0", b"\x80"]) | st.binary(max_size=40)),
    (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    (pa.decimal128(5, 2), st.decimals(-999, 999, places=2)),
    (pa.decimal128(38, 0), st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)),
    (pa.null(), st.none()),
]


@st.composite
def columns(draw: st.DrawFn, depth: int = 0) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """A type and a strategy for its non-null values."""
    kind = draw(st.sampled_from(["leaf", "leaf", "leaf", "list", "struct", "map"])) if depth < 3 else "leaf"
    if kind == "leaf":
        leaf: tuple[pa.DataType, st.SearchStrategy[Any]] = draw(st.sampled_from(LEAVES))
        return leaf
    if kind == "list":
        field, values = draw(fields("element", depth + 1))
        return pa.list_(field), st.lists(values, max_size=4)
    if kind == "map":
        field, values = draw(fields("value", depth + 1))
        return pa.map_(pa.string(), field), st.lists(st.tuples(st.sampled_from(WORDS), values), max_size=3)
    inside = [draw(fields(f"f{number}", depth + 1)) for number in range(draw(st.integers(1, 3)))]
    return pa.struct([field for field, _ in inside]), st.fixed_dictionaries(
        {field.name: values for field, values in inside}
    )


@st.composite
def fields(draw: st.DrawFn, name: str, depth: int) -> tuple[pa.Field, st.SearchStrategy[Any]]:
    kind, values = draw(columns(depth))
    nullable = pa.types.is_null(kind) or draw(st.booleans())
    return pa.field(name, kind, nullable=nullable), (st.none() | values) if nullable else values


@st.composite
def tables(draw: st.DrawFn) -> list[pa.Table]:
    """Slices of one schema, cut from larger arrays at any offset."""
    drawn = [draw(fields(f"c{number}", 0)) for number in range(draw(st.integers(1, 3)))]
    schema = pa.schema(
        [field.with_metadata({"json_path": field.name * 2}) for field, _ in drawn], metadata={"about": "rows"}
    )
    slices = []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.lists(st.tuples(*[values for _, values in drawn]), max_size=8)) * draw(
            st.sampled_from([1, 1, 30])
        )
        arrays = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(schema)]
        start = draw(st.integers(0, len(rows)))
        slices.append(pa.table(arrays, schema=schema).slice(start, draw(st.integers(0, len(rows) - start))))
    return slices or [schema.empty_table()]


class MemoryStore:
    """A store of one object, in memory."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def put_pending(self, key: str) -> Any:  # noqa: ARG002
        return self

    def write(self, data: bytes) -> int:
        return self.buffer.write(data)

    def finish(self) -> Any:
        return None


def encoded(parts: list[pa.Table], *, writes: int = 1, group_rows: int = 1 << 20) -> io.BytesIO:
    store: Any = MemoryStore()
    parquet = ParquetObject(store, "key", parts[0].schema)
    for _ in range(writes):
        parquet.write(spans_of(parts), group_rows=group_rows)
    parquet.finish()
    buffer: io.BytesIO = store.buffer
    buffer.seek(0)
    return buffer


def encoded_by_pyarrow(table: pa.Table) -> io.BytesIO:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=1)
    return buffer


def size(file: io.BytesIO) -> int:
    return len(file.getvalue())


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=tables(), group_rows=st.sampled_from([1, 5, 1 << 20]))
def test_pyarrow_reads_back_all_rows_with_their_schema(parts: list[pa.Table], group_rows: int) -> None:
    # Compared with pyarrow's own file, because pyarrow changes names in maps.
    expected = pq.ParquetFile(encoded_by_pyarrow(pa.concat_tables(parts))).read()
    table = pq.ParquetFile(encoded(parts, group_rows=group_rows)).read()
    assert table.schema.equals(expected.schema, check_metadata=True)
    table.validate(full=True)
    assert table.equals(expected)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=tables())
def test_bounds_equal_those_of_pyarrow(parts: list[pa.Table]) -> None:
    table = pa.concat_tables(parts)
    if not table.num_rows:
        return
    ours, theirs = (pq.ParquetFile(file).metadata.row_group(0) for file in (encoded(parts), encoded_by_pyarrow(table)))
    for at in range(ours.num_columns):
        one, other = ours.column(at), theirs.column(at)
        assert one.path_in_schema == other.path_in_schema
        assert one.num_values == other.num_values
        if "." in one.path_in_schema:
            assert one.statistics is None
            continue
        if other.statistics is None:  # a column of type null
            assert not one.statistics.has_min_max
            continue
        assert one.statistics.null_count == other.statistics.null_count
        if one.statistics.has_min_max:
            assert (one.statistics.min, one.statistics.max) == (other.statistics.min, other.statistics.max)
        elif other.statistics.has_min_max:
            assert max(len(other.statistics.min_raw), len(other.statistics.max_raw)) > 64


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=tables())
def test_duckdb_reads_the_same_as_from_a_file_of_pyarrow(
    parts: list[pa.Table], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "ours.parquet").write_bytes(encoded(parts).getvalue())
    (folder / "theirs.parquet").write_bytes(encoded_by_pyarrow(pa.concat_tables(parts)).getvalue())
    ours, theirs = (duckdb.read_parquet(f"{folder}/{name}.parquet") for name in ("ours", "theirs"))
    assert ours.types == theirs.types
    assert ours.to_arrow_table().equals(theirs.to_arrow_table())


def test_nan_is_read_back_and_never_a_bound() -> None:
    table = pa.table({"some": [math.nan, 1.0, -0.0], "all": [math.nan] * 3, "zeros": [0.0, -0.0, 0.0]})
    file = pq.ParquetFile(encoded([table]))
    assert str(file.read().to_pylist()) == str(table.to_pylist())
    some, every, zeros = (file.metadata.row_group(0).column(at).statistics for at in range(3))
    assert (str(some.min), some.max) == ("-0.0", 1.0)
    assert not every.has_min_max
    assert (str(zeros.min), str(zeros.max)) == ("-0.0", "0.0")


def test_pages_respect_their_limits() -> None:
    rows = 3 * PAGE_ROWS + 7
    table = pa.table(
        {
            "n": pa.array(range(rows)),
            "s": pa.array([None if n % 3 else f"{n:0200}" for n in range(rows)]),
            "flag": pa.array([n % 2 == 0 for n in range(rows)]),
            "kind": pa.array([f"kind {n % 7}" for n in range(rows)]),
            "l": pa.array([[n] * (n % 5) for n in range(rows)]),
        }
    )
    file = encoded([table.slice(0, 11), table.slice(11)])
    read = pq.ParquetFile(file)
    assert read.read().equals(table)
    group = read.metadata.row_group(0)
    assert all(group.column(at).has_offset_index for at in range(5))
    assert [group.column(at).has_column_index for at in range(5)] == [
        True,
        False,
        True,
        True,
        False,
    ]  # strings above 64 bytes have no bounds
    for at in range(5):
        sizes, counts = zip(*data_pages(file.getvalue(), group.column(at)), strict=True)
        assert sum(counts) == group.column(at).num_values
        assert len(counts) >= 4
        assert max(sizes) <= PAGE_BYTES + 4096  # the row that fills it, and the levels
        if at < 4:
            assert max(counts) <= PAGE_ROWS


def data_pages(content: bytes, column: Any) -> Iterator[tuple[int, int]]:
    """(bytes before compression, values) of each data page, from the headers."""
    at = column.data_page_offset
    start = at if column.dictionary_page_offset is None else column.dictionary_page_offset
    while at < start + column.total_compressed_size:
        header, at = read_struct(content, at)
        at += header[3]
        yield header[2], header[5][1]


def read_struct(content: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct of numbers and structs in Thrift's compact protocol, and the offset after it."""
    fields: dict[int, Any] = {}
    field = 0
    while content[at]:
        field += content[at] >> 4
        kind = content[at] & 15
        assert kind in (5, 6, 12), "the header of a data page has only such fields"
        fields[field], at = read_struct(content, at + 1) if kind == 12 else read_zigzag(content, at + 1)
    return fields, at + 1


def read_zigzag(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while content[at] >= 128:
        number |= (content[at] & 127) << shift
        at, shift = at + 1, shift + 7
    number |= content[at] << shift
    return number >> 1 ^ -(number & 1), at + 1


def test_files_are_not_larger_than_those_of_pyarrow() -> None:
    rows = 8000
    table = pa.table(
        {
            "unique": [f"{n * 2654435761 % 2**32:08x}" for n in range(rows)],
            "kind": [f"kind {n * n % 13}" for n in range(rows)],
            "same": ["always"] * rows,
            "n": range(rows),
            "amount": [n * 7919 % 500 / 4 for n in range(rows)],
            "day": pa.array([date(2026, 1, 1 + n % 28) for n in range(rows)]),
            "price": pa.array([Decimal(n % 90) / 4 for n in range(rows)], pa.decimal128(9, 2)),
            "flag": [n % 3 == 0 for n in range(rows)],
            "tags": [[f"tag {n % 5}"] * (n % 3) for n in range(rows)],
            "none": pa.nulls(rows, pa.string()),
        }
    )
    assert size(encoded([table])) <= 1.05 * size(encoded_by_pyarrow(table))
    for name in table.column_names:
        one = table.select([name])
        assert size(encoded([one])) <= 1.05 * size(encoded_by_pyarrow(one)) + 100, name


def test_a_column_that_does_not_shrink_is_stored_uncompressed() -> None:
    table = pa.table(
        {
            "n": pa.array(range(5000)),
            "noise": pa.array([n * n * 0x9E3779B97F4A7C15 % 2**64 - 2**63 for n in range(5000)]),
        }
    )
    file = pq.ParquetFile(encoded([table]))
    assert [file.metadata.row_group(0).column(at).compression for at in range(2)] == ["ZSTD", "UNCOMPRESSED"]
    assert file.read().equals(table)


def test_large_dictionaries_and_long_runs_are_read_back() -> None:
    """More distinct values than the first hash table has slots, strings beyond a dictionary's size, and long runs."""
    many = [f"value {n % 9000}" for n in range(70_000)]
    wide = [f"{n % 900:02000}" for n in range(6000)]
    runs = [n // 5000 for n in range(70_000)]
    table = pa.table({"many": many, "runs": runs, "odd": [n % 9000 * 0.5 for n in range(70_000)]})
    assert pq.ParquetFile(encoded([table])).read().equals(table)
    assert pq.ParquetFile(encoded([pa.table({"wide": wide})])).read().equals(pa.table({"wide": wide}))


@pytest.mark.parametrize("kind", ["whole doubles", "short strings", "strings that differ at their end"])
def test_values_that_differ_in_few_bits_do_not_collide_in_the_hash_table(kind: str) -> None:
    """A hash with many collisions once made such columns 15 times slower."""
    generator = random.Random(1)
    numbers = [generator.randrange(1500) for _ in range(80_000)]
    similar = {
        "whole doubles": [float(n) for n in numbers],
        "short strings": [f"{n:03x}" for n in numbers],
        "strings that differ at their end": [f"sku-{n:09}" for n in numbers],
    }[kind]
    scattered = [generator.random() for _ in range(1500)]
    others = [scattered[n] if kind == "whole doubles" else f"{scattered[n]:.13f}" for n in numbers]
    columns = [pa.table({"a": values}) for values in (similar, others)]
    seconds = [min(thread_seconds(column) for _ in range(3)) for column in columns]
    assert seconds[0] < 4 * seconds[1]


def thread_seconds(table: pa.Table) -> float:
    start = time.thread_time()
    encoded([table])
    return time.thread_time() - start


def test_strings_with_a_common_prefix_have_exact_bounds() -> None:
    """They differ after the first eight bytes, at every offset, or one is a prefix of the other."""
    texts = [f"2026-02-13T{'0' * n}{end}" for n in range(20) for end in ("", "a", "b", "ü", "\0")]
    column = pq.ParquetFile(encoded([pa.table({"a": texts})])).metadata.row_group(0).column(0)
    ordered = sorted(text.encode() for text in texts)
    assert (column.statistics.min_raw, column.statistics.max_raw) == (ordered[0], ordered[-1])


def test_a_file_has_several_row_groups() -> None:
    table = pa.table({"n": range(10), "s": [str(n) for n in range(10)]})
    file = pq.ParquetFile(encoded([table, table], writes=3, group_rows=15))
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [15, 5] * 3
    assert file.read().equals(pa.concat_tables([table] * 6))


def test_created_by_has_the_format_that_readers_parse() -> None:
    """parquet-mr ignores bounds of strings if it can't parse it."""
    created_by = pq.ParquetFile(encoded([pa.table({"n": [1]})])).metadata.created_by
    assert re.fullmatch(r"lake_pipeline version \d+\.\d+\.\d+ \(build [^)]+\)", created_by)


def test_an_unknown_type_is_refused_when_the_file_is_opened() -> None:
    store: Any = MemoryStore()
    with pytest.raises(UnknownType, match=r"'a\.list\.element' is uint8"):
        ParquetObject(store, "key", pa.schema([("a", pa.list_(pa.uint8()))]))


def test_a_null_that_the_schema_does_not_allow_is_refused() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    with pytest.raises(ValueError, match="'n' has a null"):
        encoded([pa.table([pa.array([1, None])], schema=schema)])
