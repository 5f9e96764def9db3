"""Gathering: values out of the slots of a scan in whatever order they are wanted, of many nodes in one call.

`picked` is the address of the indexes of the `count` slots that are wanted, of each node of a scope: those of rows for
columns, those of items for what stands in lists. Bits are packed as Arrow has them.
"""

from __future__ import annotations

import numpy as np

from lake_pipeline.convert.native.layout import (
    AS_BITS,
    AS_LIST,
    AS_NOTHING,
    AS_NUMBERS,
    AS_TEXTS,
    GATHER_BITS,
    GATHER_DATA,
    GATHER_FIELDS,
    GATHER_FIRST,
    GATHER_FORM,
    GATHER_PRESENT,
    GATHER_SIZE,
    GATHER_USED,
    GATHER_VALUES,
    PRESENT,
    WIDE,
)
from lake_pipeline.convert.native.source.compiled import compiled, inlined
from lake_pipeline.convert.native.source.values import hex4
from lake_pipeline.convert.native.source.words import (
    byte_at,
    copy_wide,
    expect_bytes,
    int_at,
    long_at,
    put_byte,
    put_int,
    put_long,
)

LENGTH = np.int64(0x7FFFFFFF)
START = np.int64(0xFFFFFFFF)
"""Of a text's cell: where it starts (32 bits) and, above that, how many bytes it has; the sign tells of escapes."""

AHEAD = 16
"""Texts that are on their way to the cache while others are copied: a block's text is larger than that is."""

_ESCAPED = np.zeros(256, dtype=np.uint8)
_ESCAPED[[34, 92, 47, 98, 102, 110, 114, 116]] = [34, 92, 47, 8, 12, 10, 13, 9]


@compiled
def gather_fixed(seen, cells, picked, count, nodes, number, target):
    """Writes the bitmaps, numbers and offsets of `number` nodes, and to `nodes` how much their offsets tell of."""
    for each in range(number):
        node = nodes + 8 * GATHER_FIELDS * each
        form, first = long_at(node, GATHER_FORM), long_at(node, GATHER_FIRST)
        its_seen, its_cells, values = seen + first, cells + 8 * first, target + long_at(node, GATHER_VALUES)
        if form == AS_NOTHING:
            continue
        bits = target + long_at(node, GATHER_BITS)
        put_long(node, GATHER_PRESENT, _gather_validity(its_seen, picked, count, bits))
        if form == AS_BITS:
            _gather_bits(its_cells, picked, count, values)
        elif form == AS_NUMBERS:
            _gather_numbers(its_cells, picked, count, values)
        elif form == AS_TEXTS:
            put_long(node, GATHER_SIZE, _text_offsets(its_seen, its_cells, picked, count, values))
        elif form == AS_LIST:
            put_long(node, GATHER_SIZE, _list_offsets(its_seen, its_cells, picked, count, values))
    return 0


@compiled
def gather_rest(text, size, seen, cells, picked, count, nodes, number, offsets, target, items, starts):
    """Writes what those offsets tell of: the bytes of texts to `target`, and the indexes of items to `items`.

    `size` are the bytes of `text`.

    Nodes are written one behind the other, and there must be room for `WIDE` bytes more behind the last: to copy more
    than there is is faster than to ask how much there is. `starts` is room for a number of each slot of a list.
    """
    for each in range(number):
        node = nodes + 8 * GATHER_FIELDS * each
        form, first = long_at(node, GATHER_FORM), long_at(node, GATHER_FIRST)
        its_seen, its_cells, at = seen + first, cells + 8 * first, long_at(node, GATHER_DATA)
        if form == AS_TEXTS:
            its_offsets = offsets + long_at(node, GATHER_VALUES)
            _gather_texts(text, size, its_seen, its_cells, picked, count, its_offsets, target + at)
        elif form == AS_LIST:
            _gather_items(its_seen, its_cells, long_at(node, GATHER_USED), picked, count, starts, items + at)
    return 0


@compiled
def _gather_validity(seen, picked, count, bits):
    """Writes a bitmap of what is present; returns how many are."""
    present = packed = 0
    for index in range(count):
        bit = np.int64(byte_at(seen, long_at(picked, index)) == PRESENT)
        present += bit
        packed = _pack(bits, packed, index, bit)
    _pack_rest(bits, packed, count)
    return present


@compiled
def _gather_bits(cells, picked, count, bits):
    """Writes a bitmap of the cells that are not zero."""
    packed = 0
    for index in range(count):
        packed = _pack(bits, packed, index, np.int64(long_at(cells, long_at(picked, index)) != 0))
    _pack_rest(bits, packed, count)
    return 0


