"""Column chunks: all that is made of a column's values before they are compressed, in one call for many columns.

A call gives the lock of Python away and has to wait to get it back. With seven calls for each column of each part, two
workers took a quarter of their time from each other.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.parquet_bounds import (
    bounds_of_decimals,
    bounds_of_doubles,
    bounds_of_ints,
    bounds_of_longs,
    bounds_of_texts,
)
from lake_pipeline.convert.native.source.parquet_columns import (
    take_bits,
    take_decimals,
    take_ints,
    take_longs,
    take_texts,
    texts_room,
)
from lake_pipeline.convert.native.source.parquet_dictionaries import dictionary_of_bytes, dictionary_of_longs
from lake_pipeline.convert.native.source.parquet_pages import cut_pages, page_body
from lake_pipeline.convert.native.source.parquet_walking import can_be_null, column_arrays, pick_rows
from lake_pipeline.convert.native.source.words import (
    byte_at,
    double_at,
    int_at,
    long_at,
    put_byte,
    put_int,
    put_long,
    put_word,
    word_at,
)

_SIGN = np.uint64(1 << 63)


@compiled
def plain_sizes(spans, slices, rows, leaves, count, structs, arrays, sizes):
    """Writes how many bytes the values of each of some flat columns take at most; returns the number of columns."""
    for each in range(count):
        leaf = leaves + 8 * layout.LEAF_FIELDS * each
        column_arrays(spans, slices, long_at(leaf, layout.LEAF_COLUMN), structs, arrays)
        put_long(sizes, each, plain_size(leaf, arrays, slices, 0, 0, rows))
    return count


@compiled
def plain_size(leaf, arrays, slices, picks, ends, values):
    """How many bytes the values of a leaf take, those at `picks` or all."""
    form = long_at(leaf, layout.LEAF_FORM)
    if form == layout.TEXTS:
        return texts_room(arrays, slices, picks, ends)
    # Booleans are numbers of 32 bits until they are packed.
    return values * (4 if form == layout.BITS else long_at(leaf, layout.LEAF_WIDTH))


@compiled
def encode_columns(spans, slices, rows, leaves, count, rooms, body, chunks, pages):
    """Encode flat columns, one behind the other into `body`.

    Writes what became of each of them to `chunks`, and of all their pages to `pages`. Returns how many pages there are,
    or -1 less the number of a column with a null that may have none.
    """
    entries = long_at(rooms, layout.IN_ENTRIES)
    at = found = 0
    for each in range(count):
        leaf, chunk = leaves + 8 * layout.LEAF_FIELDS * each, chunks + 8 * layout.CHUNK_FIELDS * each
        if _enter(leaf, spans, slices, rows, rooms, entries) < 0:
            return -1 - each
        at = _encode(leaf, entries, rooms, body, at, chunk, pages + 8 * layout.PAGE_FIELDS * found)
        found += long_at(chunk, layout.CHUNK_PAGES)
    return found


@compiled
def encode_entries(leaf, entries, rooms, body, chunk, pages):
    """The same of one leaf whose entries are known."""
    _encode(leaf, entries, rooms, body, 0, chunk, pages)
    return long_at(chunk, layout.CHUNK_PAGES)


@compiled
def _enter(leaf, spans, slices, rows, rooms, entries):
    """Find the entries of a flat column; returns how many values it has, or -1 where a null is that may not be."""
    arrays = long_at(rooms, layout.IN_ARRAYS)
    column_arrays(spans, slices, long_at(leaf, layout.LEAF_COLUMN), long_at(rooms, layout.IN_STRUCTS), arrays)
    values, top, defs = rows, long_at(leaf, layout.LEAF_TOP), 0
    if long_at(leaf, layout.LEAF_FORM) == layout.NOTHING:
        values = top = 0
    elif can_be_null(arrays, slices):
        defs = long_at(rooms, layout.IN_DEFS)
        nullable = long_at(leaf, layout.LEAF_NULLABLE)
        values = pick_rows(
            arrays, slices, nullable, defs, long_at(rooms, layout.IN_PICKS), long_at(rooms, layout.IN_ENDS)
        )
        if values == rows:
            defs = 0
    put_long(entries, layout.OF_ARRAYS, arrays)
    put_long(entries, layout.OF_SLICES, slices)
    put_long(entries, layout.OF_ROWS, rows)
    put_long(entries, layout.OF_COUNT, rows)
    put_long(entries, layout.OF_VALUES, values)
    put_long(entries, layout.OF_TOP, top)
    put_long(entries, layout.OF_REPS, 0)
    put_long(entries, layout.OF_DEFS, defs)
    put_long(entries, layout.OF_PICKS, long_at(rooms, layout.IN_PICKS) if defs else 0)
    put_long(entries, layout.OF_ENDS, long_at(rooms, layout.IN_ENDS) if defs else 0)
    return values


@compiled
def _encode(leaf, entries, rooms, body, at, chunk, pages):
    """Write the dictionary and the pages of a column chunk to `body`, from `at` on; returns the place behind them."""
    form, width = long_at(leaf, layout.LEAF_FORM), long_at(leaf, layout.LEAF_WIDTH)
    plain, codes = long_at(rooms, layout.IN_VALUES), long_at(rooms, layout.IN_CODES)
    size, values = _take(form, width, entries, plain), long_at(entries, layout.OF_VALUES)
    dictionary = body + at
    put_long(chunk, layout.CHUNK_DICTIONARY, at)
    code_width = _dictionary(form, width, plain, size, values, rooms, dictionary, chunk)
    at += long_at(chunk, layout.CHUNK_DICTIONARY_SIZE)
    bits = code_width if code_width else 1 if form == layout.BITS else 8 * width
    count = _cut(leaf, entries, plain, size, bits, rooms)
    cuts = long_at(rooms, layout.IN_CUTS)
    put_long(chunk, layout.CHUNK_COUNT, long_at(entries, layout.OF_COUNT))
    put_long(chunk, layout.CHUNK_PAGES, count)
    entry = value = byte = row = 0
    for each in range(count):
        cut, page = cuts + 8 * layout.CUT_FIELDS * each, pages + 8 * layout.PAGE_FIELDS * each
        end_entry, end_value, end_byte, end_row = long_at(cut, 0), long_at(cut, 1), long_at(cut, 2), long_at(cut, 3)
        if form != layout.TEXTS:
            end_byte = end_value * (4 if form == layout.BITS else width)
        how, source, start, stop, value_width = layout.PLAIN_BYTES, plain, byte, end_byte, 0
        if code_width:
            how, source, start, stop, value_width = layout.CODES, codes, value, end_value, code_width
        elif form == layout.BITS:
            how, start, stop, value_width = layout.PACKED, value, end_value, 1
        put_long(page, layout.PAGE_AT, at)
        written = page_body(
            long_at(entries, layout.OF_REPS), long_at(leaf, layout.LEAF_REP_WIDTH),
            long_at(entries, layout.OF_DEFS), long_at(leaf, layout.LEAF_DEF_WIDTH), long_at(entries, layout.OF_TOP),
            entry, end_entry, how, source, start, stop, value_width, body + at,
        )  # fmt: skip
        at += written
        put_long(page, layout.PAGE_SIZE, written)
        put_long(page, layout.PAGE_COUNT, end_entry - entry)
        put_long(page, layout.PAGE_VALUES, end_value - value)
        put_long(page, layout.PAGE_ROW_COUNT, end_row - row)
        put_long(page, layout.PAGE_BOUNDS, at)
        put_long(page, layout.PAGE_LOW_SIZE, -1)
        put_long(page, layout.PAGE_HIGH_SIZE, -1)
        found = long_at(rooms, layout.IN_BOUNDS)
        # No reader prunes by what stands in lists and structs.
        if not long_at(leaf, layout.LEAF_IS_NESTED) and form != layout.NOTHING and end_value > value:
            if code_width and count == 1:
                distinct, taken = long_at(chunk, layout.CHUNK_DISTINCT), long_at(chunk, layout.CHUNK_DICTIONARY_SIZE)
                at = _put_bounds(form, width, dictionary, distinct, taken, found, body, at, page)
            else:
                of_page = plain + byte
                at = _put_bounds(form, width, of_page, end_value - value, end_byte - byte, found, body, at, page)
        entry, value, byte, row = end_entry, end_value, end_byte, end_row
    return at


@inlined
def _take(form, width, entries, target):
    """Write the values as the encoding PLAIN has them (booleans as numbers of 32 bits); returns their bytes."""
    arrays, slices = long_at(entries, layout.OF_ARRAYS), long_at(entries, layout.OF_SLICES)
    picks, ends = long_at(entries, layout.OF_PICKS), long_at(entries, layout.OF_ENDS)
    if form == layout.LONGS or form == layout.DOUBLES:
        return take_longs(arrays, slices, picks, ends, target)
    if form == layout.INTS:
        return take_ints(arrays, slices, picks, ends, target)
    if form == layout.BITS:
        return take_bits(arrays, slices, picks, ends, target)
    if form == layout.DECIMALS:
        return take_decimals(arrays, slices, picks, ends, width, target)
    if form == layout.TEXTS:
        return take_texts(arrays, slices, picks, ends, target)
    return 0


@inlined
def _dictionary(form, width, plain, size, values, rooms, target, chunk):
    """Write the dictionary of values that repeat; returns the bits of a code, 0 where a dictionary does not pay."""
    put_long(chunk, layout.CHUNK_DISTINCT, 0)
    put_long(chunk, layout.CHUNK_DICTIONARY_SIZE, 0)
    if form == layout.NOTHING or form == layout.BITS or values < 2:
        return 0
    table, hashes = long_at(rooms, layout.IN_TABLE), long_at(rooms, layout.IN_HASHES)
    codes, places = long_at(rooms, layout.IN_CODES), long_at(rooms, layout.IN_PLACES)
    if form == layout.LONGS or form == layout.DOUBLES:
        distinct = dictionary_of_longs(plain, values, layout.PAGE_BYTES, table, hashes, codes, target)
        taken = 8 * distinct
    else:
        distinct = dictionary_of_bytes(plain, values, width, layout.PAGE_BYTES, table, hashes, places, codes, target)
        taken = long_at(places, distinct) if distinct > 0 else 0
    if distinct == layout.GIVEN_UP:
        return 0
    bits = 1
    while (distinct - 1) >> bits:
        bits += 1
    if taken + values * bits // 8 >= size:
        return 0
    put_long(chunk, layout.CHUNK_DISTINCT, distinct)
    put_long(chunk, layout.CHUNK_DICTIONARY_SIZE, taken)
    return bits


@inlined
def _cut(leaf, entries, plain, size, bits, rooms):
    """Write where pages end, `bits` being those of a value (0 where they differ); returns how many there are."""
    cuts = long_at(rooms, layout.IN_CUTS)
    values, rows = long_at(entries, layout.OF_VALUES), long_at(entries, layout.OF_ROWS)
    taken = bits * values // 8 if bits else size
    if taken <= layout.PAGE_BYTES and rows <= layout.PAGE_ROWS:
        put_long(cuts, 0, long_at(entries, layout.OF_COUNT))
        put_long(cuts, 1, values)
        put_long(cuts, 2, size)
        put_long(cuts, 3, rows)
        return 1
    texts = plain if long_at(leaf, layout.LEAF_FORM) == layout.TEXTS else 0
    return cut_pages(
        long_at(entries, layout.OF_REPS), long_at(entries, layout.OF_DEFS), long_at(leaf, layout.LEAF_TOP),
        long_at(entries, layout.OF_COUNT), texts, bits, layout.PAGE_ROWS, layout.PAGE_BYTES, cuts,
    )  # fmt: skip


@compiled
def _put_bounds(form, width, values, count, size, found, body, at, page):
    """Write the smallest and the largest of `count` values in `size` bytes behind each other, as the encoding PLAIN has
    them (texts without their length); returns the place behind them."""
    low_size = high_size = width
    if form == layout.LONGS:
        bounds_of_longs(values, count, found)
        put_word(body, at, word_at(found, 0))
        put_word(body, at + 8, word_at(found, 8))
    elif form == layout.INTS:
        bounds_of_ints(values, count, found)
        put_int(body + at, 0, long_at(found, 0))
        put_int(body + at, 1, long_at(found, 1))
    elif form == layout.BITS:
        bounds_of_ints(values, count, found)
        low_size = high_size = 1
        put_byte(body, at, np.uint8(long_at(found, 0)))
        put_byte(body, at + 1, np.uint8(long_at(found, 1)))
    elif form == layout.DOUBLES:
        if not bounds_of_doubles(values, count, found):
            return at
        low, high = long_at(found, 0), long_at(found, 1)
        # A bound that is zero gets the sign that includes both zeros.
        put_word(body, at, word_at(values, 8 * low) if double_at(values, low) != 0.0 else _SIGN)
        put_word(body, at + 8, word_at(values, 8 * high) if double_at(values, high) != 0.0 else np.uint64(0))
    else:
        low_skip = 0
        if form == layout.TEXTS:
            bounds_of_texts(values, size, found)
            low_size, high_size = int_at(values + long_at(found, 0), 0), int_at(values + long_at(found, 1), 0)
            if low_size > layout.LONGEST_BOUND or high_size > layout.LONGEST_BOUND:
                return at
            low_skip = 4
        else:
            bounds_of_decimals(values, count, width, found)
        for byte in range(low_size):
            put_byte(body, at + byte, byte_at(values, long_at(found, 0) + low_skip + byte))
        for byte in range(high_size):
            put_byte(body, at + low_size + byte, byte_at(values, long_at(found, 1) + low_skip + byte))
    put_long(page, layout.PAGE_LOW_SIZE, low_size)
    put_long(page, layout.PAGE_HIGH_SIZE, high_size)
    return at + low_size + high_size
