"""Parquet files as pending objects: how they are encoded, and how pyarrow writes into a store.

Zstandard at its lowest level: higher ones were 20 % slower and saved nothing on event data (17.4 MB against 17.6 MB of
128 MB JSON). A column gets a dictionary only where values repeat: on columns of unique values the dictionary is built,
written and then given up, which cost a tenth of the time and an eighth of the size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.objects import ObjectStore, PendingWriter

ROW_GROUP_ROWS = 128 * 1024
"""Rows of a row group: readers that shuffle or prune work at this grain."""

PAGE_ROWS = 20_000
"""Rows of a page at most, as pyarrow has it."""

SAMPLE = 4096
"""Values of a column looked at to decide about its dictionary."""

BATCH_ROWS = 8192
BATCH_BYTES = 8 << 20
"""Values that pyarrow encodes at a time; a page never has less. With its own 1,024 writing takes a fifth longer, above
8,192 nothing is gained. Wide rows take fewer, or a page would be as large as a row group."""

SINK_BYTES = 1 << 20
"""Gathered before a store is called, which takes the interpreter's lock: Parquet is written in pieces of 3 KB."""

REPEATING = 0.5
"""A column whose sampled values are distinct to less than this share is written with a dictionary."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What is known of a file's rows before they are written, and decides how they are.

    `dictionaries` are the leaf columns, by their path in Parquet, that get one. `row_bytes` is what a row takes in
    memory, about; `rows` how many there will be, None where that is open.
    """

    dictionaries: Sequence[str]
    row_bytes: float
    rows: int | None = None

    @classmethod
    def of(cls, sample: pa.Table, rows: int | None = None) -> Encoding:
        """The encoding for rows like those of `sample`."""
        return cls(dictionaries=repeating(sample), row_bytes=sample.nbytes / max(sample.num_rows, 1), rows=rows)


class ParquetObject:
    """A Parquet file being written to a pending object, row group by row group."""

    def __init__(self, store: ObjectStore, key: str, schema: pa.Schema, encoding: Encoding) -> None:
        self.rows = 0
        self._pending: PendingWriter = store.put_pending(key)
        self._sink = _Sink(self._pending)
        self._buffered = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), SINK_BYTES)
        self._writer = pq.ParquetWriter(
            self._buffered,
            schema,
            compression="zstd",
            use_dictionary=list(encoding.dictionaries),
            # No reader prunes by what stands in lists, and finding its bounds takes a twentieth of the time.
            write_statistics=[field.name for field in schema if not pa.types.is_nested(field.type)],
            # Where a column is one page, an index of pages repeats what the footer says, column by column.
            write_page_index=encoding.rows is None or encoding.rows > PAGE_ROWS,
            write_batch_size=int(min(max(BATCH_BYTES / max(encoding.row_bytes, 1), 1), BATCH_ROWS)),
        )

    def write(self, table: pa.Table) -> None:
        """Add rows as one or more row groups. Raises `StorageUnavailable`."""
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self.rows += table.num_rows

    def finish(self) -> PendingObject:
        """Complete the file. Raises `StorageUnavailable`."""
        self._writer.close()
        self._buffered.flush()
        return self._pending.finish()

    def discard(self) -> None:
        """Forget it."""
        self._sink.deaf = True
        self._writer.close()
        self._pending.discard()


class _Sink:
    """What pyarrow needs of a file object, over a pending writer. Deaf once the object is given up."""

    closed = False

    def __init__(self, writer: PendingWriter) -> None:
        self._writer = writer
        self.deaf = False

    def write(self, data: bytes) -> int:
        return len(data) if self.deaf else self._writer.write(data)

    def flush(self) -> None:
        """The pending writer flushes when it is finished."""

    def close(self) -> None:
        """Finishing or discarding is the owner's decision, not pyarrow's."""


def repeating(table: pa.Table) -> tuple[str, ...]:
    """The leaf columns of a sample, by their path in Parquet, whose values repeat."""
    return tuple(
        path
        for name in table.column_names
        for path, values in _leaves(name, table.column(name).slice(0, SAMPLE).combine_chunks())
        if not len(values) or pc.count_distinct(values).as_py() < REPEATING * len(values)
    )


def _leaves(path: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if pa.types.is_struct(values.type):
        for position, field in enumerate(values.type):
            yield from _leaves(f"{path}.{field.name}", values.field(position))
    elif pa.types.is_list(values.type):
        yield from _leaves(f"{path}.list.element", values.flatten()[:SAMPLE])
    else:
        yield path, values
