"""Pages: where they end, and their bytes before compression, which are levels, then values or codes."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import PAGE_END, PAGE_END_BYTES, VECTOR_BYTES, PageEncoding
from lake_pipeline.convert.native.source.decorators import compiled, inlined
from lake_pipeline.convert.native.source.intrinsics import (
    copy_vector,
    load_int32,
    store_byte,
    store_int32,
    store_int64,
    store_uint64,
)


@compiled
def find_page_ends(reps, defs, max_def, entries, strings, bits, max_rows, max_bytes, ends):
    """Writes where pages end, each with whole rows; returns the number of pages.

    `reps` is 0 if each entry is a row, and `defs` is 0 if each entry is a value. Values have the definition level
    `max_def`. A value takes `bits` bits of a page; if that is 0, `strings` has their length prefixes.
    """
    pages = value = row = at = 0
    used = start_used = start_row = 0
    for entry in range(entries):
        if reps == 0 or load_int32(reps, entry) == 0:
            if entry and (row - start_row >= max_rows or used - start_used >= 8 * max_bytes):
                _store_end(ends, pages, entry, value, at, row)
                pages += 1
                start_used, start_row = used, row
            row += 1
        if defs == 0 or load_int32(defs, entry) == max_def:
            size = 0
            if strings:
                size = 4 + load_int32(strings + at, 0)
                at += size
            used += bits if bits else 8 * size
            value += 1
    _store_end(ends, pages, entries, value, at, row)
    return pages + 1


@inlined
def _store_end(ends, page, entry, value, at, row):
    end = ends + PAGE_END_BYTES * page
    store_int64(end, PAGE_END.entry, entry)
    store_int64(end, PAGE_END.value, value)
    store_int64(end, PAGE_END.byte, at)
    store_int64(end, PAGE_END.row, row)


@compiled
def page_body(
    reps, rep_bits, defs, def_bits, max_def, first, last, encoding, values, start, stop, width, target
):  # fmt: skip
    """Writes the page of the entries from `first` to `last`; returns its size.

    Levels of 0 bits are not written, and `defs` is 0 if all levels are `max_def`. `start` and `stop` are offsets in
    bytes for PLAIN, else indexes of codes of `width` bits. `VECTOR_BYTES` spare bytes follow the values.
    """
    at = 0
    if rep_bits:
        at = _levels(reps, first, last, rep_bits, 0, target, at)
    if def_bits:
        at = _levels(defs, first, last, def_bits, max_def, target, at)
    if encoding == PageEncoding.DICTIONARY:
        store_byte(target, at, np.uint8(width))
        return hybrid(values, start, stop, width, target, at + 1)
    if encoding == PageEncoding.BIT_PACKED:
        return _pack(values, start, stop, width, target, at)
    copied = 0
    while copied < stop - start:
        copy_vector(values, start + copied, target, at + copied)
        copied += VECTOR_BYTES
    return at + stop - start


@inlined
def _levels(levels, first, last, width, max_def, target, at):
    if levels == 0:
        end = _store_varint(target, at + 4, (last - first) << 1)
        store_byte(target, end, np.uint8(max_def))
        end += 1
    else:
        end = hybrid(levels, first, last, width, target, at + 4)
    store_int32(target + at, 0, end - at - 4)
    return end


@inlined
def _store_varint(target, at, value):
    while value >= 128:
        store_byte(target, at, np.uint8((value & 127) | 128))
        value >>= 7
        at += 1
    store_byte(target, at, np.uint8(value))
    return at + 1


@compiled
def hybrid(codes, start, stop, width, target, at):
    """Runs of one code, and groups of eight packed codes between them; returns the offset after them."""
    pending = index = start
    while index + 8 <= stop:
        code, differing = load_int32(codes, index), 0
        # All eight at once: a branch for each one would not be predictable.
        for other in range(index + 1, index + 8):
            differing |= load_int32(codes, other) ^ code
        if differing:
            index += 8
            continue
        at = _store_groups(codes, pending, index, width, target, at)
        end = index + 8
        while end < stop and load_int32(codes, end) == code:
            end += 1
        at = _store_varint(target, at, (end - index) << 1)
        for byte in range((width + 7) >> 3):
            store_byte(target, at, np.uint8((code >> (8 * byte)) & 255))
            at += 1
        pending = index = end
    return _store_groups(codes, pending, stop, width, target, at)


@inlined
def _store_groups(codes, start, stop, width, target, at):
    if start == stop:
        return at
    groups = (stop - start + 7) >> 3
    end = _store_varint(target, at, (groups << 1) | 1)
    _pack(codes, start, stop, width, target, end)
    return end + groups * width


@compiled
def _pack(codes, start, stop, width, target, at):
    """Pack codes, lowest bit first, and zeros up to the next group of eight; returns the offset after the last code."""
    index = start
    if width <= 7:
        # A group of eight fits into 64 bits. The next group overwrites the bytes that are too many.
        while index + 8 <= stop:
            word = np.uint64(0)
            for offset in range(8):
                word |= np.uint64(load_int32(codes, index + offset)) << np.uint64(offset * width)
            store_uint64(target, at, word)
            index += 8
            at += width
    bits = held = 0
    while index < stop:
        bits |= load_int32(codes, index) << held
        index += 1
        held += width
        if held >= 32:
            store_int32(target + at, 0, bits)
            at += 4
            bits >>= 32
            held -= 32
    while held > 0:
        store_byte(target, at, np.uint8(bits & 255))
        at += 1
        bits >>= 8
        held -= 8
    end = at
    for _ in range(width):
        store_byte(target, at, np.uint8(0))
        at += 1
    return end
