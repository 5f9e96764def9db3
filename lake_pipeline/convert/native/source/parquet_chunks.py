"""Column chunks: everything before compression, in one call for many columns.

A call releases Python's lock and then waits to get it back. With seven calls per column of a part, two workers cost
each other a quarter of their time.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import (
    BUFFERS,
    CHUNK,
    CHUNK_BYTES,
    ENTRIES,
    LEAF,
    LEAF_BYTES,
    MAX_BOUND_BYTES,
    NO_DICTIONARY,
    PAGE,
    PAGE_BYTES,
    PAGE_END,
    PAGE_END_BYTES,
    PAGE_ROW_BYTES,
    PAGE_ROWS,
    PageEncoding,
    ValueForm,
)
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    load_byte,
    load_double,
    load_int32,
    load_int64,
    load_uint64,
    store_byte,
    store_int32,
    store_int64,
    store_uint64,
)
from lake_pipeline.convert.native.source.parquet_bounds import (
    bounds_of_decimals,
    bounds_of_doubles,
    bounds_of_int32,
    bounds_of_int64,
    bounds_of_strings,
)
from lake_pipeline.convert.native.source.parquet_dictionaries import dictionary_of_bytes, dictionary_of_int64
from lake_pipeline.convert.native.source.parquet_levels import can_be_null, column_arrays, pick_rows, stored_values
from lake_pipeline.convert.native.source.parquet_pages import find_page_ends, page_body
from lake_pipeline.convert.native.source.parquet_plain import (
    copy_bools,
    copy_decimals,
    copy_int32,
    copy_int64,
    copy_strings,
    strings_size,
)

_SIGN = np.uint64(1 << 63)


@compiled
def plain_sizes(spans, slices, leaves, count, structs, arrays, sizes):
    """Writes the most bytes that the values of each flat column take; returns the number of columns."""
    for column in range(count):
        leaf = leaves + LEAF_BYTES * column
        column_arrays(spans, slices, load_int64(leaf, LEAF.column), structs, arrays)
        store_int64(sizes, column, plain_size(leaf, arrays, slices, 0, 0, stored_values(arrays, slices)))
    return count


@compiled
def plain_size(leaf, arrays, slices, picks, ends, values):
    """The bytes of the values of a leaf: those at `picks`, or all."""
    form = load_int64(leaf, LEAF.form)
    if form == ValueForm.BYTES:
        return strings_size(arrays, slices, picks, ends)
    # Booleans are 32-bit integers until they are packed.
    return values * (4 if form == ValueForm.BOOL else load_int64(leaf, LEAF.width))


@compiled
def encode_columns(spans, slices, rows, leaves, count, buffers, body, chunks, pages):
    """Encode flat columns into `body`, one after the other, and describe them in `chunks` and `pages`.

    Returns the number of pages, or -1 less the number of a column that has a null and must not.
    """
    entries = load_int64(buffers, BUFFERS.entries)
    at = page_count = 0
    for column in range(count):
        leaf, chunk = leaves + LEAF_BYTES * column, chunks + CHUNK_BYTES * column
        if _find_entries(leaf, spans, slices, rows, buffers, entries) < 0:
            return -1 - column
        at = _encode_chunk(leaf, entries, buffers, body, at, chunk, pages + PAGE_ROW_BYTES * page_count)
        page_count += load_int64(chunk, CHUNK.pages)
    return page_count


@compiled
def encode_entries(leaf, entries, buffers, body, chunk, pages):
    """Encode one leaf with known entries. Returns the number of pages."""
    _encode_chunk(leaf, entries, buffers, body, 0, chunk, pages)
    return load_int64(chunk, CHUNK.pages)


@compiled
def _find_entries(leaf, spans, slices, rows, buffers, entries):
    """Write the entries of a flat column; returns the number of values, or -1 if there is a null that must not be."""
    arrays = load_int64(buffers, BUFFERS.arrays)
    column_arrays(spans, slices, load_int64(leaf, LEAF.column), load_int64(buffers, BUFFERS.structs), arrays)
    values, max_def, defs = rows, load_int64(leaf, LEAF.max_def), 0
    if load_int64(leaf, LEAF.form) == ValueForm.NONE:
        values = max_def = 0
    elif can_be_null(arrays, slices):
        defs = load_int64(buffers, BUFFERS.defs)
        picks, ends = load_int64(buffers, BUFFERS.picks), load_int64(buffers, BUFFERS.ends)
        values = pick_rows(arrays, slices, load_int64(leaf, LEAF.nullable), defs, picks, ends)
        if values == rows:
            defs = 0
    store_int64(entries, ENTRIES.arrays, arrays)
    store_int64(entries, ENTRIES.slices, slices)
    store_int64(entries, ENTRIES.rows, rows)
    store_int64(entries, ENTRIES.entry_count, rows)
    store_int64(entries, ENTRIES.values, values)
    store_int64(entries, ENTRIES.max_def, max_def)
    store_int64(entries, ENTRIES.reps, 0)
    store_int64(entries, ENTRIES.defs, defs)
    store_int64(entries, ENTRIES.picks, load_int64(buffers, BUFFERS.picks) if defs else 0)
    store_int64(entries, ENTRIES.ends, load_int64(buffers, BUFFERS.ends) if defs else 0)
    return values


@compiled
def _encode_chunk(leaf, entries, buffers, body, at, chunk, pages):
    """Write the dictionary and the pages of a column chunk to `body` from `at` on; returns the offset after them."""
    form, width = load_int64(leaf, LEAF.form), load_int64(leaf, LEAF.width)
    plain, codes = load_int64(buffers, BUFFERS.values), load_int64(buffers, BUFFERS.codes)
    size, values = _copy_values(form, width, entries, plain), load_int64(entries, ENTRIES.values)
    dictionary = body + at
    store_int64(chunk, CHUNK.dictionary, at)
    code_bits = _write_dictionary(form, width, plain, size, values, buffers, dictionary, chunk)
    at += load_int64(chunk, CHUNK.dictionary_size)
    value_bits = code_bits if code_bits else 1 if form == ValueForm.BOOL else 8 * width
    count = _end_pages(leaf, entries, plain, size, value_bits, buffers)
    store_int64(chunk, CHUNK.entry_count, load_int64(entries, ENTRIES.entry_count))
    store_int64(chunk, CHUNK.pages, count)
    # No reader prunes by values in lists and structs.
    has_bounds = not load_int64(leaf, LEAF.is_nested) and form != ValueForm.NONE
    entry = value = byte = row = 0
    for number in range(count):
        page, end = pages + PAGE_ROW_BYTES * number, load_int64(buffers, BUFFERS.page_ends) + PAGE_END_BYTES * number
        end_entry, end_value = load_int64(end, PAGE_END.entry), load_int64(end, PAGE_END.value)
        end_byte, end_row = load_int64(end, PAGE_END.byte), load_int64(end, PAGE_END.row)
        if form != ValueForm.BYTES:
            end_byte = end_value * (4 if form == ValueForm.BOOL else width)
        encoding, source, start, stop, bits = PageEncoding.PLAIN, plain, byte, end_byte, 0
        if code_bits:
            encoding, source, start, stop, bits = PageEncoding.DICTIONARY, codes, value, end_value, code_bits
        elif form == ValueForm.BOOL:
            encoding, start, stop, bits = PageEncoding.BIT_PACKED, value, end_value, 1
        written = page_body(
            load_int64(entries, ENTRIES.reps), load_int64(leaf, LEAF.rep_bits),
            load_int64(entries, ENTRIES.defs), load_int64(leaf, LEAF.def_bits), load_int64(entries, ENTRIES.max_def),
            entry, end_entry, encoding, source, start, stop, bits, body + at,
        )  # fmt: skip
        _describe_page(page, at, written, end_entry - entry, end_value - value, end_row - row)
        at += written
        if has_bounds and end_value > value:
            bounds = load_int64(buffers, BUFFERS.bounds)
            if code_bits and count == 1:
                distinct, taken = load_int64(chunk, CHUNK.distinct), load_int64(chunk, CHUNK.dictionary_size)
                at = _write_bounds(form, width, dictionary, distinct, taken, bounds, body, at, page)
            else:
                page_values = plain + byte
                at = _write_bounds(
                    form, width, page_values, end_value - value, end_byte - byte, bounds, body, at, page
                )  # fmt: skip
        entry, value, byte, row = end_entry, end_value, end_byte, end_row
    return at


@inlined
def _describe_page(page, at, size, entries, values, rows):
    """Describe a page without bounds, which would follow it."""
    store_int64(page, PAGE.offset, at)
    store_int64(page, PAGE.size, size)
    store_int64(page, PAGE.entry_count, entries)
    store_int64(page, PAGE.values, values)
    store_int64(page, PAGE.rows, rows)
    store_int64(page, PAGE.bounds, at + size)
    store_int64(page, PAGE.low_size, -1)
    store_int64(page, PAGE.high_size, -1)


@inlined
def _copy_values(form, width, entries, target):
    """Write the values in the PLAIN encoding (booleans as 32-bit integers); returns their bytes."""
    arrays, slices = load_int64(entries, ENTRIES.arrays), load_int64(entries, ENTRIES.slices)
    picks, ends = load_int64(entries, ENTRIES.picks), load_int64(entries, ENTRIES.ends)
    if form == ValueForm.INT64 or form == ValueForm.DOUBLE:
        return copy_int64(arrays, slices, picks, ends, target)
    if form == ValueForm.INT32:
        return copy_int32(arrays, slices, picks, ends, target)
    if form == ValueForm.BOOL:
        return copy_bools(arrays, slices, picks, ends, target)
    if form == ValueForm.DECIMAL:
        return copy_decimals(arrays, slices, picks, ends, width, target)
    if form == ValueForm.BYTES:
        return copy_strings(arrays, slices, picks, ends, target)
    return 0


@inlined
def _write_dictionary(form, width, plain, size, values, buffers, target, chunk):
    """Write the dictionary of values that repeat; returns the bits of a code, or 0 if a dictionary saves nothing."""
    store_int64(chunk, CHUNK.distinct, 0)
    store_int64(chunk, CHUNK.dictionary_size, 0)
    if form == ValueForm.NONE or form == ValueForm.BOOL or values < 2:
        return 0
    table, hashes = load_int64(buffers, BUFFERS.hash_table), load_int64(buffers, BUFFERS.hashes)
    codes, offsets = load_int64(buffers, BUFFERS.codes), load_int64(buffers, BUFFERS.dictionary_offsets)
    if form == ValueForm.INT64 or form == ValueForm.DOUBLE:
        distinct = dictionary_of_int64(plain, values, PAGE_BYTES, table, hashes, codes, target)
        taken = 8 * distinct
    else:
        distinct = dictionary_of_bytes(plain, values, width, PAGE_BYTES, table, hashes, offsets, codes, target)
        taken = load_int64(offsets, distinct) if distinct > 0 else 0
    if distinct == NO_DICTIONARY:
        return 0
    bits = 1
    while (distinct - 1) >> bits:
        bits += 1
    if taken + values * bits // 8 >= size:
        return 0
    store_int64(chunk, CHUNK.distinct, distinct)
    store_int64(chunk, CHUNK.dictionary_size, taken)
    return bits


@inlined
def _end_pages(leaf, entries, plain, size, value_bits, buffers):
    """Write where pages end; returns the number of pages. A value has `value_bits`, or 0 if they vary."""
    ends = load_int64(buffers, BUFFERS.page_ends)
    values, rows = load_int64(entries, ENTRIES.values), load_int64(entries, ENTRIES.rows)
    taken = value_bits * values // 8 if value_bits else size
    if taken <= PAGE_BYTES and rows <= PAGE_ROWS:
        store_int64(ends, PAGE_END.entry, load_int64(entries, ENTRIES.entry_count))
        store_int64(ends, PAGE_END.value, values)
        store_int64(ends, PAGE_END.byte, size)
        store_int64(ends, PAGE_END.row, rows)
        return 1
    strings = plain if load_int64(leaf, LEAF.form) == ValueForm.BYTES else 0
    return find_page_ends(
        load_int64(entries, ENTRIES.reps), load_int64(entries, ENTRIES.defs), load_int64(leaf, LEAF.max_def),
        load_int64(entries, ENTRIES.entry_count), strings, value_bits, PAGE_ROWS, PAGE_BYTES, ends,
    )  # fmt: skip


@compiled
def _write_bounds(form, width, values, count, size, bounds, body, at, page):
    """Write the bounds of `count` values of `size` bytes, in the PLAIN encoding; returns the offset after them.

    Strings are written without their length.
    """
    low_size = high_size = width
    if form == ValueForm.INT64:
        bounds_of_int64(values, count, bounds)
        store_uint64(body, at, load_uint64(bounds, 0))
        store_uint64(body, at + 8, load_uint64(bounds, 8))
    elif form == ValueForm.INT32:
        bounds_of_int32(values, count, bounds)
        store_int32(body + at, 0, load_int64(bounds, 0))
        store_int32(body + at, 1, load_int64(bounds, 1))
    elif form == ValueForm.BOOL:
        bounds_of_int32(values, count, bounds)
        low_size = high_size = 1
        store_byte(body, at, np.uint8(load_int64(bounds, 0)))
        store_byte(body, at + 1, np.uint8(load_int64(bounds, 1)))
    elif form == ValueForm.DOUBLE:
        if not bounds_of_doubles(values, count, bounds):
            return at
        low, high = load_int64(bounds, 0), load_int64(bounds, 1)
        # A bound that is zero gets the sign that includes both zeros.
        store_uint64(body, at, load_uint64(values, 8 * low) if load_double(values, low) != 0.0 else _SIGN)
        store_uint64(
            body, at + 8, load_uint64(values, 8 * high) if load_double(values, high) != 0.0 else np.uint64(0)
        )  # fmt: skip
    else:
        prefix = 0
        if form == ValueForm.BYTES:
            bounds_of_strings(values, size, bounds)
            low_size, high_size = (
                load_int32(values + load_int64(bounds, 0), 0), load_int32(values + load_int64(bounds, 1), 0),
            )  # fmt: skip
            if low_size > MAX_BOUND_BYTES or high_size > MAX_BOUND_BYTES:
                return at
            prefix = 4
        else:
            bounds_of_decimals(values, count, width, bounds)
        for byte in range(low_size):
            store_byte(body, at + byte, load_byte(values, load_int64(bounds, 0) + prefix + byte))
        for byte in range(high_size):
            store_byte(body, at + low_size + byte, load_byte(values, load_int64(bounds, 1) + prefix + byte))
    store_int64(page, PAGE.low_size, low_size)
    store_int64(page, PAGE.high_size, high_size)
    return at + low_size + high_size