@inlined
def _pack(bits, packed, index, bit):
    """The bits of the byte that is not full yet, with one more."""
    packed |= bit << (index & 7)
    if index & 7 == 7:
        put_byte(bits, index >> 3, np.uint8(packed))
        return 0
    return packed


@inlined
def _pack_rest(bits, packed, count):
    if count & 7:
        put_byte(bits, count >> 3, np.uint8(packed))


@compiled
def _gather_numbers(cells, picked, count, values):
    """Writes the cells themselves."""
    for index in range(count):
        put_long(values, index, long_at(cells, long_at(picked, index)))
    return 0


@compiled
def _list_offsets(seen, cells, picked, count, offsets):
    """Writes where the items of each list begin and end; returns how many there are in all."""
    wanted = 0
    put_int(offsets, 0, 0)
    for index in range(count):
        slot = long_at(picked, index)
        if byte_at(seen, slot) == PRESENT:
            wanted += long_at(cells, slot)
        put_int(offsets, index + 1, wanted)
    return wanted


@compiled
def _gather_items(seen, cells, used, picked, count, starts, items):
    """Writes the indexes of the items in their own scope. `used` are all slots of the list in use, and `starts` is room
    for a number of each."""
    total = 0
    for slot in range(used):
        put_long(starts, slot, total)
        if byte_at(seen, slot) == PRESENT:
            total += long_at(cells, slot)
    into = 0
    for index in range(count):
        slot = long_at(picked, index)
        if byte_at(seen, slot) == PRESENT:
            start = long_at(starts, slot)
            for item in range(start, start + long_at(cells, slot)):
                put_long(items, into, item)
                into += 1
    return into


@compiled
def _text_offsets(seen, cells, picked, count, offsets):
    """Writes where each string begins and ends; returns how many bytes there are in all."""
    total = 0
    put_int(offsets, 0, 0)
    for index in range(count):
        slot = long_at(picked, index)
        if byte_at(seen, slot) == PRESENT:
            total += (long_at(cells, slot) >> 32) & LENGTH
        put_int(offsets, index + 1, total)
    return total


@compiled
def _gather_texts(text, size, seen, cells, picked, count, offsets, data):
    """Writes the bytes of strings, escapes resolved."""
    limit = size - WIDE
    for index in range(count):
        if index + AHEAD < count:
            expect_bytes(text, long_at(cells, long_at(picked, index + AHEAD)) & START)
        slot = long_at(picked, index)
        if byte_at(seen, slot) == PRESENT:
            cell = long_at(cells, slot)
            start, at = cell & START, int_at(offsets, index)
            if cell < 0:
                _unescape(text, start, data, at)
            else:
                _copy(text, start, data, at, (cell >> 32) & LENGTH, limit)
    return 0


@inlined
def _copy(text, start, data, at, length, limit):
    """Copy so many bytes, and what comes behind them as it may: it is overwritten next."""
    copied = 0
    while copied < length and start + copied <= limit:
        copy_wide(text, start + copied, data, at + copied)
        copied += WIDE
    for offset in range(copied, length):
        put_byte(data, at + offset, byte_at(text, start + offset))


@compiled
def _unescape(text, at, data, into):
    """Copy a string that the scan found sound, up to its closing quote."""
    while byte_at(text, at) != 34:
        if byte_at(text, at) != 92:
            put_byte(data, into, byte_at(text, at))
            into += 1
            at += 1
        elif byte_at(text, at + 1) != 117:
            put_byte(data, into, _ESCAPED[byte_at(text, at + 1)])
            into += 1
            at += 2
        else:
            code = hex4(text, at + 2)
            at += 6
            if 0xD800 <= code <= 0xDBFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (hex4(text, at + 2) - 0xDC00)
                at += 6
            into = _encode(code, data, into)


@compiled
def _encode(code, data, into):
    """Write a character as UTF-8; returns the place behind it."""
    if code < 0x80:
        put_byte(data, into, np.uint8(code))
        return into + 1
    if code < 0x800:
        put_byte(data, into, np.uint8(0xC0 | (code >> 6)))
    else:
        if code < 0x10000:
            put_byte(data, into, np.uint8(0xE0 | (code >> 12)))
        else:
            put_byte(data, into, np.uint8(0xF0 | (code >> 18)))
            into += 1
            put_byte(data, into, np.uint8(0x80 | ((code >> 12) & 0x3F)))
        into += 1
        put_byte(data, into, np.uint8(0x80 | ((code >> 6) & 0x3F)))
    into += 1
    put_byte(data, into, np.uint8(0x80 | (code & 0x3F)))
    return into + 1
