"""Pages: where they are cut, and their bytes before compression: levels, then values or codes of them."""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import CODES, CUT_FIELDS, PACKED, WIDE
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.words import copy_wide, int_at, put_byte, put_int, put_long, put_word


@compiled
def cut_pages(reps, defs, top, entries, texts, bits, most_rows, most_bytes, cuts):
    """Writes where pages end, of whole rows each; returns how many there are.

    `reps` is 0 where each entry is a row, `defs` where each has a value, those at the definition level `top`. A value
    takes `bits` bits of a page, or as many as the next of the `texts` behind their lengths where that is 0; without
    texts their address is 0.
    """
    pages = value = row = at = 0
    used = start_used = start_row = 0
    for entry in range(entries):
        if reps == 0 or int_at(reps, entry) == 0:
            if entry and (row - start_row >= most_rows or used - start_used >= 8 * most_bytes):
                _put_cut(cuts, pages, entry, value, at, row)
                pages += 1
                start_used, start_row = used, row
            row += 1
        if defs == 0 or int_at(defs, entry) == top:
            size = 0
            if texts:
                size = 4 + int_at(texts + at, 0)
                at += size
            used += bits if bits else 8 * size
            value += 1
    _put_cut(cuts, pages, entries, value, at, row)
    return pages + 1


@inlined
def _put_cut(cuts, page, entry, value, at, row):
    put_long(cuts, CUT_FIELDS * page, entry)
    put_long(cuts, CUT_FIELDS * page + 1, value)
    put_long(cuts, CUT_FIELDS * page + 2, at)
    put_long(cuts, CUT_FIELDS * page + 3, row)


@compiled
def page_body(
    reps, rep_width, defs, def_width, top, first, last, how, values, start, stop, width, target
):  # fmt: skip
    """Writes a page of the entries from `first` to `last`; returns its size.

    A level of width 0 is not written. `start` and `stop` are bytes of the values, or else numbers of codes of `width`
    bits each. `defs` is 0 where all are at the level `top`. There must be `WIDE` bytes behind the values.
    """
    at = 0
    if rep_width:
        at = _levels(reps, first, last, rep_width, 0, target, at)
    if def_width:
        at = _levels(defs, first, last, def_width, top, target, at)
    if how == CODES:
        put_byte(target, at, np.uint8(width))
        return hybrid(values, start, stop, width, target, at + 1)
    if how == PACKED:
        return _pack(values, start, stop, width, target, at)
    copied = 0
    while copied < stop - start:
        copy_wide(values, start + copied, target, at + copied)
        copied += WIDE
    return at + stop - start


@inlined
def _levels(levels, first, last, width, top, target, at):
    if levels == 0:
        end = _put_varint(target, at + 4, (last - first) << 1)
        put_byte(target, end, np.uint8(top))
        end += 1
    else:
        end = hybrid(levels, first, last, width, target, at + 4)
    put_int(target + at, 0, end - at - 4)
    return end


@inlined
def _put_varint(target, at, value):
    while value >= 128:
        put_byte(target, at, np.uint8((value & 127) | 128))
        value >>= 7
        at += 1
    put_byte(target, at, np.uint8(value))
    return at + 1


@compiled
def hybrid(codes, start, stop, width, target, at):
    """Runs of one code, and groups of eight packed codes between them; returns the place behind."""
    pending = index = start
    while index + 8 <= stop:
        code, differing = int_at(codes, index), 0
        # All eight at once: to ask one by one is a branch that nothing predicts.
        for each in range(index + 1, index + 8):
            differing |= int_at(codes, each) ^ code
        if differing:
            index += 8
            continue
        at = _put_groups(codes, pending, index, width, target, at)
        end = index + 8
        while end < stop and int_at(codes, end) == code:
            end += 1
        at = _put_varint(target, at, (end - index) << 1)
        for byte in range((width + 7) >> 3):
            put_byte(target, at, np.uint8((code >> (8 * byte)) & 255))
            at += 1
        pending = index = end
    return _put_groups(codes, pending, stop, width, target, at)


@inlined
def _put_groups(codes, start, stop, width, target, at):
    if start == stop:
        return at
    groups = (stop - start + 7) >> 3
    end = _put_varint(target, at, (groups << 1) | 1)
    _pack(codes, start, stop, width, target, end)
    return end + groups * width


@compiled
def _pack(codes, start, stop, width, target, at):
    """Codes one behind the other, the lowest bit first, and zeros up to the next group of eight; returns the place
    behind the last byte with one of them."""
    index = start
    if width <= 7:
        # A group of eight is a word, of which the next group overwrites what is too much.
        while index + 8 <= stop:
            word = np.uint64(0)
            for each in range(8):
                word |= np.uint64(int_at(codes, index + each)) << np.uint64(each * width)
            put_word(target, at, word)
            index += 8
            at += width
    bits = held = 0
    while index < stop:
        bits |= int_at(codes, index) << held
        index += 1
        held += width
        if held >= 32:
            put_int(target + at, 0, bits)
            at += 4
            bits >>= 32
            held -= 32
    while held > 0:
        put_byte(target, at, np.uint8(bits & 255))
        at += 1
        bits >>= 8
        held -= 8
    end = at
    for _ in range(width):
        put_byte(target, at, np.uint8(0))
        at += 1
    return end
