"""Levels: from Arrow arrays to the repetition and definition levels of Parquet, one step of a path per call.

Arrays are C structs of Arrow's C data interface; a table has the addresses of all slices of a column. Each step writes
a stream of entries. An entry has the index of its value (-1 if something above is null or empty), its repetition level
and its definition level. `ends` are the entries up to the end of each slice, and `shifts` what is added to its indexes.
A step returns -1 if it finds a null that the schema does not allow.
"""

from __future__ import annotations

from lake_pipeline.convert.native.layout import ARRAY, ARRAY_BYTES, SPAN, SPAN_BYTES
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import load_byte, load_int32, load_int64, store_int32, store_int64


@inlined
def validity(array):
    """The address of an array's validity bitmap; 0 if no value is null."""
    if load_int64(array, ARRAY.null_count) == 0 or load_int64(array, ARRAY.length) == 0:
        return 0
    return load_int64(load_int64(array, ARRAY.buffers), 0)


@inlined
def is_set(bits, at):
    """Whether a bit is set, as 0 or 1; 1 if there is no bitmap."""
    if bits == 0:
        return 1
    return (int(load_byte(bits, at >> 3)) >> (at & 7)) & 1


@compiled
def child_arrays(arrays, slices, child, children):
    """Writes the addresses of a child of each array."""
    for slice_number in range(slices):
        store_int64(
            children, slice_number, load_int64(load_int64(load_int64(arrays, slice_number), ARRAY.children), child)
        )
    return 0


@compiled
def column_arrays(spans, slices, column, structs, arrays):
    """Writes a struct for the rows of a column in each span, and the addresses of these structs."""
    for slice_number in range(slices):
        span, struct = spans + SPAN_BYTES * slice_number, structs + ARRAY_BYTES * slice_number
        whole = load_int64(load_int64(load_int64(span, SPAN.batch), ARRAY.children), column)
        for field in range(len(ARRAY)):
            store_int64(struct, field, load_int64(whole, field))
        start, row_count = load_int64(span, SPAN.start), load_int64(span, SPAN.row_count)
        rows = load_int64(whole, ARRAY.dictionary)
        if rows:
            _slice_sparse(whole, rows, start, row_count, struct)
        else:
            store_int64(struct, ARRAY.length, row_count)
            store_int64(struct, ARRAY.offset, load_int64(whole, ARRAY.offset) + start)
        store_int64(arrays, slice_number, struct)
    return 0


@inlined
def _slice_sparse(whole, rows, start, row_count, struct):
    """Store the values of a sparse column that belong to some rows."""
    values = load_int64(whole, ARRAY.length)
    first = _values_before(rows, values, start)
    store_int64(struct, ARRAY.length, _values_before(rows, values, start + row_count) - first)
    store_int64(struct, ARRAY.offset, load_int64(whole, ARRAY.offset) + first)
    store_int64(struct, ARRAY.dictionary, rows + 4 * first)
    store_int64(struct, ARRAY.release, row_count)
    store_int64(struct, ARRAY.private_data, start)


@compiled
def _values_before(rows, values, row):
    """The number of values that belong to rows before `row`, by bisection."""
    low, high = 0, values
    while low < high:
        middle = (low + high) >> 1
        if load_int32(rows, middle) < row:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def rows_of_values(array):
    """The address of the rows of a sparse slice's values; 0 if the slice is not sparse."""
    return load_int64(array, ARRAY.dictionary)


@inlined
def row_count_of(array):
    """The number of rows of a slice."""
    return load_int64(array, ARRAY.release) if rows_of_values(array) else load_int64(array, ARRAY.length)


@compiled
def can_be_null(arrays, slices):
    """Whether any of these arrays may have nulls."""
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        if validity(array) != 0 or rows_of_values(array) != 0:
            return 1
    return 0


@compiled
def stored_values(arrays, slices):
    """The values that these arrays store: one per row, or of a sparse one those that are not null."""
    values = 0
    for slice_number in range(slices):
        values += load_int64(load_int64(arrays, slice_number), ARRAY.length)
    return values


@compiled
def pick_rows(arrays, slices, nullable, defs, picks, pick_ends):
    """Writes the positions of the values of a flat column that are not null, and the definition level of every row."""
    entry = picked = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        offset, rows = load_int64(array, ARRAY.offset), rows_of_values(array)
        if rows:
            picked = _pick_sparse_rows(array, rows, offset, defs, entry, picks, picked)
            entry += row_count_of(array)
        else:
            bits = validity(array)
            for at in range(offset, offset + load_int64(array, ARRAY.length)):
                present = is_set(bits, at)
                store_int32(defs, entry, present)
                store_int64(picks, picked, at)
                entry += 1
                picked += present
        store_int64(pick_ends, slice_number, picked)
    return picked if nullable or picked == entry else -1


