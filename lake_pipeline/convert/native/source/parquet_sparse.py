"""Sparse columns: the values of flat columns that are not null, with their rows; see `layout.ArrowArray`.

The columns of some spans are copied, sparse or not. The caller allocates the memory of all copies: it learns the sizes
first, and then stores the addresses in the table.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import ARRAY, SPARSE, SPARSE_BYTES, ValueForm
from lake_pipeline.convert.native.source.decorators import compiled
from lake_pipeline.convert.native.source.intrinsics import (
    load_byte,
    load_int32,
    load_int64,
    store_byte,
    store_int32,
    store_int64,
)
from lake_pipeline.convert.native.source.parquet_levels import (
    column_arrays,
    is_set,
    row_count_of,
    rows_of_values,
    validity,
)


@compiled
def sparse_sizes(spans, slices, table, count, structs, arrays):
    """Writes the number of values of each column of `table`, and the bytes of strings; returns 0."""
    for column in range(count):
        row = table + SPARSE_BYTES * column
        form = load_int64(row, SPARSE.form)
        if form < 0:
            continue
        column_arrays(spans, slices, column, structs, arrays)
        values = size = 0
        for slice_number in range(slices):
            array = load_int64(arrays, slice_number)
            offset, length = load_int64(array, ARRAY.offset), load_int64(array, ARRAY.length)
            values += _present(validity(array), offset, offset + length)
            if form == ValueForm.BYTES and length:
                offsets = load_int64(load_int64(array, ARRAY.buffers), 1)
                size += load_int32(offsets, offset + length) - load_int32(offsets, offset)
        store_int64(row, SPARSE.values, values)
        store_int64(row, SPARSE.size, size)
    return 0


@compiled
def copy_sparse(spans, slices, table, count, structs, arrays):
    """Copy the values of each column of `table` whose `rows` is not 0. Memory of booleans is zeroed. Returns 0."""
    for column in range(count):
        row = table + SPARSE_BYTES * column
        rows = load_int64(row, SPARSE.rows)
        if rows == 0:
            continue
        column_arrays(spans, slices, column, structs, arrays)
        value = first = 0
        if load_int64(row, SPARSE.form) == ValueForm.BYTES:
            store_int32(load_int64(row, SPARSE.buffer), 0, 0)
        for slice_number in range(slices):
            array = load_int64(arrays, slice_number)
            value = _copy_slice(array, row, rows, first, value)
            first += row_count_of(array)
    return 0


@compiled
def _copy_slice(array, row, rows, first, value):
    """Copy the values of a slice whose first row gets the number `first`; returns the number of values so far."""
    offset, length = load_int64(array, ARRAY.offset), load_int64(array, ARRAY.length)
    from_rows, from_first = rows_of_values(array), load_int64(array, ARRAY.private_data)
    bits = validity(array)
    at = _next_present(bits, offset, offset + length)
    while at < offset + length:
        _copy_value(row, array, at, value)
        number = load_int32(from_rows, at - offset) - from_first if from_rows else at - offset
        store_int32(rows, value, first + number)
        value += 1
        at = _next_present(bits, at + 1, offset + length)
    return value


@compiled
def _copy_value(row, array, at, value):
    """Copy the value at `at` of an array, as value number `value` of the copy."""
    form, target = load_int64(row, SPARSE.form), load_int64(row, SPARSE.buffer)
    buffers = load_int64(array, ARRAY.buffers)
    source = load_int64(buffers, 1)
    if form == ValueForm.INT64 or form == ValueForm.DOUBLE:
        store_int64(target, value, load_int64(source, at))
    elif form == ValueForm.INT32:
        store_int32(target, value, load_int32(source, at))
    elif form == ValueForm.DECIMAL:
        store_int64(target, 2 * value, load_int64(source, 2 * at))
        store_int64(target, 2 * value + 1, load_int64(source, 2 * at + 1))
    elif form == ValueForm.BOOL:
        bit = ((int(load_byte(source, at >> 3)) >> (at & 7)) & 1) << (value & 7)
        store_byte(target, value >> 3, np.uint8(int(load_byte(target, value >> 3)) | bit))
    else:
        start, size, into = load_int32(source, at), 0, load_int32(target, value)
        size = load_int32(source, at + 1) - start
        text, data = load_int64(buffers, 2), load_int64(row, SPARSE.data)
        for byte in range(size):
            store_byte(data, into + byte, load_byte(text, start + byte))
        store_int32(target, value + 1, into + size)
    return 0


@compiled
def _present(bits, at, end):
    """The number of set bits from `at` to `end`; all if there is no bitmap."""
    if bits == 0:
        return end - at
    present = 0
    at = _next_present(bits, at, end)
    while at < end:
        present += 1
        at = _next_present(bits, at + 1, end)
    return present


@compiled
def _next_present(bits, at, end):
    """The first set bit from `at` on; `end` or more if there is none. Eight zeros are skipped at once."""
    if bits == 0:
        return at
    while at < end:
        if at & 7 == 0 and load_byte(bits, at >> 3) == 0:
            at += 8
        elif is_set(bits, at):
            return at
        else:
            at += 1
    return end
