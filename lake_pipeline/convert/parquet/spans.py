"""Spans: rows of record batches, which machine code reads where they stand.

A block of records gives rows to dozens of parts. To slice its columns for each of them, and to hand every slice over by
itself, took a tenth of a conversion; so a batch is handed over once, and a span tells which of its rows are meant.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa


class Batch:
    """A record batch, and the address of it as a struct of Arrow's C data interface, which is valid as long as this."""

    def __init__(self, arrow: pa.RecordBatch) -> None:
        self.arrow = arrow
        _, self._capsule = arrow.__arrow_c_array__()
        self.address: int = _get_pointer(self._capsule, b"arrow_array")


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
        return self.batch.arrow.slice(self.start, self.count)


def spans_of(tables: Iterable[pa.Table]) -> list[Span]:
    """All rows of some tables."""
    return [Span(Batch(batch), 0, batch.num_rows) for table in tables for batch in table.to_batches()]


def row_groups(spans: Iterable[Span], rows: int) -> Iterator[list[Span]]:
    """The same rows in groups of `rows`, the last with what is left."""
    group: list[Span] = []
    free = rows
    for span in spans:
        done = 0
        while done < span.count:
            count = min(free, span.count - done)
            group.append(Span(span.batch, span.start + done, count))
            done += count
            free -= count
            if not free:
                yield group
                group, free = [], rows
    if group:
        yield group


class Slices:
    """The rows of a row group for machine code, see `layout.SPAN_FIELDS`; valid as long as this."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self.rows = sum(span.count for span in spans)
        self.count = len(spans)
        self._table = (ctypes.c_int64 * (3 * self.count))()
        self._table[:] = [part for span in spans for part in (span.batch.address, span.start, span.count)]
        self.address = ctypes.addressof(self._table)