@compiled
def _pick_sparse_rows(array, rows, offset, defs, entry, picks, picked):
    """`pick_rows` for a sparse slice, whose first row is `entry`; returns the number of positions so far."""
    for row in range(row_count_of(array)):
        store_int32(defs, entry + row, 0)
    first = load_int64(array, ARRAY.private_data)
    for value in range(load_int64(array, ARRAY.length)):
        store_int32(defs, entry + load_int32(rows, value) - first, 1)
        store_int64(picks, picked, offset + value)
        picked += 1
    return picked


@compiled
def enter_rows(arrays, slices, index, reps, defs, ends, shifts):
    """Writes the stream of the rows themselves; returns its length."""
    entry = 0
    for slice_number in range(slices):
        for row in range(load_int64(load_int64(arrays, slice_number), ARRAY.length)):
            store_int64(index, entry, row)
            store_int32(reps, entry, 0)
            store_int32(defs, entry, 0)
            entry += 1
        store_int64(ends, slice_number, entry)
        store_int64(shifts, slice_number, 0)
    return entry


@compiled
def enter_struct(arrays, slices, nullable, index, defs, ends, shifts, inner_index, inner_defs, inner_shifts):
    """Writes the stream of what is in structs; returns its length."""
    entry = wrong = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        bits, offset = validity(array), load_int64(array, ARRAY.offset) + load_int64(shifts, slice_number)
        while entry < load_int64(ends, slice_number):
            at, level = load_int64(index, entry), load_int32(defs, entry)
            if at >= 0:
                if is_set(bits, offset + at):
                    level += nullable
                else:
                    at = -1
                    wrong |= nullable == 0
            store_int64(inner_index, entry, at)
            store_int32(inner_defs, entry, level)
            entry += 1
        store_int64(inner_shifts, slice_number, offset)
    return -1 if wrong else entry


@compiled
def max_list_entries(arrays, slices, entries):
    """The most entries that `enter_list` writes."""
    most = entries
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        length, offset = load_int64(array, ARRAY.length), load_int64(array, ARRAY.offset)
        if length:
            offsets = load_int64(load_int64(array, ARRAY.buffers), 1)
            most += load_int32(offsets, offset + length) - load_int32(offsets, offset)
    return most


@compiled
def enter_list(
    arrays, slices, nullable, depth, index, reps, defs, ends, shifts,
    inner_index, inner_reps, inner_defs, inner_ends, inner_shifts,
):  # fmt: skip
    """Writes the stream of what is in lists, whose repetition level is `depth`; returns its length."""
    entry = inner = wrong = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        bits, offset = validity(array), load_int64(array, ARRAY.offset) + load_int64(shifts, slice_number)
        offsets = load_int64(load_int64(array, ARRAY.buffers), 1)
        while entry < load_int64(ends, slice_number):
            at, rep, level = load_int64(index, entry), load_int32(reps, entry), load_int32(defs, entry)
            start = stop = 0
            if at >= 0:
                if is_set(bits, offset + at):
                    start, stop = load_int32(offsets, offset + at), load_int32(offsets, offset + at + 1)
                    level += nullable
                else:
                    wrong |= nullable == 0
            if start == stop:
                store_int64(inner_index, inner, -1)
                store_int32(inner_reps, inner, rep)
                store_int32(inner_defs, inner, level)
                inner += 1
            for item in range(start, stop):
                store_int64(inner_index, inner, item)
                store_int32(inner_reps, inner, rep)
                store_int32(inner_defs, inner, level + 1)
                inner += 1
                rep = depth
            entry += 1
        store_int64(inner_ends, slice_number, inner)
        store_int64(inner_shifts, slice_number, 0)
    return -1 if wrong else inner


@compiled
def pick_items(arrays, slices, nullable, index, defs, ends, shifts, leaf_defs, picks, pick_ends):
    """Writes the positions of the values of a nested leaf that are not null, and the levels of all entries."""
    entry = picked = wrong = 0
    for slice_number in range(slices):
        array = load_int64(arrays, slice_number)
        bits, offset = validity(array), load_int64(array, ARRAY.offset) + load_int64(shifts, slice_number)
        while entry < load_int64(ends, slice_number):
            at, level = load_int64(index, entry), load_int32(defs, entry)
            if at >= 0:
                if is_set(bits, offset + at):
                    store_int64(picks, picked, offset + at)
                    picked += 1
                    level += nullable
                else:
                    wrong |= nullable == 0
            store_int32(leaf_defs, entry, level)
            entry += 1
        store_int64(pick_ends, slice_number, picked)
    return -1 if wrong else picked
