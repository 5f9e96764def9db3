"""Sparse batches: rows of a wide contract in the memory of their values, not of rows times columns.

Of a column with few values only these and their rows are kept. All such columns share one piece of memory, because an
Arrow array of its own for ten values takes a kilobyte. Other columns, and lists, are copied as they are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.convert.native.call import address_of, call
from lake_pipeline.convert.native.layout import ARRAY, SPARSE, VECTOR_BYTES, ValueForm
from lake_pipeline.convert.parquet.schema import FlatColumns, tree_of
from lake_pipeline.convert.parquet.spans import DenseBatch, Slices, Span

MAX_FILLED = 1 / 16
"""The ratio of rows with a value up to which a column is kept sparsely. A value then takes four bytes more for its row,
and a column that is left out saves at least eight bytes for each of its values."""

_SPARSE_FIELDS = len(ARRAY) + 3
"""64-bit integers of a sparse column: an `ArrowArray` and the addresses of three buffers."""

_VALUE_BYTES = {ValueForm.INT32: 4, ValueForm.INT64: 8, ValueForm.DOUBLE: 8, ValueForm.DECIMAL: 16}

Ints = npt.NDArray[np.int64]


class _Piece(NamedTuple):
    """Where a sparse column is in the memory of its batch, as offsets; `data` and `end` are of bytes of strings."""

    values: int
    rows: int
    buffer: int
    data: int
    end: int


_NOTHING = _Piece(0, 0, 0, 0, 0)


class SparseBatch:
    """Rows with sparse columns. `nbytes` is the memory that they take."""

    def __init__(
        self, schema: pa.Schema, row_count: int, dense: pa.RecordBatch, pieces: dict[str, _Piece], memory: _Memory
    ) -> None:
        self.schema = schema
        self._row_count = row_count
        self._dense = dense
        self._pieces = pieces
        self._memory = memory
        self._exported = DenseBatch(dense)
        self._structs = _structs(schema, self._exported.address, dense.schema, pieces, memory)
        self.address = address_of(self._structs)
        self.nbytes = int(dense.nbytes) + memory.bytes.nbytes + self._structs.nbytes

    def column(self, name: str) -> pa.Array:
        if name not in self._pieces:
            position = self._dense.schema.get_field_index(name)
            kind = self.schema.field(name).type
            return self._dense.column(position) if position >= 0 else pa.nulls(self._row_count, kind)
        rows, values = self._values(name)
        indexes = np.zeros(self._row_count, dtype=np.int32)
        missing = np.ones(self._row_count, dtype=bool)
        indexes[rows], missing[rows] = np.arange(len(rows)), False
        return values.take(pa.array(indexes, mask=missing))

    def rows(self, start: int, count: int) -> pa.RecordBatch:
        columns = [self.column(name).slice(start, count) for name in self.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def conformed(self, schema: pa.Schema) -> SparseBatch | None:
        """The same rows with the columns of `schema`, null if they are new; None if a column has another type now."""
        for field in self.schema:
            if schema.field(field.name).type != field.type:
                return None
        return SparseBatch(schema, self._row_count, self._dense, self._pieces, self._memory)

    def _values(self, name: str) -> tuple[npt.NDArray[np.int32], pa.Array]:
        """The rows of a sparse column's values, and the values."""
        piece, memory = self._pieces[name], self._memory.bytes
        rows = memory[piece.rows : piece.rows + 4 * piece.values].view(np.int32)
        buffers = [None, pa.py_buffer(memory[piece.buffer : piece.data])]
        kind = self.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            buffers.append(pa.py_buffer(memory[piece.data : piece.end]))
        return rows, pa.Array.from_buffers(kind, piece.values, buffers, 0)


class _Memory:
    """The memory of all sparse columns of a batch."""

    def __init__(self, size: int) -> None:
        # Bits of booleans are added to zeros. Vectors are read up to the end of a column, and beyond it.
        self.bytes = np.zeros(size + VECTOR_BYTES, dtype=np.uint8)
        self.address = address_of(self.bytes)


