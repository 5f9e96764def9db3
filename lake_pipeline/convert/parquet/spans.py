"""Spans: rows of record batches, which machine code reads without copying them.

A block of records has rows for dozens of parts. Slicing its columns for each part, and exporting every slice, took a
tenth of a conversion. So a batch is exported once, and a span selects rows of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lake_pipeline.convert.native import layout


class Batch(Protocol):
    """Rows of a schema. `address` is that of a struct of Arrow's C data interface, valid as long as this object."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def address(self) -> int: ...

    def column(self, name: str) -> pa.Array:
        """A column as an Arrow array, with an item per row."""
        ...

    def rows(self, start: int, count: int) -> pa.RecordBatch:
        """Some rows as a record batch. That may copy them."""
        ...


class DenseBatch:
    """A record batch of Arrow."""

    def __init__(self, arrow: pa.RecordBatch) -> None:
        self._arrow = arrow
        self.schema: pa.Schema = arrow.schema
        _, self._capsule = arrow.__arrow_c_array__()
        self.address: int = _get_pointer(self._capsule, b"arrow_array")

    def column(self, name: str) -> pa.Array:
        return self._arrow.column(name)

    def rows(self, start: int, count: int) -> pa.RecordBatch:
        return self._arrow.slice(start, count)


_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True, slots=True)
class Span:
    """`count` rows of a batch, from `start` on."""

    batch: Batch
    start: int
    count: int

    def arrow(self) -> pa.RecordBatch:
        """The rows themselves."""
        return self.batch.rows(self.start, self.count)


def spans_of(tables: Iterable[pa.Table]) -> list[Span]:
    """All rows of some tables."""
    return [Span(DenseBatch(batch), 0, batch.num_rows) for table in tables for batch in table.to_batches()]


def row_groups(spans: Iterable[Span], rows: int) -> Iterator[list[Span]]:
    """The same rows in groups of `rows`; the last group has the rest."""
    group: list[Span] = []
    free = rows
    for span in spans:
        start = 0
        while start < span.count:
            count = min(free, span.count - start)
            group.append(Span(span.batch, span.start + start, count))
            start += count
            free -= count
            if not free:
                yield group
                group, free = [], rows
    if group:
        yield group


class Slices:
    """The rows of a row group as a table of `layout.Span` at `address`, which is valid as long as this object."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self.rows = sum(span.count for span in spans)
        self.count = len(spans)
        rows = [layout.Span(batch=span.batch.address, start=span.start, row_count=span.count) for span in spans]
        self._table = (ctypes.c_int64 * (len(layout.SPAN) * self.count))()
        self._table[:] = [value for row in rows for value in row]
        self.address = ctypes.addressof(self._table)