def sparse_copy(spans: Sequence[Span], schema: pa.Schema) -> SparseBatch:
    """A copy of some rows, which all have `schema`. Columns with few values are sparse in it."""
    slices = Slices(spans)
    table = np.zeros((len(schema), len(SPARSE)), dtype=np.int64)
    table[:, SPARSE.form] = _forms(schema)
    structs, arrays = np.empty(slices.count * len(ARRAY), dtype=np.int64), np.empty(slices.count, dtype=np.int64)
    call("sparse_sizes", slices.address, slices.count, table, len(schema), structs, arrays)
    is_sparse = (table[:, SPARSE.form] >= 0) & (table[:, SPARSE.values] <= slices.rows * MAX_FILLED)
    pieces, size = _pieces(schema, table, is_sparse)
    memory = _Memory(size)
    copies = np.array([(piece.rows, piece.buffer, piece.data) for piece in pieces.values()], dtype=np.int64)
    table[is_sparse, SPARSE.rows :] = copies.reshape(-1, 3) + memory.address
    call("copy_sparse", slices.address, slices.count, table, len(schema), structs, arrays)
    return SparseBatch(schema, slices.rows, _dense(spans, schema, is_sparse, slices.rows), pieces, memory)


def _forms(schema: pa.Schema) -> Ints:
    """The form of each flat column; -1 for lists and columns without a type."""
    forms = np.full(len(schema), -1, dtype=np.int64)
    for columns in tree_of(schema).columns:
        if isinstance(columns, FlatColumns):
            for leaf, position in zip(columns.leaves, columns.positions, strict=True):
                if leaf.form is not ValueForm.NONE and leaf.nullable:
                    forms[position] = leaf.form
    return forms


def _pieces(schema: pa.Schema, table: Ints, is_sparse: npt.NDArray[np.bool_]) -> tuple[dict[str, _Piece], int]:
    """The place of each sparse column, and the size of all."""
    pieces: dict[str, _Piece] = {}
    names, end = schema.names, 0
    for position in np.flatnonzero(is_sparse).tolist():
        form, values, size = table[position, : SPARSE.rows].tolist()
        rows = end
        buffer = rows + _padded(4 * values)
        data = buffer + _padded(_buffer_bytes(form, values))
        end = data + _padded(size)
        pieces[names[position]] = _Piece(values, rows, buffer, data, data + size)
    return pieces, end


def _buffer_bytes(form: int, values: int) -> int:
    """The bytes of values, bits or offsets."""
    if form == ValueForm.BOOL:
        return (values + 7) // 8
    return 4 * values + 4 if form == ValueForm.BYTES else _VALUE_BYTES[ValueForm(form)] * values


def _padded(size: int) -> int:
    return (size + 7) // 8 * 8


def _dense(spans: Sequence[Span], schema: pa.Schema, is_sparse: npt.NDArray[np.bool_], rows: int) -> pa.RecordBatch:
    """A copy of the columns that are not sparse: their memory would keep that of all other columns alive."""
    fields = [field for field, leave_out in zip(schema, is_sparse.tolist(), strict=True) if not leave_out]
    picks = pa.array(np.arange(rows))
    columns = []
    for field in fields:
        parts = [span.batch.column(field.name).slice(span.start, span.count) for span in spans]
        columns.append(pa.chunked_array(parts, field.type).combine_chunks().take(picks))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _structs(
    schema: pa.Schema, dense_address: int, dense: pa.Schema, pieces: dict[str, _Piece], memory: _Memory
) -> Ints:
    """The batch as structs of Arrow's C data interface: the batch, the addresses of its columns, the sparse columns.

    A column that is in neither is null in every row: a sparse column without values.
    """
    count = len(schema)
    first = len(ARRAY) + count
    structs = np.zeros(first + _SPARSE_FIELDS * count, dtype=np.int64)
    address = address_of(structs)
    structs[ARRAY.child_count], structs[ARRAY.children] = count, address + 8 * len(ARRAY)
    dense_children = _children(dense_address, len(dense))
    own = address + 8 * (first + _SPARSE_FIELDS * np.arange(count))
    of_dense = dict(zip(dense.names, dense_children, strict=True))
    addresses = [of_dense.get(name, 0) for name in schema.names]
    structs[len(ARRAY) : first] = np.where(addresses, addresses, own)
    columns = structs[first:].reshape(count, _SPARSE_FIELDS)
    table = np.array([pieces.get(name, _NOTHING) for name in schema.names], dtype=np.int64).reshape(count, -1)
    columns[:, ARRAY.length], columns[:, ARRAY.buffer_count] = table[:, 0], 3
    columns[:, ARRAY.buffers] = own + 8 * len(ARRAY)
    columns[:, ARRAY.dictionary] = memory.address + table[:, 1]
    columns[:, len(ARRAY) + 1 :] = memory.address + table[:, 2:4]
    return structs


def _children(address: int, count: int) -> list[int]:
    """The addresses of the columns of an exported record batch."""
    children = _integers(address, len(ARRAY))[ARRAY.children]
    return _integers(children, count) if count else []


def _integers(address: int, count: int) -> list[int]:
    return list((ctypes.c_int64 * count).from_address(address))
